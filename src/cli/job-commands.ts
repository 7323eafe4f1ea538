/** Commands on jobs: validate, submit, list, describe, cancel, stop, checkpoints. */
import type { Command } from 'commander'
import type { JobStartDocument, StoppedJob, ValidationResult } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import { parseJob } from '../job/parse.ts'
import { isModuleFile } from '../job/parse-program.ts'
import { dropStateHelp } from './change-commands.ts'
import { inFile, outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { ExitSignal, exitCodes, usage, violationLine } from './failure.ts'
import { followJob } from './job-follow.ts'
import { descriptorSetHelp, descriptorsOf, type SchemaOptions, schemaPart } from './job-schema.ts'
import { jobJson, writeCheckpoints, writeDetails, writeJobChange, writeJobs } from './job-view.ts'
import { submittedText, validateModule } from './module-jobs.ts'
import type { Output } from './output.ts'
import { madeText, savepointJson } from './savepoint-view.ts'
import { collect, withOutput, withServer } from './shared-options.ts'

/** Adds the commands to the program. */
export function addJobCommands(program: Command, deps: CliDeps): void {
  addValidate(program, deps)
  withServer(program.command('submit'))
    .summary('check a job definition and start it on a server')
    .description(
      'Checks a job definition and starts it on a server. Prints every mistake as file:line:column: message.',
    )
    .argument(
      '<file>',
      "job definition, YAML or JSON, or a module of the server's folder of jobs; - reads standard input",
    )
    .option('--descriptor-set <file>', descriptorSetHelp)
    .option('--from-savepoint <name>', 'begin from a savepoint of the job, or as job/name from one of another')
    .option('--claim', 'the savepoint goes once the job has a checkpoint of its own', false)
    .option('--drop-state <name>', `where it goes on from state and is changed, ${dropStateHelp}`, collect)
    .action((file: string, options: ServerOptions & SchemaOptions & StartOptions) =>
      inFile(file, async () => {
        const start = startOf(options)
        const text = await submittedText(deps, file)
        const document = { kind: 'text', text, ...schemaPart(file, text, options) } as const
        const job = await withClient(deps, options, ({ control }) => control.submit(document, start))
        const from = options.fromSavepoint === undefined ? '' : ` from savepoint ${options.fromSavepoint}`
        writeJobChange(outputOf(deps, options), job, `submitted${from}`)
      }),
    )
  withServer(program.command('list'))
    .summary('list the jobs of a server')
    .description('Lists the jobs of a server with their state and what became of the events that they read.')
    .action(async (options: ServerOptions) => {
      const jobs = await withClient(deps, options, ({ control }) => control.list())
      writeJobs(outputOf(deps, options), jobs, deps.clock.nowMs())
    })
  withServer(program.command('describe'))
    .summary('show all that is known of a job')
    .description(
      'Shows the graph of a job as a tree: each operator and subtask with its records, the shares of the last seconds that ' +
        'it was busy, blocked by what follows (back-pressure) or idle, its state and its watermark. Then partitions, ' +
        'checkpoints and the last exceptions. With --watch, follows the job until it ends or Ctrl-C.',
    )
    .argument('<job>', 'name of the job')
    .option('-w, --watch', 'follow the job: its state, progress, checkpoints and watermarks as they change', false)
    .action(async (name: string, options: ServerOptions & { watch: boolean }) => {
      const output = outputOf(deps, options)
      if (options.watch) {
        await followJob(deps, options, output, name)
        return
      }
      const details = await withClient(deps, options, ({ control }) => control.describe(name))
      writeDetails(output, details, deps.clock.nowMs())
    })
  withServer(program.command('cancel'))
    .summary('end a job and drop its checkpoints')
    .description('Ends a job at once and drops its checkpoints. To go on later, use stop.')
    .argument('<job>', 'name of the job')
    .action(async (name: string, options: ServerOptions) => {
      const job = await withClient(deps, options, ({ control }) => control.cancel(name))
      writeJobChange(outputOf(deps, options), job, 'cancelled')
    })
  withServer(program.command('stop'))
    .summary('suspend a job after a last checkpoint')
    .description(
      'Takes a last checkpoint and suspends the job. Submitted again, it goes on from there. With --savepoint, a savepoint is ' +
        'made of it. With --drain, all of time passes first: every window fires, and nothing goes on from there.',
    )
    .argument('<job>', 'name of the job')
    .option('--savepoint [name]', 'make a savepoint; the server chooses a name when absent')
    .option('--drain', 'fire every window first, for a job that ends for good', false)
    .action(async (name: string, options: ServerOptions & { savepoint?: string | true; drain: boolean }) => {
      const wish = { savepoint: options.savepoint === true ? '' : (options.savepoint ?? null), drain: options.drain }
      const stopped = await withClient(deps, options, ({ control }) => control.stop(name, wish))
      writeStopped(outputOf(deps, options), stopped)
    })
  withServer(program.command('checkpoints'))
    .summary('list the checkpoints of a job, or take one')
    .description('Lists the checkpoints that are held of a job, newest first.')
    .argument('<job>', 'name of the job')
    .option('--trigger', 'take one now, and wait until it is durable', false)
    .action(async (name: string, options: ServerOptions & { trigger: boolean }) => {
      const checkpoints = await withClient(deps, options, async ({ control }) =>
        options.trigger ? [await control.triggerCheckpoint(name)] : control.listCheckpoints(name),
      )
      writeCheckpoints(outputOf(deps, options), checkpoints)
    })
}

interface StartOptions {
  readonly fromSavepoint?: string
  readonly claim: boolean
  readonly dropState?: readonly string[]
}

function startOf({ fromSavepoint, claim, dropState = [] }: StartOptions): JobStartDocument | null {
  if (fromSavepoint !== undefined) return { savepoint: fromSavepoint, claim, dropState }
  if (claim) throw usage('--claim is of --from-savepoint: give that too')
  return dropState.length === 0 ? null : { savepoint: '', claim, dropState }
}

function writeStopped(output: Output, { summary, checkpointId, savepoint }: StoppedJob): void {
  if (output.format === 'json') {
    output.json({
      job: jobJson(summary),
      checkpointId,
      savepoint: savepoint === null ? null : savepointJson(savepoint),
    })
    return
  }
  writeJobChange(output, summary, checkpointId === 0 ? 'stopped' : `stopped with checkpoint ${checkpointId}`)
  if (savepoint !== null) output.line(madeText(savepoint))
}

function addValidate(program: Command, deps: CliDeps): void {
  withOutput(program.command('validate'))
    .summary('check a job definition')
    .description(
      'Checks a job definition and prints every mistake as file:line:column: message. Needs no server; with --server, ' +
        'that server checks it.',
    )
    .argument('<files...>', 'job definitions, YAML or JSON, or job modules; - reads standard input')
    .option('-s, --server <host:port>', 'let this server check it')
    .option('--descriptor-set <file>', descriptorSetHelp)
    .action(async (files: readonly string[], options: ServerOptions & SchemaOptions) => {
      const output = outputOf(deps, options)
      const results: { readonly file: string; readonly result: ValidationResult }[] = []
      for (const file of files) {
        const text = await submittedText(deps, file)
        const result =
          options.server === undefined
            ? await (isModuleFile(file) ? validateModule(deps, file) : validateHere(file, text, options, deps))
            : await withClient(deps, options, ({ control }) =>
                control.validate({ kind: 'text', text, ...schemaPart(file, text, options) }),
              )
        results.push({ file: file === '-' ? 'stdin' : file, result })
      }
      for (const { file, result } of results) writeValidation(output, file, result)
      if (results.some(({ result }) => !result.valid)) throw new ExitSignal(exitCodes.invalid)
    })
}

async function validateHere(
  file: string,
  text: string,
  options: SchemaOptions,
  deps: CliDeps,
): Promise<ValidationResult> {
  try {
    const { definition } = parseJob(text, await descriptorsOf(deps, file, text, options))
    return { valid: true, violations: [], name: definition.name, graph: null }
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'JOB_INVALID') throw error
    const { violations } = error
    const whole = { field: '', message: error.message, line: 0, column: 0 }
    return { valid: false, violations: violations.length === 0 ? [whole] : violations, name: '', graph: null }
  }
}

function writeValidation(output: Output, file: string, result: ValidationResult): void {
  if (output.format === 'json') {
    output.jsonLine({ file, valid: result.valid, name: result.name, violations: result.violations })
    return
  }
  for (const violation of result.violations) output.line(violationLine(file, violation))
  const count = result.violations.length
  if (result.valid) output.line(`${file}: ${output.style('green', 'valid')}, job ${result.name}`)
  else output.note(`${file}: ${count === 1 ? 'a mistake' : `${count} mistakes`}`)
}
