/** Commands that start an engine in this process: run (one job, until it ends) and serve (until told to stop). */
import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { isTerminal, type JobDocument, type JobSummary } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import { isModuleFile } from '../job/parse-program.ts'
import { createClient, type MillraceClient } from '../rpc/client.ts'
import {
  aborted,
  configOf,
  inFile,
  type OutputOptions,
  outputOf,
  pause,
  quietConfigOf,
  readDocument,
  untilSignal,
} from './context.ts'
import type { CliDeps, Engine } from './deps.ts'
import { formatNumber, formatWatermark, printable } from './format.ts'
import { schemaPart } from './job-schema.ts'
import { writeJobChange } from './job-view.ts'
import { LiveView } from './live.ts'
import { localModule } from './module-jobs.ts'
import type { Output } from './output.ts'
import { withOutput } from './shared-options.ts'

/** Adds the commands to the program. */
export function addServerCommands(program: Command, deps: CliDeps): void {
  program
    .command('serve')
    .summary('serve jobs and metrics until Ctrl-C')
    .description(
      'Starts a server: recovers the jobs that its store holds, then takes jobs and questions over gRPC (MILLRACE_GRPC_PORT, ' +
        'default 7420) and serves /metrics, /healthz and /readyz over HTTP (MILLRACE_HTTP_PORT, default 7425). Checkpoints go ' +
        'to MILLRACE_REDIS, or to files in MILLRACE_DATA_DIR (default .millrace). Ends on Ctrl-C or SIGTERM after a last ' +
        'checkpoint of each job (MILLRACE_SHUTDOWN_GRACE, default 20s); its jobs go on with the next start.',
    )
    .action(() => untilSignal(deps, (signal) => serve(deps, signal)))
  withOutput(program.command('run'))
    .summary('run one job in this process, until it ends')
    .description(
      'Runs one job in this process, with its state and the embedded log under MILLRACE_DATA_DIR (default .millrace), and ' +
        'answers gRPC meanwhile. Ends with the job, or on Ctrl-C after a last checkpoint: run again, it goes on from there.',
    )
    .argument('<file>', 'job definition, YAML or JSON, or job module (.ts, .js); - reads standard input')
    .action((file: string, options: OutputOptions) =>
      inFile(file, async () => {
        const module = isModuleFile(file) ? localModule(file) : null
        const text = module?.text ?? (await readDocument(deps, file))
        const config = quietConfigOf(deps)
        const jobs = { ...config.jobs, ...(module === null ? {} : { folder: module.folder }) }
        const output = outputOf(deps, options)
        await untilSignal(deps, (signal) =>
          run(deps, { ...config, jobs }, output, { kind: 'text', text, ...schemaPart(file, text, {}) }, signal),
        )
      }),
    )
}

async function serve(deps: CliDeps, signal: AbortSignal): Promise<void> {
  const engine = await deps.startEngine(configOf(deps))
  try {
    announce(deps, engine)
    const failure = await Promise.race([aborted(signal).then(() => null), engine.failed])
    if (failure !== null) throw failure
    deps.stderr.write('stopping\n')
  } finally {
    await engine.close()
  }
}

/** Says where an engine serves. */
export function announce(deps: CliDeps, engine: Engine): void {
  const http = engine.httpPort < 0 ? '' : `, HTTP on port ${engine.httpPort}`
  deps.stderr.write(`serving gRPC on ${engine.address}${http}; state in ${engine.store}\n`)
}

async function run(
  deps: CliDeps,
  config: Config,
  output: Output,
  document: JobText,
  signal: AbortSignal,
): Promise<void> {
  const engine = await deps.startEngine(config)
  const client = createClient({ ...(await engine.openLocal()), clock: deps.clock })
  try {
    announce(deps, engine)
    const name = await submitOrResume(client, output, document)
    const last = await Promise.race([
      follow(deps, client, name, signal),
      engine.failed.then((error) => {
        throw error
      }),
    ])
    if (isTerminal(last.state)) {
      writeJobChange(output, last, 'ended')
      if (last.state === 'FAILED') {
        throw new MillraceError('JOB_STATE', `job ${name} failed: ${last.reason}`, { domain: 'external' })
      }
    } else {
      output.note('stopping after a last checkpoint; Ctrl-C again ends at once')
      const { summary, checkpointId } = await client.control.stop(name)
      writeJobChange(output, summary, checkpointId === 0 ? 'stopped' : `stopped with checkpoint ${checkpointId}`)
    }
  } finally {
    client.close()
    await engine.close()
  }
}

/** A job as the text of a file. */
type JobText = Extract<JobDocument, { readonly kind: 'text' }>

/** Submits a job; one of the same text that the store has brought back is taken as it is. */
async function submitOrResume(client: MillraceClient, output: Output, document: JobText): Promise<string> {
  try {
    const { name } = await client.control.submit(document)
    return name
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'JOB_EXISTS') throw error
    const { name } = await client.control.validate(document)
    const details = await client.control.describe(name)
    if (details.definitionYaml === document.text) {
      output.note(`job ${name} goes on where it was`)
      return name
    }
    throw new MillraceError(
      'JOB_EXISTS',
      `another definition of job ${name} is stored here and runs: cancel it, or set MILLRACE_DATA_DIR to another folder`,
    )
  }
}

/** Shows a job until it ends or the signal aborts; what it was like last. */
async function follow(deps: CliDeps, client: MillraceClient, name: string, signal: AbortSignal): Promise<JobSummary> {
  const live = deps.stderr.isTTY ? new LiveView(deps.stderr, deps.clock, deps.scheduler) : null
  let shown = ''
  for (;;) {
    const job = (await client.control.list()).find((candidate) => candidate.name === name)
    if (job === undefined) throw new MillraceError('JOB_NOT_FOUND', `job ${name} is gone`)
    const state = `job ${name} is ${job.state}${job.reason === '' ? '' : `: ${printable(job.reason)}`}`
    if (live !== null) live.draw([state, eventsLine(job)])
    else if (state !== shown) deps.stderr.write(`${state}\n`)
    shown = state
    if (isTerminal(job.state) || signal.aborted) {
      live?.end()
      return job
    }
    await pause(deps, live === null ? 500 : 250, signal)
  }
}

/** What became of the events of a job, in a line. */
export function eventsLine(job: JobSummary): string {
  const { read, applied, late, deadLettered, filtered, deduplicated } = job.events
  const parts = [
    `${formatNumber(read)} read`,
    `${formatNumber(applied)} applied`,
    `${formatNumber(late)} late`,
    `${formatNumber(deadLettered)} dead-lettered`,
    `${formatNumber(filtered)} filtered`,
    ...(deduplicated > 0 ? [`${formatNumber(deduplicated)} deduplicated`] : []),
    `watermark ${formatWatermark(job.watermarkMs)}`,
  ]
  return parts.join(', ')
}
