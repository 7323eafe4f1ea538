/**
 * What there is to complete on a command line, as data: commands, their options, and what may stand in each place.
 *
 * Pure; read off the commands themselves, so that a new command or option completes by itself. What a place takes is
 * told by the name of its argument: `<file>`, `<folder>`, `<job>`, `<metric>`; choices by the option.
 */
import type { Argument, Command, Option } from 'commander'
import { visibleCommands } from './help.ts'

/** What may stand in one place. */
export type Completer =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'folders' }
  /** Names that the server knows. */
  | { readonly kind: 'jobs' | 'metrics' }
  | { readonly kind: 'nothing' }

/** One option, under each of its flags. */
export interface OptionModel {
  readonly flags: readonly string[]
  readonly description: string
  /** What follows it; null when nothing does. */
  readonly value: Completer | null
}

/** One command. */
export interface CommandModel {
  /** Words after the program's name, with blanks between; '' is the program. */
  readonly path: string
  readonly summary: string
  readonly commands: readonly CommandModel[]
  readonly options: readonly OptionModel[]
  /** By position; the last stands for all that follow when it may be repeated. */
  readonly positions: readonly Completer[]
  readonly repeats: boolean
}

/** The model of a command and of all below it. */
export function modelOf(command: Command, path = ''): CommandModel {
  const help = command.createHelp()
  const commands = visibleCommands(command).map((child) =>
    modelOf(child, path === '' ? child.name() : `${path} ${child.name()}`),
  )
  const positions = command.registeredArguments.map(argumentCompleter)
  return {
    path,
    summary: firstSentence(command.summary() || command.description()),
    commands,
    options: help.visibleOptions(command).map(optionModel),
    positions,
    repeats: command.registeredArguments.at(-1)?.variadic ?? false,
  }
}

/** The command and all below it. */
export function allCommands(model: CommandModel): CommandModel[] {
  return [model, ...model.commands.flatMap(allCommands)]
}

function optionModel(option: Option): OptionModel {
  const takes = option.required || option.optional
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
    description: firstSentence(option.description),
    value: takes ? completerOf(/[<[]([^\]>]*)/.exec(option.flags)?.[1] ?? '', option.argChoices) : null,
  }
}

function argumentCompleter(argument: Argument): Completer {
  return completerOf(argument.name(), argument.argChoices)
}

function completerOf(name: string, choices: readonly string[] | undefined): Completer {
  if (choices !== undefined) return { kind: 'words', words: choices }
  if (/^files?$/.test(name)) return { kind: 'files' }
  if (name === 'folder') return { kind: 'folders' }
  if (name === 'job') return { kind: 'jobs' }
  if (name === 'metric') return { kind: 'metrics' }
  return { kind: 'nothing' }
}

/** A line without line ends, quotes or anything else that a shell reads as its own. */
function firstSentence(text: string): string {
  return text
    .split('\n')[0]!
    .replace(/[^\w ,.;:/()+#<>=^|-]/g, '')
    .trim()
}
