/** `millrace produce`: a data file to Protobuf events in a topic. */
import { dirname, isAbsolute, join } from 'node:path'
import type { Command } from 'commander'
import { MillraceError } from '../core/errors.ts'
import type { SourceInput } from '../job/definition.ts'
import { parseJob } from '../job/parse.ts'
import { isSampleField, type SampleColumn, type SampleDefinition } from '../job/sample.ts'
import { brokerAccessOf, configOf, inFile, type OutputOptions, outputOf, readDocument, untilSignal } from './context.ts'
import type { CliDeps } from './deps.ts'
import { openTarget, type TargetSpec } from './event-target.ts'
import { usage } from './failure.ts'
import { formatBytes, formatElapsed, formatNumber, formatTime, printable } from './format.ts'
import { descriptorBytes, descriptorsOf, readSet, type SchemaOptions } from './job-schema.ts'
import { LiveView } from './live.ts'
import type { Output } from './output.ts'
import { jobMessages, type MessageOptions, plainMessages } from './produce-messages.ts'
import { type ReplayProgress, type RowEncoder, replay } from './replay.ts'
import { formatOf, type RowFormat } from './rows.ts'
import { collect, positive, positiveInteger, withOutput } from './shared-options.ts'

interface ProduceOptions extends OutputOptions, MessageOptions, SchemaOptions {
  readonly job?: string
  readonly map: readonly string[]
  readonly format?: RowFormat
  readonly timezone?: string
  readonly topic?: string
  readonly log?: string
  readonly brokers?: string
  readonly partitions: number
  readonly rate?: number
  readonly limit?: number
  readonly sortByTime: boolean
  readonly skipBad: boolean
}

/** Adds the command to the program. */
export function addProduceCommand(program: Command, deps: CliDeps): void {
  withOutput(program.command('produce'))
    .summary('write a CSV or JSON file as events into a topic')
    .description(
      'Writes the rows of a CSV or JSON file (also .gz) as Protobuf events (millrace.v1.Event) into a topic of Redpanda or ' +
        'Kafka, or of the embedded log. What a row becomes is said by the sample section of a job (--job), by --map, or both. ' +
        'With --descriptor-set, or a --job whose schema is one, writes JSON documents as messages of that set instead.',
    )
    .argument('[file]', 'data file; by default the one of the sample section')
    .option('-j, --job <file>', 'job whose sample section maps the rows, and whose source is the target')
    .option(
      '-m, --map <field=column>',
      'an event field and its column; #row for the row number; repeatable',
      collect,
      [],
    )
    .option('--descriptor-set <file>', 'write messages of this descriptor set: each row is a JSON document of one')
    .option('--message <name>', 'full name of the message; default the one that the job reads')
    .option('--time <path>', 'its time, for --sort-by-time and the records; default that of the job, or occurred_at')
    .option('--key <path>', 'its key; default that of the job, or person')
    .option(
      '--format <form>',
      'csv, text (columns between blanks) or json (one document a line, or an array); by default by the name of the file',
    )
    .option('--timezone <zone>', 'zone of times that name none; default UTC')
    .option('-t, --topic <name>', 'topic to write')
    .option('--log <folder>', 'write the embedded log in this folder')
    .option('--brokers <list>', 'write to this cluster, host:port,host:port (MILLRACE_BROKERS)')
    .option('--partitions <count>', 'partitions of a topic that is created', positiveInteger, 4)
    .option('--rate <events>', 'events a second; default as fast as they are taken', positive)
    .option('--limit <events>', 'most events', positiveInteger)
    .option('--sort-by-time', 'write in the order of event times (reads the whole file first)', false)
    .option('--skip-bad', 'leave out and count rows that are no events, instead of stopping at the first', false)
    .addHelpText('after', `\n${eventFields}`)
    .action(async (file: string | undefined, options: ProduceOptions) => {
      const output = outputOf(deps, options)
      const job = await readJob(deps, options.job, options)
      const path = file ?? job.file
      if (path === null) throw usage('name a data file, or a --job whose sample section names one')
      const encoder = job.encoder ?? encoderOf(options)
      const sample = encoder === null ? sampleOf(path, job.sample, options) : documents(path, options)
      const spec = targetOf(job.input, options, deps)
      await untilSignal(deps, (signal) => produce(deps, output, path, { sample, encoder }, spec, options, signal))
    })
}

const eventFields = `Event fields: event_id, person, device, session, name, occurred_at, sent_at, received_at, platform, screen,
revenue_minor, currency, properties.<name>, context.<name>`

interface JobPart {
  readonly sample: SampleDefinition | null
  readonly file: string | null
  readonly input: SourceInput | null
  /** Null where rows are mapped to events. */
  readonly encoder: RowEncoder | null
}

async function readJob(deps: CliDeps, file: string | undefined, options: ProduceOptions): Promise<JobPart> {
  if (file === undefined) return { sample: null, file: null, input: null, encoder: null }
  return inFile(file, async () => {
    const text = await readDocument(deps, file)
    const { definition, sample } = parseJob(text, await descriptorsOf(deps, file, text, options))
    const { input } = definition.source
    const set = await descriptorBytes(deps, file, text, options)
    if (set !== null) return { sample: null, file: null, input, encoder: jobMessages(definition, set, options) }
    if (sample === null) return { sample, file: null, input, encoder: null }
    const path = isAbsolute(sample.file) || file === '-' ? sample.file : join(dirname(file), sample.file)
    return { sample, file: path, input, encoder: null }
  })
}

function encoderOf(options: ProduceOptions): RowEncoder | null {
  const { descriptorSet, message } = options
  if (descriptorSet === undefined && message === undefined) return null
  if (descriptorSet === undefined) throw usage('--message needs --descriptor-set, or a --job whose schema is one')
  return plainMessages(readSet(descriptorSet), options)
}

/** Documents that are messages already: nothing is mapped. */
function documents(path: string, options: ProduceOptions): SampleDefinition {
  if ((options.format ?? formatOf(path)) !== 'json')
    throw usage(`messages are written from JSON: name a .json or .jsonl file, or give --format json`)
  if (options.map.length > 0) throw usage('--map maps rows to events of Millrace; documents of a message need none')
  return { file: path, format: 'json', timezone: 'UTC', columns: {}, names: {} }
}

function sampleOf(path: string, base: SampleDefinition | null, options: ProduceOptions): SampleDefinition {
  const columns: Record<string, SampleColumn> = { ...base?.columns }
  for (const mapping of options.map) {
    const equals = mapping.indexOf('=')
    const field = mapping.slice(0, equals)
    const column = mapping.slice(equals + 1)
    if (equals <= 0 || column === '') throw usage(`--map ${mapping} is not field=column`)
    if (!isSampleField(field)) throw usage(`--map ${mapping}: ${field} is not a field of an event; see produce --help`)
    columns[field] = column === '#row' ? { row: true } : { column }
  }
  for (const field of ['person', 'occurred_at']) {
    if (columns[field] === undefined) throw usage(`nothing maps to ${field}: give --map ${field}=COLUMN or a --job`)
  }
  const format = options.format ?? formatOf(path) ?? base?.format
  if (format !== 'csv' && format !== 'text' && format !== 'json') {
    throw usage(`the name of ${path} does not say what is in it: give --format csv, text or json`)
  }
  return {
    file: path,
    format,
    timezone: zoneOf(options.timezone ?? base?.timezone ?? 'UTC'),
    columns,
    names: base?.names ?? {},
  }
}

function zoneOf(zone: string): string {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return zone
  } catch {
    throw usage(`--timezone ${zone} is no IANA time zone`)
  }
}

function targetOf(input: SourceInput | null, options: ProduceOptions, deps: CliDeps): TargetSpec {
  if (options.log !== undefined && options.brokers !== undefined) {
    throw usage('--log and --brokers are two targets: give one')
  }
  const topic = options.topic ?? (input !== null && 'topic' in input ? input.topic : undefined)
  if (topic === undefined) throw usage('name the topic to write: --topic, or a --job whose source has one')
  if (options.log !== undefined) return { kind: 'log', path: options.log, topic }
  if (options.brokers !== undefined) return { kind: 'kafka', brokers: brokersOf(options.brokers), topic }
  if (input?.kind === 'log') return { kind: 'log', path: input.path, topic }
  const brokers = input?.kind === 'kafka' && input.brokers !== '' ? input.brokers : configOf(deps).brokers
  if (brokers === '') throw usage('say where the topic is: --log FOLDER, --brokers HOST:PORT, or MILLRACE_BROKERS')
  return { kind: 'kafka', brokers, topic }
}

function brokersOf(text: string): string {
  if (!/^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$/.test(text)) throw usage(`--brokers ${text} is not host:port,host:port`)
  return text
}

async function produce(
  deps: CliDeps,
  output: Output,
  file: string,
  { sample, encoder }: { readonly sample: SampleDefinition; readonly encoder: RowEncoder | null },
  spec: TargetSpec,
  options: ProduceOptions,
  signal: AbortSignal,
): Promise<void> {
  const startMs = deps.clock.monotonicMs()
  const target = await openTarget(spec, options.partitions, deps, (brokers) => brokerAccessOf(deps, brokers))
  const live = deps.stderr.isTTY ? new LiveView(deps.stderr, deps.clock, deps.scheduler) : null
  let progress: ReplayProgress
  try {
    progress = await replay(
      deps,
      target,
      {
        file,
        sample,
        ...(encoder === null ? {} : { encoder }),
        sortByTime: options.sortByTime,
        rate: options.rate ?? 0,
        limit: options.limit ?? 0,
        skipBad: options.skipBad,
        signal,
      },
      (now) => live?.draw([progressLine(now, deps.clock.monotonicMs() - startMs)]),
    )
  } finally {
    live?.clear()
    await target.close()
  }
  report(output, target.name, progress, deps.clock.monotonicMs() - startMs, options.skipBad)
}

function progressLine(progress: ReplayProgress, elapsedMs: number): string {
  const at = Number.isFinite(progress.lastTimeMs) ? `, at ${formatTime(progress.lastTimeMs)}` : ''
  const rate = elapsedMs > 0 ? (progress.events / elapsedMs) * 1000 : 0
  return `${formatNumber(progress.rows)} rows read, ${formatNumber(progress.events)} events written${at}, ${formatNumber(Math.round(rate))}/s`
}

function report(output: Output, target: string, progress: ReplayProgress, elapsedMs: number, skipBad: boolean): void {
  const { rows, events, bytes, bad } = progress
  if (output.format === 'json') {
    output.json({ target, rows, events, bytes, bad, elapsedMs: Math.round(elapsedMs) })
  } else {
    const rate = Math.round((events / Math.max(1, elapsedMs)) * 1000)
    output.line(
      `wrote ${formatNumber(events)} events (${formatBytes(bytes)}) to ${target} in ${formatElapsed(elapsedMs)}, ${formatNumber(rate)} events/s`,
    )
  }
  for (const problem of progress.problems) output.note(printable(problem))
  if (bad > 0) output.note(`left out ${formatNumber(bad)} of ${formatNumber(rows)} rows`)
  if (rows > 0 && events === 0 && skipBad) {
    throw new MillraceError('INPUT_INVALID', 'no row of the file is an event; look at the mapping')
  }
}
