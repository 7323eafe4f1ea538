/**
 * What sinks hold, held against what they must hold: every wrong thing in a line.
 *
 * Nothing lost, nothing twice: a result of a metric without allowed lateness is there once; one that is corrected has its
 * revisions once each, rising, and the last of them is right. Watermarks never fall within an attempt.
 */
import { DeadLetter, LateEvent, MetricValue } from '../../../src/gen/millrace/v1/metric.ts'
import { type Expected, resultName, type TopicRecord } from './expected.ts'

/** Results in the order in which a sink holds them. */
export function wrongResults(values: readonly MetricValue[], { values: expected }: Expected): string[] {
  const wrong: string[] = []
  const last = new Map<string, MetricValue>()
  const seen = new Set<string>()
  for (const value of values) {
    const name = nameOf(value)
    const once = `${name} revision ${value.revision}`
    if (seen.has(once)) wrong.push(`twice: ${once} (attempt ${value.attempt})`)
    seen.add(once)
    const before = last.get(name)
    if (before !== undefined) {
      if (value.metric !== 'clicks') wrong.push(`corrected without lateness: ${once}`)
      if (value.revision <= before.revision) wrong.push(`revisions fall: ${once} after ${before.revision}`)
      if (value.attempt === before.attempt && value.watermark! < before.watermark!)
        wrong.push(`watermark falls: ${once}`)
    } else if (value.revision !== 1) {
      wrong.push(`begins with: ${once}`)
    }
    last.set(name, value)
  }
  return [...wrong, ...wrongValues(last, expected)]
}

/** The last value of each result. */
export function wrongValues(last: ReadonlyMap<string, MetricValue>, expected: ReadonlyMap<string, number>): string[] {
  const wrong: string[] = []
  for (const [name, number] of expected) {
    const found = last.get(name)
    if (found === undefined) wrong.push(`lost: ${name} = ${number}`)
    else if (numberOf(found) !== number) wrong.push(`wrong: ${name} = ${numberOf(found)}, not ${number}`)
  }
  for (const [name, value] of last) {
    // The events that close every window are in windows of their own, which only the end of input would close.
    if (!expected.has(name)) wrong.push(`invented: ${name} = ${numberOf(value)}`)
  }
  return wrong
}

/** Results as a topic holds them. */
export function resultsOf(records: readonly TopicRecord[]): MetricValue[] {
  return records.map(({ value }) => MetricValue.decode(value))
}

/** Dead letters: each once. */
export function wrongDeadLetters(records: readonly TopicRecord[], { deadLetters }: Expected): string[] {
  const origins = records
    .map(({ value }) => DeadLetter.decode(value))
    .map(({ partition, offset }) => `${partition}@${offset}`)
  return differences('dead letter', origins, deadLetters)
}

/** Late events: each once. */
export function wrongLate(records: readonly TopicRecord[], { late }: Expected): string[] {
  const origins = records
    .map(({ value }) => LateEvent.decode(value))
    .map(({ partition, offset }) => `${partition}@${offset}`)
  return differences('late event', origins, late)
}

/** The numbers of the job in TypeScript: of each person from 1 up, each once, in order. */
export function wrongCounts(records: readonly TopicRecord[], { counts }: Expected): string[] {
  const wrong: string[] = []
  const reached = new Map<string, number>()
  for (const { value } of records) {
    const { person, n } = JSON.parse(Buffer.from(value).toString()) as { person: string; n: number }
    const before = reached.get(person) ?? 0
    if (n !== before + 1) wrong.push(`count of ${person}: ${n} after ${before}`)
    reached.set(person, n)
  }
  for (const [person, count] of counts) {
    if (reached.get(person) !== count) wrong.push(`count of ${person} ends at ${reached.get(person)}, not ${count}`)
  }
  return wrong
}

/** The name of a result. */
export function nameOf(value: MetricValue): string {
  return resultName(value.metric, value.windowStart!.getTime(), value.dimensions.map((d) => d.value).join('/'))
}

function numberOf({ value }: MetricValue): number {
  return value === undefined ? Number.NaN : Number(value.value)
}

function differences(what: string, found: readonly string[], expected: ReadonlySet<string>): string[] {
  const once = new Set<string>()
  const wrong: string[] = []
  for (const origin of found) {
    if (once.has(origin)) wrong.push(`twice: ${what} ${origin}`)
    if (!expected.has(origin)) wrong.push(`invented: ${what} ${origin}`)
    once.add(origin)
  }
  for (const origin of expected) if (!once.has(origin)) wrong.push(`lost: ${what} ${origin}`)
  return wrong
}
