/**
 * The `millrace` command: its commands, and how each of them ends.
 *
 * Owns: the one place where errors become lines and exit codes. Does not own: what main.ts hands in (deps.ts).
 */
import { Command, CommanderError } from 'commander'
import { MillraceError } from '../core/errors.ts'
import { addChangeCommands } from './change-commands.ts'
import { addCompletionCommands } from './completion-commands.ts'
import { addControllerCommand } from './controller-command.ts'
import { addDemoCommand } from './demo-command.ts'
import type { CliDeps } from './deps.ts'
import { addEpisodeCommands } from './episode-commands.ts'
import { ExitSignal, errorLines, exitCodeOf, exitCodes, FileError } from './failure.ts'
import { teach } from './help.ts'
import { addJobCommands } from './job-commands.ts'
import { addLifetimeCommand } from './lifetime-command.ts'
import { addMetricCommands } from './metric-commands.ts'
import { addNewCommand } from './new-command.ts'
import { addProduceCommand } from './produce-command.ts'
import { addReportCommands } from './report-commands.ts'
import { addSavepointCommands } from './savepoint-commands.ts'
import { addServerCommands } from './server-commands.ts'
import { addTokenCommand } from './token-command.ts'
import { addTxnCommands } from './txn-commands.ts'

/** What the program needs besides its dependencies. */
export interface ProgramOptions {
  /** Path of the shipped job that `demo` runs. */
  readonly demoJob: string
}

/** Makes the program. Parsing throws CommanderError, MillraceError, FileError or ExitSignal: see `runCli`. */
export function buildProgram(deps: CliDeps, options: ProgramOptions): Command {
  const program = new Command('millrace')
  // First, so that commands inherit it.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void deps.stdout.write(text),
      writeErr: (text) => void deps.stderr.write(text),
      getOutHelpWidth: () => Math.max(80, deps.stdout.columns),
      getErrHelpWidth: () => Math.max(80, deps.stderr.columns),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showSuggestionAfterError()
    .showHelpAfterError(`(run ${deps.command} --help, or ${deps.command} COMMAND --help)`)
    .version(deps.version, '-V, --version', 'print the version')
    .description('Stream-processing jobs from Protobuf events to live, checkpointed metrics.')
  addDemoCommand(program, deps, options.demoJob)
  addServerCommands(program, deps)
  addJobCommands(program, deps)
  addSavepointCommands(program, deps)
  addChangeCommands(program, deps)
  addMetricCommands(program, deps)
  addReportCommands(program, deps)
  addLifetimeCommand(program, deps)
  addEpisodeCommands(program, deps)
  addProduceCommand(program, deps)
  addNewCommand(program, deps)
  addTxnCommands(program, deps)
  addControllerCommand(program, deps)
  addTokenCommand(program, deps)
  addCompletionCommands(program, deps)
  // Last: it walks the commands.
  teach(program, deps.command)
  return program
}

/** Runs one command line (without the program's own name) and resolves to its exit code. Never rejects. */
export async function runCli(args: readonly string[], deps: CliDeps, options: ProgramOptions): Promise<number> {
  try {
    await buildProgram(deps, options).parseAsync([...args], { from: 'user' })
    return exitCodes.ok
  } catch (thrown) {
    if (thrown instanceof ExitSignal) return thrown.exitCode
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const error = thrown instanceof FileError ? thrown.error : MillraceError.from(thrown)
    const file = thrown instanceof FileError ? thrown.file : null
    for (const line of errorLines(error, file, deps.command)) deps.stderr.write(`${line}\n`)
    if (error.code === 'INTERNAL' && error.cause instanceof Error) deps.stderr.write(`${error.cause.stack ?? ''}\n`)
    return exitCodeOf(error)
  }
}
