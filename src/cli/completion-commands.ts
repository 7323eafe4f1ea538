/** `completion`, which prints a script for a shell, and the hidden command by which such a script asks for names. */
import { Argument, type Command } from 'commander'
import { modelOf } from './completion-model.ts'
import { completionScript, type Shell, shells } from './completion-scripts.ts'
import { withClient } from './context.ts'
import type { CliDeps } from './deps.ts'

/** Longest wait for names, in seconds: somebody has pressed Tab. */
const NAMES_TIMEOUT_S = 2

/** Names that a shell takes for one word and nothing else; what a server says besides is no name. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9_./-]*$/

/** Adds the commands to the program. */
export function addCompletionCommands(program: Command, deps: CliDeps): void {
  program
    .command('completion')
    .summary('print a completion script for a shell')
    .description(
      'Prints a script that completes commands, options, files and, where a server answers, names of jobs and metrics. ' +
        'To try it: source <(millrace completion bash), the same for zsh, or millrace completion fish | source.',
    )
    .addArgument(new Argument('<shell>', 'which shell').choices([...shells]))
    .action((shell: Shell) => void deps.stdout.write(completionScript(shell, modelOf(program))))
  program
    .command('__complete', { hidden: true })
    .addArgument(new Argument('<what>').choices(['jobs', 'metrics']))
    .action(async (what: 'jobs' | 'metrics') => {
      for (const name of await names(deps, what)) deps.stdout.write(`${name}\n`)
    })
}

/** Names that the server knows; none when it does not answer. */
async function names(deps: CliDeps, what: 'jobs' | 'metrics'): Promise<readonly string[]> {
  try {
    const found = await withClient(deps, { timeout: NAMES_TIMEOUT_S }, async ({ control, query }) =>
      what === 'jobs'
        ? (await control.list()).map((job) => job.name)
        : (await query.listMetrics('')).map((info) => `${info.job}/${info.metric}`),
    )
    return found.filter((name) => plainName.test(name))
  } catch {
    // Whoever presses Tab wants names or nothing.
    return []
  }
}
