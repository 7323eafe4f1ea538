/**
 * What the jobs of the chaos rounds must have said, by definition: a batch computation over the topic as Kafka's own Java
 * client reads it. Nothing of the engine is used but the generated class of an event.
 */
import { Event } from '../../../src/gen/millrace/v1/event.ts'
import { ACTIVES_MS, MINUTE_MS, SESSION_GAP_MS } from './jobs.ts'

/** A record of the topic. */
export interface TopicRecord {
  readonly partition: number
  readonly offset: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Lines of the Java client's TopicTool as records. */
export function parseRecords(lines: readonly string[]): TopicRecord[] {
  return lines.map((line) => {
    const [partition, offset, , key = '-', value = '-'] = line.split('\t')
    const bytes = (hex: string) => (hex === '-' ? new Uint8Array(0) : Buffer.from(hex, 'hex'))
    return { partition: Number(partition), offset: Number(offset), key: bytes(key), value: bytes(value) }
  })
}

/** What must come out. Values by `metric|window start|dimension`; the start of a session or window in epoch ms. */
export interface Expected {
  readonly values: ReadonlyMap<string, number>
  /** `partition@offset` of what is no event. */
  readonly deadLetters: ReadonlySet<string>
  /** The same of what is late for every metric that wants it. */
  readonly late: ReadonlySet<string>
  /** Page views by person: how many numbers the job in TypeScript must have given. */
  readonly counts: ReadonlyMap<string, number>
}

/** The name of a result. */
export function resultName(metric: string, startMs: number, dimension: string): string {
  return `${metric}|${startMs}|${dimension}`
}

/** Computes what must come out of a topic. */
export function expectedOf(records: readonly TopicRecord[]): Expected {
  const values = new Map<string, number>()
  const deadLetters = new Set<string>()
  const late = new Set<string>()
  const counts = new Map<string, number>()
  const actives = new Map<string, Set<string>>()
  const times = new Map<string, number[]>()
  const ids = new Set<string>()
  const add = (metric: string, startMs: number, dimension: string, more: number): void => {
    const name = resultName(metric, startMs, dimension)
    values.set(name, (values.get(name) ?? 0) + more)
  }
  for (const { partition, offset, value } of records) {
    const event = decode(value)
    if (event === undefined) {
      deadLetters.add(`${partition}@${offset}`)
      continue
    }
    const { eventId, name, person, platform, revenueMinor } = event
    const timeMs = event.occurredAt!.getTime()
    const minuteMs = Math.floor(timeMs / MINUTE_MS) * MINUTE_MS
    if (name === 'ancient') late.add(`${partition}@${offset}`)
    // The job in TypeScript does not deduplicate.
    if (name === 'page_view') counts.set(person, (counts.get(person) ?? 0) + 1)
    if (eventId !== '' && ids.has(eventId)) continue
    ids.add(eventId)
    if (name === 'click') add('clicks', minuteMs, platform, 1)
    if (name === 'page_view') add('views', minuteMs, person, 1)
    if (name === 'purchase') {
      add('revenue', minuteMs, platform, Number(revenueMinor))
      const last = Math.floor(timeMs / 20_000) * 20_000
      for (let startMs = last; startMs > timeMs - MINUTE_MS; startMs -= 20_000) add('sliding', startMs, platform, 1)
    }
    if (name !== 'page_view' && name !== 'purchase') continue
    const window = resultName('actives', Math.floor(timeMs / ACTIVES_MS) * ACTIVES_MS, '')
    actives.set(window, (actives.get(window) ?? new Set()).add(person))
    times.set(person, [...(times.get(person) ?? []), timeMs])
  }
  for (const [window, persons] of actives) values.set(window, persons.size)
  for (const [person, all] of times) {
    all.sort((a, b) => a - b)
    let startMs = all[0]!
    let count = 0
    let lastMs = startMs
    for (const timeMs of all) {
      // Sessions that touch are one.
      if (timeMs - lastMs > SESSION_GAP_MS) {
        values.set(resultName('sessions', startMs, person), count)
        startMs = timeMs
        count = 0
      }
      count++
      lastMs = timeMs
    }
    values.set(resultName('sessions', startMs, person), count)
  }
  return { values, deadLetters, late, counts }
}

function decode(value: Uint8Array): Event | undefined {
  try {
    const event = Event.decode(value)
    return event.occurredAt === undefined ? undefined : event
  } catch {
    return undefined
  }
}
