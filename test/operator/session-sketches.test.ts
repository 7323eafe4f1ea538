/** Sketches in sessions: they grow, merge over late bridges, are restored and given back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import type { MetricPlan, MetricRead } from '../../src/job/plan.ts'
import { type Accumulators, layOutAccumulators } from '../../src/operator/accumulators.ts'
import { SessionAggregator } from '../../src/operator/aggregate-sessions.ts'
import { readDetail, readMetric } from '../../src/operator/read-metric.ts'
import { SessionTable } from '../../src/operator/session-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { fillScan, newScan, type Row, recordingChannels } from '../exchange/support.ts'
import { accumulator, adopt, KEY_GROUPS, snapshotOf, tablePlan, takeOver } from './support.ts'

const GAP_MS = 10
const layout = layOutEventBatch(1, 1, false)
const plan = tablePlan(
  [-1],
  [
    accumulator('count', 0),
    { ...accumulator('approxDistinct', 0, 1), precision: 10 },
    { ...accumulator('quantiles', 0, 0), error: 0.01 },
    { ...accumulator('topK', 0, 1), k: 2 },
    accumulator('lastText', 0, 1),
    { ...accumulator('histogram', 0, 0), bounds: [5] },
  ],
  { window: { kind: 'session', gapMs: GAP_MS, timezone: 'UTC', time: 'event' }, allowedLatenessMs: 1e6 },
)
const reads: readonly MetricRead[] = [
  { kind: 'value', of: 0 },
  { kind: 'value', of: 1 },
  { kind: 'quantile', of: 2, q: 0.5 },
  { kind: 'topK', of: 3 },
  { kind: 'text', of: 4 },
  { kind: 'histogram', of: 5 },
]

function read(accumulators: Accumulators, f64: Float64Array, at: number): unknown[] {
  return reads.map((of) => {
    const metric: MetricPlan = { id: 'm', table: 0, predicate: 0, events: 0, read: of, integer: false }
    const detail = readDetail(metric, accumulators, f64, at)
    if (detail === null) return Math.round(readMetric(metric, accumulators, f64, at))
    return detail.text ?? detail.items.map(({ label, value }) => `${label}=${value}`).join()
  })
}

class Sessions {
  readonly pool = new PagePool()
  readonly table: SessionTable
  readonly #aggregator: SessionAggregator

  constructor() {
    const accumulators = layOutAccumulators(
      plan,
      () => 0,
      () => 0,
      this.pool,
    )
    this.table = new SessionTable(plan, GAP_MS, 0, accumulators, this.pool, [])
    this.#aggregator = new SessionAggregator(this.table, [-1])
  }

  apply(rows: readonly Row[], watermarkMs: number): void {
    const { channels, sent } = recordingChannels(1, 1, layout.byteLength)
    const output = new KeyedOutput(layout, { numbers: [0], texts: [1] }, channels, KEY_GROUPS)
    const scan = newScan(1, 1)
    fillScan(scan, rows)
    output.write(scan, null)
    output.flush()
    for (const { message } of sent) {
      this.#aggregator.change = this.table.change
      const batch = new EventBatch(layout, (message as BatchMessage).buffer)
      this.#aggregator.apply(batch, watermarkMs, new Uint8Array(ROWS_MAX), () => undefined)
      this.table.correct(watermarkMs)
    }
    this.advance(watermarkMs)
  }

  advance(watermarkMs: number): void {
    while (this.table.advance(watermarkMs, 100) < 0) {
      // It goes on where its budget ended.
    }
    this.table.change++
  }

  values(): Map<string, unknown[]> {
    const found = new Map<string, unknown[]>()
    const { sessions, history, settled, accumulators } = this.table
    for (let row = 0; row < sessions.table.count; row++) {
      if (!sessions.table.isLive(row)) continue
      const key = Buffer.from(sessions.table.keyOf(row)).toString()
      const at = sessions.at(row)
      found.set(`${key}|${sessions.f64(row)[at]}`, read(accumulators, sessions.f64(row), at + sessions.valuesAt))
    }
    history.scan(-Infinity, Infinity, ({ key, startMs, f64, at }) => {
      found.set(`${Buffer.from(key).toString()}|${startMs}`, read(settled, f64, at))
      return true
    })
    return found
  }
}

/** Sessions by sorting. */
function expected(rows: readonly Row[]): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>()
  for (const key of new Set(rows.map((row) => row.key))) {
    let session: Row[] = []
    const end = (): void => {
      if (session.length === 0) return
      const counts = new Map<string, number>()
      for (const { texts } of session) counts.set(texts[0]!, (counts.get(texts[0]!) ?? 0) + 1)
      const top = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 2)
      const numbers = session.map((row) => row.numbers[0]!).sort((a, b) => a - b)
      const last = session.toSorted((a, b) => a.timeMs - b.timeMs || (a.texts[0]! < b.texts[0]! ? -1 : 1)).at(-1)!
      found.set(`${key}|${session[0]!.timeMs}`, [
        session.length,
        counts.size,
        numbers[Math.floor(0.5 * (numbers.length - 1))]!,
        top.map(([text, count]) => `${text}=${count}`).join(),
        last.texts[0]!,
        `<5=${numbers.filter((n) => n < 5).length},>=5=${numbers.filter((n) => n >= 5).length}`,
      ])
      session = []
    }
    for (const row of rows.filter((r) => r.key === key).toSorted((a, b) => a.timeMs - b.timeMs)) {
      if (session.length > 0 && row.timeMs > session.at(-1)!.timeMs + GAP_MS) end()
      session.push(row)
    }
    end()
  }
  return found
}

const row: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  timeMs: fc.nat(300),
  mask: fc.constant(1),
  numbers: fc.tuple(fc.integer({ min: 1, max: 9 })),
  texts: fc.tuple(fc.constantFrom('x', 'y', 'z')),
})

describe('sketches in sessions', () => {
  it('are those of sorted events, over bridges, restores and the history, and are given back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(row, { minLength: 1, maxLength: 20 }), { maxLength: 6 }),
        fc.nat(5),
        (batches, cut) => {
          let one = new Sessions()
          batches.forEach((rows, i) => {
            one.apply(rows, i * 60)
            if (i !== cut) return
            const next = new Sessions()
            if (i % 2 === 0) adopt(next.table, snapshotOf([one.table]))
            else takeOver(next.table, snapshotOf([one.table]), 0, 1)
            one.table.release()
            one = next
          })
          const all = batches.flat()
          expect(new Map([...one.values()].sort())).toEqual(new Map([...expected(all)].sort()))
          one.advance(5e6)
          expect(new Map([...one.values()].sort())).toEqual(new Map([...expected(all)].sort()))
          expect(one.table.accumulators.cells!.count).toBe(0)
          one.table.release()
          expect(one.pool.bytesInUse).toBe(0)
        },
      ),
      { numRuns: 200 },
    )
  })
})
