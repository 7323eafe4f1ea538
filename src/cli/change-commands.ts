/** Commands that change a running job: rescale, upgrade. */
import { type Command, InvalidArgumentError } from 'commander'
import { MillraceError } from '../core/errors.ts'
import { writeChanges, writeRedeployed } from './change-view.ts'
import { inFile, outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { descriptorSetHelp, type SchemaOptions, schemaPart } from './job-schema.ts'
import { submittedText } from './module-jobs.ts'
import { collect, withServer } from './shared-options.ts'

/** Help of the option by which state may be dropped. */
export const dropStateHelp =
  'let this state go: a metric, a table (all its metrics), an operator, operator/part of its state, or a source; repeatable'

/** Adds the commands to the program. */
export function addChangeCommands(program: Command, deps: CliDeps): void {
  withServer(program.command('rescale'))
    .summary('let a job go on with another number of subtasks')
    .description(
      'Takes a last checkpoint, deals its state out to the new number of subtasks, and goes on from there. Says how long ' +
        'the job was down. A job that is suspended starts so when it is submitted again.',
    )
    .argument('<job>', 'name of the job')
    .requiredOption('-p, --parallelism <n>', 'subtasks of each operator, up to the key groups of the job', count)
    .action(async (name: string, options: ServerOptions & { parallelism: number }) => {
      const { summary, redeploy } = await withClient(deps, options, ({ control }) =>
        control.rescale(name, options.parallelism),
      )
      writeRedeployed(outputOf(deps, options), summary, redeploy)
    })
  withServer(program.command('upgrade'))
    .summary('let a job go on with a changed definition')
    .description(
      'Shows what becomes of the state of a job under a changed definition: kept, migrated, new or dropped. What would be ' +
        'lost must be named with --drop-state. Then takes a last checkpoint and goes on from it with the definition.',
    )
    .argument('<file>', 'changed definition of the job; - reads standard input')
    .option('--dry-run', 'show what would become of the state, and change nothing', false)
    .option('--drop-state <name>', dropStateHelp, collect, [])
    .option('--descriptor-set <file>', descriptorSetHelp)
    .action(
      (file: string, options: ServerOptions & SchemaOptions & { dryRun: boolean; dropState: readonly string[] }) =>
        inFile(file, async () => {
          const text = await submittedText(deps, file)
          const document = { kind: 'text', text, ...schemaPart(file, text, options) } as const
          const { dryRun, dropState } = options
          const output = outputOf(deps, options)
          await withClient(deps, options, async ({ control }) => {
            const compared = await control.upgrade(document, { dropState, dryRun: true })
            const goesOn = !dryRun && compared.refusal === ''
            if (output.format !== 'json' || !goesOn) writeChanges(output, compared)
            if (compared.refusal !== '') throw new MillraceError('STATE_INCOMPATIBLE', compared.refusal)
            if (dryRun) return
            const { summary, redeploy, changes } = await control.upgrade(document, { dropState, dryRun: false })
            writeRedeployed(output, summary, redeploy, changes)
          })
        }),
    )
}

function count(text: string): number {
  const number = Number(text)
  if (/^[0-9]+$/.test(text) && number > 0) return number
  throw new InvalidArgumentError('it is a whole number above 0')
}
