/**
 * The differential test's inputs and rivals: a small topic, the rows that real Flink makes of it, and the rows that
 * follow from the definition of the stream alone.
 *
 * A side is any function that turns a topic into sorted canonical rows (`bench/rules.ts`, rowText); the engine's own
 * side is one more of them. Disorder in the stream stays below the out-of-orderness of the jobs, so no event is late and
 * the rows do not depend on when a watermark was made.
 */
import { drawEvent, type EventDraw, type EventStream, newEventDraw } from '../../bench/events.ts'
import { type FlinkJobId, runFlink } from '../../bench/flink/run.ts'
import { RowChecksum, rowText, rules } from '../../bench/rules.ts'
import { writeTopic } from '../../bench/topics.ts'

/** Events of the differential topic: over three minutes of event time, so several windows per key. */
export const DIFFERENTIAL_EVENTS = 20_000

/** The stream of the differential topic: one event each 10 ms, few enough persons that their windows fill. */
export const differentialStream: EventStream = {
  seed: 4711,
  users: 800,
  startMs: 1_790_000_000_000,
  eventsPerMs: 0.1,
  disorderMs: 3_000,
}

/** Events of a group that give a result of the job `counted`. */
export const EVENTS_A_RESULT = 5
/** By how much the windows of the job `cumulate` grow. */
export const CUMULATE_STEP_MS = 20_000

/** Where a side reads. */
export interface DifferentialTopic {
  readonly brokers: string
  readonly topic: string
}

/** One engine under comparison: the sorted canonical rows of a case over a topic. */
export type RowSource = (caseId: FlinkJobId, from: DifferentialTopic) => Promise<readonly string[]>

/** Writes the differential topic anew: 3 partitions, so that subtasks own different numbers of them. */
export async function writeDifferentialTopic(to: DifferentialTopic, partitions = 3): Promise<void> {
  await writeTopic({ ...to, events: DIFFERENTIAL_EVENTS, partitions, stream: differentialStream })
}

/** Flink by one of its APIs. The first call builds the rival with Maven. */
export function flinkSide(api: 'datastream' | 'sql'): RowSource {
  return async (caseId, from) => (await flinkRows(caseId, from, api)).rows
}

/** What an engine makes of a topic with events that come too late. */
export interface LateOutcome {
  /** Sorted canonical rows. */
  readonly rows: readonly string[]
  /** Events that no window took any more. */
  readonly dropped: number
}

/** Flink with a watermark after each event: what is late follows from the order of a topic with one partition. */
export function flinkWithLateEvents(
  api: 'datastream' | 'sql',
): (caseId: FlinkJobId, from: DifferentialTopic) => Promise<LateOutcome> {
  return (caseId, from) => flinkRows(caseId, from, api, 'per-event')
}

async function flinkRows(
  caseId: FlinkJobId,
  from: DifferentialTopic,
  api: 'datastream' | 'sql',
  variant = '',
): Promise<LateOutcome> {
  const run = await runFlink(caseId, { ...from, api, variant, heapMb: 512, keepRows: true, timeoutMs: 120_000 })
  if (!run.result.complete) throw new Error(`Flink did not read ${from.topic} to its end`)
  if (run.result.rows !== run.rows.length) {
    throw new Error(`Flink counted ${run.result.rows} rows and wrote ${run.rows.length}`)
  }
  const sum = new RowChecksum()
  for (const row of run.rows) sum.addText(row)
  if (sum.checksum !== run.result.checksum) throw new Error('Flink and the bench disagree on the checksum of rows')
  return { rows: run.rows, dropped: run.result.late ?? Number.NaN }
}

function takeAll(stream: EventStream, k: number, draw: EventDraw): boolean {
  drawEvent(stream, k, draw)
  return true
}

/** The rows by definition: windows of plain arithmetic over every event of the stream. No engine, no topic. */
export function definitionRows(
  caseId: FlinkJobId,
  stream: EventStream = differentialStream,
  events: number = DIFFERENTIAL_EVENTS,
  /** Draws event `k`; false leaves it out. */
  take: (stream: EventStream, k: number, draw: EventDraw) => boolean = takeAll,
): readonly string[] {
  if (caseId === 'session') return sessionRows(stream, events, take, rules.sessionGapMs)
  if (caseId === 'product-sessions') return sessionRows(stream, events, take, rules.productGapMs)
  if (caseId === 'counted') return countedRows(stream, events, take)
  if (caseId === 'cumulate') return cumulateRows(stream, events, take)
  const draw = newEventDraw()
  const sums = new Map<string, { key: string; startMs: number; count: number; sum: number; persons: Set<number> }>()
  for (let k = 0; k < events; k++) {
    if (!take(stream, k, draw)) continue
    const key = keyOf(caseId, draw)
    const { sizeMs, slideMs } = sizesOf(caseId)
    const lastMs = draw.occurredAtMs - (draw.occurredAtMs % slideMs)
    for (let startMs = lastMs; startMs > draw.occurredAtMs - sizeMs; startMs -= slideMs) {
      const id = `${key}|${startMs}`
      let row = sums.get(id)
      if (row === undefined) {
        row = { key, startMs, count: 0, sum: 0, persons: new Set() }
        sums.set(id, row)
      }
      row.count++
      row.sum += draw.revenueMinor
      row.persons.add(draw.person)
    }
  }
  return [...sums.values()]
    .map(({ key, startMs, count, sum, persons }) =>
      rowText(key, startMs, valuesOf[caseId]?.(persons.size, count) ?? [count, sum]),
    )
    .sort()
}

const valuesOf: Partial<Record<FlinkJobId, (persons: number, count: number) => number[]>> = {
  distinct: (persons) => [persons],
  'product-actives': (persons) => [persons],
  'product-pages': (_, count) => [count],
}

function keyOf(caseId: FlinkJobId, { screen, person }: EventDraw): string {
  if (caseId === 'product-actives') return ''
  return caseId === 'distinct' || caseId === 'product-pages' ? `/product/${screen}` : `user-${person}`
}

function sizesOf(caseId: FlinkJobId): { readonly sizeMs: number; readonly slideMs: number } {
  if (caseId === 'product-actives') return { sizeMs: rules.currentMs, slideMs: rules.currentSlideMs }
  return { sizeMs: rules.windowMs, slideMs: caseId === 'sliding' ? rules.slideMs : rules.windowMs }
}

/** Sessions by person: islands of events no further apart than the gap. */
function sessionRows(stream: EventStream, events: number, take: typeof takeAll, gapMs: number): readonly string[] {
  const draw = newEventDraw()
  const persons = new Map<number, { atMs: number; revenueMinor: number }[]>()
  for (let k = 0; k < events; k++) {
    if (!take(stream, k, draw)) continue
    const of = persons.get(draw.person) ?? []
    persons.set(draw.person, of)
    of.push({ atMs: draw.occurredAtMs, revenueMinor: draw.revenueMinor })
  }
  const rows: string[] = []
  for (const [person, of] of persons) {
    of.sort((a, b) => a.atMs - b.atMs)
    for (let from = 0; from < of.length; ) {
      let to = from + 1
      while (to < of.length && of[to]!.atMs - of[to - 1]!.atMs <= gapMs) to++
      const island = of.slice(from, to)
      const revenueMinor = island.reduce((sum, event) => sum + event.revenueMinor, 0)
      rows.push(rowText(`user-${person}`, of[from]!.atMs, [island.length, revenueMinor]))
      from = to
    }
  }
  return rows.sort()
}

/** Every five events of a person, in the order of the stream; they have no window, so no start. */
function countedRows(stream: EventStream, events: number, take: typeof takeAll): readonly string[] {
  const draw = newEventDraw()
  const open = new Map<number, { count: number; sum: number }>()
  const rows: string[] = []
  for (let k = 0; k < events; k++) {
    if (!take(stream, k, draw)) continue
    const group = open.get(draw.person) ?? { count: 0, sum: 0 }
    open.set(draw.person, group)
    group.count++
    group.sum += draw.revenueMinor
    if (group.count < EVENTS_A_RESULT) continue
    rows.push(rowText(`user-${draw.person}`, 0, [group.count, group.sum]))
    open.delete(draw.person)
  }
  return rows.sort()
}

/** Windows of a minute that grow by steps, known by their end: each that has begun has all events of its minute so far. */
function cumulateRows(stream: EventStream, events: number, take: typeof takeAll): readonly string[] {
  const draw = newEventDraw()
  const sums = new Map<string, { key: string; endMs: number; count: number; sum: number }>()
  for (let k = 0; k < events; k++) {
    if (!take(stream, k, draw)) continue
    const key = `user-${draw.person}`
    const minuteEndMs = draw.occurredAtMs - (draw.occurredAtMs % rules.windowMs) + rules.windowMs
    const firstEndMs = draw.occurredAtMs - (draw.occurredAtMs % CUMULATE_STEP_MS) + CUMULATE_STEP_MS
    for (let endMs = firstEndMs; endMs <= minuteEndMs; endMs += CUMULATE_STEP_MS) {
      const row = sums.get(`${key}|${endMs}`) ?? { key, endMs, count: 0, sum: 0 }
      sums.set(`${key}|${endMs}`, row)
      row.count++
      row.sum += draw.revenueMinor
    }
  }
  return [...sums.values()].map(({ key, endMs, count, sum }) => rowText(key, endMs, [count, sum])).sort()
}
