/** docs/reference/cli.md: every command, made of the commands themselves and of what their help teaches. */
import type { Command } from 'commander'
import type { CliDeps } from '../src/cli/deps.ts'
import { exitCodes } from '../src/cli/failure.ts'
import { exitMeanings, exitsOf, leafCommands, lessons } from '../src/cli/help.ts'
import { buildProgram } from '../src/cli/program.ts'

/** How a table is written. */
export type Table = (header: readonly string[], rows: readonly (readonly string[])[]) => string

/** The program as it is without a terminal or a server: for looking at, not for running. */
function program(): Command {
  const stream = { write: () => true, isTTY: false, columns: 120 }
  const never = () => {
    throw new Error('the reference runs nothing')
  }
  const deps: CliDeps = {
    stdout: stream,
    stderr: stream,
    readStdin: never,
    env: {},
    clock: { nowMs: never, monotonicMs: never },
    scheduler: { after: never, soon: never },
    random: { nextUint32: never },
    descriptors: never,
    startEngine: never,
    onSignal: never,
    command: 'millrace',
    version: '',
  }
  return buildProgram(deps, { demoJob: 'jobs/engagement.yaml' })
}

/** The page; `generated` is the line that says so. */
export function cliPage(generated: string, table: Table): string {
  const commands = leafCommands(program())
  const summaries = commands.map(({ path, command }) => [
    `[\`${path}\`](#millrace-${path.replaceAll(' ', '-')})`,
    command.summary(),
  ])
  const codes = exitsOf(lessons['']!.exits).map((name) => [String(exitCodes[name]), exitMeanings[name]])
  return `# Command line
${generated}

\`millrace --help\` lists the commands, \`millrace COMMAND --help\` says what is here. Results go to standard output, everything
else to standard error. Settings come from [environment variables](configuration.md). \`millrace completion\` prints a script
that completes commands, options and names in bash, zsh or fish.

${table(['Command', 'What it does'], summaries)}

Exit codes, the same for all commands; which [error code](errors.md) has which is in the table there:

${table(['Exit code', 'Meaning'], codes)}

${commands.map(({ path, command }) => section(path, command, table)).join('\n')}`
}

function section(path: string, command: Command, table: Table): string {
  const parts = [
    `## millrace ${path}\n`,
    `    millrace ${path} ${command.usage()}\n`,
    `${paragraph(command.description())}\n`,
  ]
  const { registeredArguments } = command
  if (registeredArguments.length > 0) {
    const rows = registeredArguments.map((argument) => [
      `\`${argument.name()}\`${argument.variadic ? ', one or more' : ''}`,
      argument.required ? 'yes' : '',
      [argument.description, choices(argument.argChoices)].filter((part) => part !== '').join(': '),
    ])
    parts.push(`${table(['Argument', 'Required', 'Meaning'], rows)}\n`)
  }
  const options = command.options.filter((option) => !option.hidden)
  if (options.length > 0) {
    const rows = options.map((option) => [
      `\`${option.flags}\``,
      fallback(option.defaultValue),
      [option.description, choices(option.argChoices)].filter((part) => part !== '').join(': '),
    ])
    parts.push(`${table(['Option', 'Default', 'Meaning'], rows)}\n`)
  }
  const lesson = lessons[path]
  if (lesson !== undefined) {
    const lines = lesson.examples.map(([line, purpose]) => `# ${purpose}\nmillrace ${line}`)
    parts.push(`\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`)
    parts.push(
      `Exit codes: ${exitsOf(lesson.exits)
        .map((name) => exitCodes[name])
        .join(', ')}.\n`,
    )
  }
  return parts.join('\n')
}

function paragraph(text: string): string {
  return text.replaceAll('\n', ' ')
}

function choices(of: readonly string[] | undefined): string {
  return of === undefined ? '' : of.map((choice) => `\`${choice}\``).join(', ')
}

function fallback(value: unknown): string {
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return ''
  return `\`${String(value)}\``
}
