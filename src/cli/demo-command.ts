/**
 * `millrace demo`: the shipped job on the shipped data, in one process, from the file to the numbers.
 *
 * Everything goes its real way: rows become Protobuf events in a topic (of the embedded log, or of a cluster when
 * MILLRACE_BROKERS is set), the job reads them, and the numbers shown here are asked for over gRPC. Each demo has a
 * folder, topic and store of its own, so that a second one does not add to the numbers of the first.
 */
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { accountedFor, isTerminal, type JobSummary } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import { loadDescriptors } from '../event/descriptor.ts'
import { parseJob } from '../job/parse.ts'
import { readYaml } from '../job/parse-yaml.ts'
import type { SampleDefinition } from '../job/sample.ts'
import { createClient, type MillraceClient } from '../rpc/client.ts'
import {
  aborted,
  brokerAccessOf,
  inFile,
  type OutputOptions,
  outputOf,
  pause,
  quietConfigOf,
  readDocument,
  untilSignal,
} from './context.ts'
import { showTour } from './demo-tour.ts'
import { liveLines, newestValues, newestValuesNow, writeNewest } from './demo-view.ts'
import type { CliDeps, Engine } from './deps.ts'
import { openTarget, type TargetSpec } from './event-target.ts'
import { formatElapsed, formatNumber, printable } from './format.ts'
import { jobJson } from './job-view.ts'
import { LiveView } from './live.ts'
import { valueJson } from './metric-view.ts'
import type { Output } from './output.ts'
import { type ReplayProgress, replay } from './replay.ts'
import { readRows } from './rows.ts'
import { announce, eventsLine } from './server-commands.ts'
import { positive, withOutput } from './shared-options.ts'

interface DemoOptions extends OutputOptions {
  readonly job: string
  readonly rate?: number
}

/** Pace on a terminal: slow enough to watch. */
const watchableRate = 4000

/** Longest time without any progress. */
const stallMs = 60_000

/** Adds the command to the program. `jobFile` is the shipped job. */
export function addDemoCommand(program: Command, deps: CliDeps, jobFile: string): void {
  withOutput(program.command('demo'))
    .summary('replay sample data through the shipped job, and watch')
    .description(
      'Replays 31,106 events of an online shop through the embedded log and the job jobs/engagement.yaml, with live numbers ' +
        'on a terminal, then shows a funnel and incidents that two more jobs find in them, and ends with the commands that ask for more. Keeps answering gRPC until Ctrl-C on a ' +
        'terminal, else exits. With MILLRACE_BROKERS and MILLRACE_REDIS set, the same through Redpanda or Kafka, and Redis.',
    )
    .option('-j, --job <file>', 'another job with a sample section', jobFile)
    .option(
      '--rate <events>',
      `events a second; default ${watchableRate} on a terminal, else as fast as they are taken`,
      positive,
    )
    .action((options: DemoOptions) =>
      inFile(options.job, async () => {
        const text = await readDocument(deps, options.job)
        await untilSignal(deps, (signal) => demo(deps, options, text, signal))
      }),
    )
}

async function demo(deps: CliDeps, options: DemoOptions, text: string, signal: AbortSignal): Promise<void> {
  const output = outputOf(deps, options)
  const { definition, sample } = parseJob(text, loadDescriptors(deps.descriptors()))
  if (sample === null) {
    throw new MillraceError(
      'JOB_INVALID',
      `job ${definition.name} has no sample section, so there is nothing to replay`,
    )
  }
  const file = join(dirname(options.job), sample.file)
  const place = placeOf(quietConfigOf(deps), deps)
  if (place.folder !== null) rmSync(place.folder, { recursive: true, force: true })
  const document = relocate(readYaml(text).value, place)
  const total = await countRows(file, sample)
  const engine = await startEngine(deps, place.config)
  const client = createClient({ ...(await engine.openLocal()), clock: deps.clock })
  try {
    announce(deps, engine)
    const run = new DemoRun(deps, output, client, engine, definition.name, total)
    await run.play(place.target, file, sample, document, options.rate ?? (output.live ? watchableRate : 0), signal)
    if (signal.aborted) return
    await run.summarize()
    if (output.format === 'json') return
    const folder = dirname(options.job)
    await showTour(deps, { client, output, folder, events: total, relocate: (other) => relocate(other, place), signal })
    writeNext(output, deps, engine, place, definition.name)
    if (output.live) await Promise.race([aborted(signal), engine.failed])
  } finally {
    client.close()
    await engine.close()
  }
}

/** Where a demo lives. */
interface Place {
  readonly config: Config
  readonly target: TargetSpec
  /** Folder that is emptied first; null when nothing of it is in files. */
  readonly folder: string | null
  /** What to add to the environment to bring the same state back. */
  readonly environment: string
}

function placeOf(config: Config, deps: CliDeps): Place {
  const folder = join(config.dataDir, 'demo')
  if (config.brokers === '' && config.redisUrl === '') {
    const target = { kind: 'log', path: join(folder, 'log'), topic: 'events' } as const
    return { config: { ...config, dataDir: folder }, target, folder, environment: `MILLRACE_DATA_DIR=${folder} ` }
  }
  if (config.brokers === '' || config.redisUrl === '') {
    const missing = config.brokers === '' ? 'MILLRACE_BROKERS' : 'MILLRACE_REDIS'
    throw new MillraceError(
      'CONFIG_INVALID',
      `the demo runs on a broker and Redis, or on neither: set ${missing} too, or unset the other`,
    )
  }
  const name = `millrace-demo-${deps.random.nextUint32().toString(16).padStart(8, '0')}`
  return {
    config: { ...config, redisPrefix: name },
    target: { kind: 'kafka', brokers: config.brokers, topic: name },
    folder: null,
    environment: `MILLRACE_REDIS_PREFIX=${name} `,
  }
}

type Json = Record<string, unknown>

/** The job with its source and outputs where the demo lives; on a cluster without outputs, to leave less behind. */
function relocate(value: unknown, { target }: Place): Json {
  const { sinks, deadLetters, late, episodes, ...rest } = value as Json
  const { id } = (rest.sources as readonly Json[])[0] ?? {}
  const { topic } = target
  if (target.kind === 'kafka') return { ...rest, sources: [{ id, kafka: { topic } }] }
  const { path } = target
  return {
    ...rest,
    sources: [{ id, log: { path, topic } }],
    ...(sinks === undefined ? {} : { sinks: [{ id: 'out', log: { path, topic: 'metrics' } }] }),
    ...(deadLetters === undefined ? {} : { deadLetters: { log: { path, topic: `${topic}-dead-letters` } } }),
    ...(episodes === undefined ? {} : { episodes: { log: { path, topic: 'episodes' } } }),
    ...(late === undefined ? {} : { late: { log: { path, topic: `${topic}-late` } } }),
  }
}

async function countRows(file: string, sample: SampleDefinition): Promise<number> {
  let rows = 0
  for await (const batch of readRows(file, sample.format)) rows += batch.length
  return rows
}

/** Starts on the configured ports, or on free ones when another server has them. */
async function startEngine(deps: CliDeps, config: Config): Promise<Engine> {
  try {
    return await deps.startEngine(config)
  } catch (thrown) {
    if (MillraceError.from(thrown).code !== 'CONFIG_INVALID') throw thrown
    deps.stderr.write('the usual ports are taken; using free ones\n')
    const { grpc, http } = config
    return deps.startEngine({
      ...config,
      grpc: { ...grpc, port: 0 },
      http: { ...http, port: http.port < 0 ? -1 : 0 },
    })
  }
}

class DemoRun {
  readonly #deps: CliDeps
  readonly #output: Output
  readonly #client: MillraceClient
  readonly #engine: Engine
  readonly #name: string
  readonly #total: number
  readonly #startMs: number
  #progress: ReplayProgress | null = null
  #job: JobSummary | null = null

  constructor(deps: CliDeps, output: Output, client: MillraceClient, engine: Engine, name: string, total: number) {
    this.#deps = deps
    this.#output = output
    this.#client = client
    this.#engine = engine
    this.#name = name
    this.#total = total
    this.#startMs = deps.clock.monotonicMs()
  }

  /** Submits the job, sends the events, and waits until the job has read and settled every one. */
  async play(
    spec: TargetSpec,
    file: string,
    sample: SampleDefinition,
    document: Json,
    rate: number,
    signal: AbortSignal,
  ): Promise<void> {
    const target = await openTarget(spec, 4, this.#deps, (brokers) => brokerAccessOf(this.#deps, brokers))
    try {
      await this.#client.control.submit({ kind: 'document', document })
      const options = { file, sample, sortByTime: true, rate, limit: 0, skipBad: false, signal }
      const sending = replay(this.#deps, target, options, (progress) => {
        this.#progress = progress
      })
      const failed = this.#engine.failed.then((error) => {
        throw error
      })
      await Promise.race([Promise.all([sending, this.#watch(signal)]), failed])
    } finally {
      await target.close()
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const live = this.#output.live ? new LiveView(this.#output.stdout, this.#deps.clock, this.#deps.scheduler) : null
    const metrics = await this.#client.query.listMetrics(this.#name)
    let settled = -1
    let movedMs = this.#deps.clock.monotonicMs()
    try {
      for (;;) {
        const job = await this.#summary()
        this.#job = job
        const sent = this.#progress?.events ?? 0
        if (live !== null) {
          const values = await newestValuesNow(this.#client, metrics, 40)
          if (values !== null) live.draw(liveLines(this.#output, job, values, sent, this.#total))
        }
        const done = accountedFor(job.events)
        if (signal.aborted || (sent === this.#total && job.events.read === sent && done === sent)) return
        const nowMs = this.#deps.clock.monotonicMs()
        if (done + sent !== settled) movedMs = nowMs
        settled = done + sent
        if (nowMs - movedMs > stallMs) throw this.#stalled(job, sent)
        await pause(this.#deps, live === null ? 50 : 150, signal)
      }
    } finally {
      live?.clear()
    }
  }

  async #summary(): Promise<JobSummary> {
    const job = (await this.#client.control.list()).find((candidate) => candidate.name === this.#name)
    if (job === undefined) throw new MillraceError('JOB_NOT_FOUND', `job ${this.#name} is gone`)
    if (isTerminal(job.state) && job.state !== 'FINISHED') {
      throw new MillraceError('JOB_STATE', `job ${this.#name} is ${job.state}: ${job.reason}`, { domain: 'external' })
    }
    return job
  }

  #stalled(job: JobSummary, sent: number): MillraceError {
    return new MillraceError(
      'UNAVAILABLE',
      `no progress for ${formatElapsed(stallMs)} with ${sent} events sent and ${eventsLine(job)} (job ${job.state}${job.reason === '' ? '' : `: ${printable(job.reason)}`})`,
    )
  }

  /** Writes how it went, and the newest values. */
  async summarize(): Promise<void> {
    const job = this.#job ?? (await this.#summary())
    const metrics = await this.#client.query.listMetrics(this.#name)
    const results = await newestValues(this.#client, metrics, 1000)
    const elapsedMs = this.#deps.clock.monotonicMs() - this.#startMs
    const output = this.#output
    if (output.format === 'json') {
      const values = results.flatMap((result) => result.values.map((value) => valueJson(result, value)))
      output.json({ job: jobJson(job), elapsedMs: Math.round(elapsedMs), values })
      return
    }
    output.line(
      `${output.style('bold', job.name)}: ${formatNumber(job.events.read)} events in ${formatElapsed(elapsedMs)}`,
    )
    output.line(eventsLine(job))
    output.line()
    writeNewest(output, results, 6)
  }
}

function writeNext(output: Output, deps: CliDeps, engine: Engine, place: Place, name: string): void {
  const usual = place.config.server
  const server = engine.address === usual ? '' : ` --server ${engine.address}`
  output.line()
  if (output.live) {
    output.line('Ask for more, in another terminal:')
  } else {
    output.line('Ask for more: bring the server back, then, in another terminal, query it:')
    output.line(`  ${place.environment}${deps.command} serve`)
  }
  const flag = output.live ? server : ''
  output.line(`  ${deps.command} query${flag}`)
  output.line(`  ${deps.command} query ${name}/active_users --latest --limit 7${flag}`)
  output.line(`  ${deps.command} query ${name}/page_views --from 2024-03-01 --to 2024-03-02 --group-by platform${flag}`)
  output.line(`  ${deps.command} describe ${name}${flag}`)
  output.line(`  ${deps.command} funnel conversion/checkout --from 2024-05-01 --to 2024-05-03${flag}`)
  output.line()
  output.line(
    'Where to go next: jobs/engagement.yaml is the first job, with comments; docs/jobs says what the others answer;\n' +
      'docs/ARCHITECTURE.md follows one event through.',
  )
  if (output.live) output.line(output.style('dim', `serving gRPC on ${engine.address} until Ctrl-C`))
}
