/**
 * The differential test's inputs and rivals: a small topic, the rows that real Flink makes of it, and the rows that
 * follow from the definition of the stream alone.
 *
 * A side is any function that turns a topic into sorted canonical rows (`bench/rules.ts`, rowText); the engine's own
 * side is one more of them. Disorder in the stream stays below the out-of-orderness of the jobs, so no event is late and
 * the rows do not depend on when a watermark was made.
 */
import type { CaseId } from '../../bench/cases/case.ts'
import { drawEvent, type EventStream, newEventDraw } from '../../bench/events.ts'
import { runFlink } from '../../bench/flink/run.ts'
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

/** Where a side reads. */
export interface DifferentialTopic {
  readonly brokers: string
  readonly topic: string
}

/** One engine under comparison: the sorted canonical rows of a case over a topic. */
export type RowSource = (caseId: CaseId, from: DifferentialTopic) => Promise<readonly string[]>

/** Writes the differential topic anew: 3 partitions, so that subtasks own different numbers of them. */
export async function writeDifferentialTopic(to: DifferentialTopic): Promise<void> {
  await writeTopic({ ...to, events: DIFFERENTIAL_EVENTS, partitions: 3, stream: differentialStream })
}

/** Flink by one of its APIs. The first call builds the rival with Maven. */
export function flinkSide(api: 'datastream' | 'sql', parallelism: number = rules.parallelism): RowSource {
  return async (caseId, from) => {
    const run = await runFlink(caseId, { ...from, api, parallelism, heapMb: 512, keepRows: true, timeoutMs: 120_000 })
    if (!run.result.complete) throw new Error(`Flink did not read ${from.topic} to its end`)
    if (run.result.rows !== run.rows.length) {
      throw new Error(`Flink counted ${run.result.rows} rows and wrote ${run.rows.length}`)
    }
    const sum = new RowChecksum()
    for (const row of run.rows) sum.addText(row)
    if (sum.checksum !== run.result.checksum) throw new Error('Flink and the bench disagree on the checksum of rows')
    return run.rows
  }
}

/** The rows by definition: windows of plain arithmetic over every event of the stream. No engine, no topic. */
export function definitionRows(
  caseId: CaseId,
  stream: EventStream = differentialStream,
  events: number = DIFFERENTIAL_EVENTS,
): readonly string[] {
  const draw = newEventDraw()
  const sums = new Map<string, { key: string; startMs: number; count: number; sum: number; persons: Set<number> }>()
  for (let k = 0; k < events; k++) {
    drawEvent(stream, k, draw)
    const key = caseId === 'tumbling' ? `user-${draw.person}` : `/product/${draw.screen}`
    const startMs = draw.occurredAtMs - (draw.occurredAtMs % rules.windowMs)
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
  return [...sums.values()]
    .map(({ key, startMs, count, sum, persons }) =>
      rowText(key, startMs, caseId === 'tumbling' ? [count, sum] : [persons.size]),
    )
    .sort()
}
