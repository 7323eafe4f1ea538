/**
 * Events for whole-job tests: the sample clickstream as the main job's own mapping makes it, spread over partitions in
 * any way and order, and the main job's definition with its ends changed.
 *
 * Owns: what is put in. Does not own: where it is written (events-log.ts, KafkaAccess), or what must come out
 * (test/oracle/).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { nextFraction, SeededRandom } from '../../src/core/clock.ts'
import { hashBytes } from '../../src/core/hash.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { mapSampleRow } from '../../src/job/sample.ts'
import { builtInDescriptors } from './descriptors.ts'
import { readEcom } from './ecom.ts'
import { projectRoot } from './infra-process.ts'

/** One record to be written: its value and what a test wants to know of it. */
export interface SampleEvent {
  /** Empty for what is no event. */
  readonly person: string
  readonly timeMs: number
  readonly value: Uint8Array | null
}

/** The text of jobs/engagement.yaml. */
export const engagementYaml: string = readFileSync(join(projectRoot, 'jobs/engagement.yaml'), 'utf8')

let clickstream: readonly SampleEvent[] | undefined

/** The sample clickstream as events, by time. */
export function engagementEvents(): readonly SampleEvent[] {
  clickstream ??= readClickstream()
  return clickstream
}

function readClickstream(): readonly SampleEvent[] {
  const { sample } = parseJob(engagementYaml, builtInDescriptors())
  if (sample === null) throw new Error('jobs/engagement.yaml has no sample section')
  return readEcom().map((row) => {
    const cells = {
      user_id: row.user,
      session_id: row.session,
      event: row.event,
      timestamp: new Date(row.timestampMs).toISOString(),
      platform: row.platform,
      acquisition_channel: row.channel,
      user_cohort: row.cohort,
      user_lifecycle: row.lifecycle,
    }
    const mapped = mapSampleRow(sample, cells, row.row)
    if ('problem' in mapped) throw new Error(mapped.problem)
    return { person: row.user, timeMs: row.timestampMs, value: Event.encode(mapped.event).finish() }
  })
}

/** An event of a test's own. `timeMs` undefined leaves the time out. */
export function makeEvent(fields: {
  readonly person: string
  readonly timeMs: number | undefined
  readonly name?: string
  readonly platform?: string
  readonly revenueMinor?: number
}): SampleEvent {
  const { person, timeMs, name = 'page_view', platform = 'web', revenueMinor = 0 } = fields
  const occurredAt = timeMs === undefined ? undefined : new Date(timeMs)
  const value = Event.encode(Event.fromPartial({ person, name, platform, occurredAt, revenueMinor })).finish()
  return { person, timeMs: timeMs ?? 0, value }
}

/** How events are spread over partitions. */
export type Filling = 'hash' | 'round-robin' | 'time'

/** All ways of spreading. */
export const fillings: readonly Filling[] = ['hash', 'round-robin', 'time']

/** Spreads events over partitions; within a partition they keep their order. */
export function fillPartitions(events: readonly SampleEvent[], partitions: number, filling: Filling): SampleEvent[][] {
  const filled: SampleEvent[][] = Array.from({ length: partitions }, () => [])
  events.forEach((event, i) => {
    let partition = i % partitions
    if (filling === 'hash') {
      const key = Buffer.from(event.person)
      partition = (hashBytes(key, 0, key.length, 7) >>> 0) % partitions
    }
    if (filling === 'time') partition = Math.floor((i * partitions) / events.length)
    filled[partition]!.push(event)
  })
  return filled
}

/**
 * Another order in which no event comes more than `boundMs` behind the latest before it: as if each had been delayed by
 * less than that.
 */
export function shuffleWithin(events: readonly SampleEvent[], boundMs: number, seed: number): SampleEvent[] {
  const random = new SeededRandom(seed)
  return events
    .map((event) => ({ event, arrivesMs: event.timeMs + nextFraction(random) * boundMs }))
    .sort((a, b) => a.arrivesMs - b.arrivesMs)
    .map(({ event }) => event)
}

/** What of the main job a test changes. */
export interface JobChanges {
  readonly name: string
  /** The one source, as `{ log: {…} }` or `{ kafka: {…} }`; its id stays `events`. */
  readonly source: object
  /** Output of dead letters, and of late events; null for none. */
  readonly deadLetters?: object | null
  readonly late?: object | null
  readonly sinks?: readonly object[]
  readonly [section: string]: unknown
}

/** The main job with other ends, as the text of a document. Any further section replaces the job's own. */
export function engagementJob(changes: JobChanges): string {
  const { name, source, deadLetters = null, late = null, sinks = [], ...sections } = changes
  const document = parse(engagementYaml) as Record<string, unknown>
  document.metadata = { name }
  document.sources = [{ id: 'events', ...source }]
  document.sinks = sinks
  document.deadLetters = deadLetters
  document.late = late
  delete document.sample
  return JSON.stringify({ ...document, ...sections }, null, 1)
}
