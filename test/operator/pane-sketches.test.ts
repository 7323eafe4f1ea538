/** Sketches over panes: a window put together of its panes says what one sketch of all its events would. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccumulatorPlan, TablePlan } from '../../src/job/plan.ts'
import { readDetail, readMetric } from '../../src/operator/read-metric.ts'
import type { Row } from '../exchange/support.ts'
import { nameOf } from './reference.ts'
import { accumulator, Cluster, NUMBERS, tablePlan } from './support.ts'

const text = NUMBERS
const PRECISION = 12
const QUANTILE_ERROR = 0.02
const K = 10

/** HyperLogLog of keys and of texts, DDSketch of a number, and the frequent texts. */
const accumulators: readonly AccumulatorPlan[] = [
  accumulator('count', 0),
  { ...accumulator('approxDistinct', 0), precision: PRECISION },
  { ...accumulator('approxDistinct', 0, text + 1), precision: PRECISION },
  { ...accumulator('quantiles', 0, 1), error: QUANTILE_ERROR },
  { ...accumulator('topK', 0, text), k: K },
]
const QUANTILES = [0, 0.5, 0.9, 0.99, 1]

interface Reading {
  readonly numbers: readonly number[]
  /** Texts and their counts as the top list has them. */
  readonly top: readonly (readonly [string, number])[]
}

/** What every window of a table without dimensions says, by name. */
function readAll(cluster: Cluster): Map<string, Reading> {
  const found = new Map<string, Reading>()
  const about = { id: 'm', table: 0, predicate: 0, events: 0, integer: false } as const
  for (const table of cluster.tables) {
    table.history.scan(-Infinity, Infinity, ({ startMs, endMs, f64, at }) => {
      const numbers = [1, 2].map((of) => readMetric({ ...about, read: { kind: 'value', of } }, table.settled, f64, at))
      // A window that is over keeps the quantiles themselves; the sketch is asked while it is open.
      found.set(nameOf({ startMs, endMs, group: [] }), { numbers, top: [] })
      return true
    })
    table.visitOpen(-Infinity, Infinity, null, (startMs, endMs, _key, _revision, _change, f64, at) => {
      const numbers = [
        ...[1, 2].map((of) => readMetric({ ...about, read: { kind: 'value', of } }, table.accumulators, f64, at)),
        ...QUANTILES.map((q) =>
          readMetric({ ...about, read: { kind: 'quantile', of: 3, q } }, table.accumulators, f64, at),
        ),
      ]
      const detail = readDetail({ ...about, read: { kind: 'topK', of: 4 } }, table.accumulators, f64, at)
      const top = (detail?.items ?? []).map(({ label, value }) => [label, value] as const)
      found.set(nameOf({ startMs, endMs, group: [] }), { numbers, top })
      return true
    })
  }
  return found
}

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const plan = (window: TablePlan['window']) =>
  tablePlan([], accumulators, { window, allowedLatenessMs: 1e9, retainMs: 1e12 })

/** A stream of its own for each seed: many keys, a long tail of texts, numbers over four decades. */
function events(count: number, spanMs: number, seed: number): Row[] {
  let state = seed | 1
  const next = (): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    state = Math.imul(state ^ (state >>> 13), 0x297a2d39)
    return ((state ^ (state >>> 16)) >>> 0) / 2 ** 32
  }
  return Array.from({ length: count }, () => ({
    key: `k${Math.floor(next() * count)}`,
    timeMs: Math.floor(next() * spanMs),
    mask: 1,
    numbers: [0, 10 ** (next() * 4 - 1)],
    texts: [`t${Math.floor(1 / (next() + 1 / 5000))}`, `u${Math.floor(next() * 300)}`],
  }))
}

function feed(cluster: Cluster, rows: readonly Row[]): void {
  for (let i = 0; i < rows.length; i += 1000) cluster.apply(rows.slice(i, i + 1000))
  for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
}

const windows = fc.constantFrom<TablePlan['window']>(
  { kind: 'sliding', sizeMs: 100, slideMs: 20, ...calendar },
  { kind: 'sliding', sizeMs: 100, slideMs: 30, ...calendar },
  { kind: 'cumulate', sizeMs: 200, stepMs: 25, ...calendar },
)

describe('sketches over panes', () => {
  it('say of each window what a sketch of its events alone says, however panes, senders and restores split them', () => {
    const cases = fc.record({
      window: windows,
      count: fc.constantFrom(50, 1500, 6000),
      seed: fc.integer({ min: 1, max: 2 ** 30 }),
      parallelism: fc.integer({ min: 1, max: 3 }),
      restored: fc.integer({ min: 1, max: 3 }),
      watermark: fc.integer({ min: -1, max: 200 }),
    })
    fc.assert(
      fc.property(cases, ({ window, count, seed, parallelism, restored, watermark }) => {
        const rows = events(count, 200, seed)
        const half = Math.floor(rows.length / 2)
        const before = new Cluster(plan(window), parallelism, true)
        feed(before, rows.slice(0, half))
        before.advance(watermark)
        const cluster = before.restore(restored)
        feed(cluster, rows.slice(half))
        // What is late for no window fires again: everything may still be corrected.
        cluster.advance(watermark + 1)
        const said = readAll(cluster)
        expect(said.size).toBeGreaterThan(3)
        for (const [name, { numbers, top }] of said) {
          const [startMs, , endMs] = name.split('|').map(Number) as [number, number, number]
          const within = rows.filter(({ timeMs }) => timeMs >= startMs && timeMs < endMs)
          // One window that holds them all, in one subtask, without panes.
          const alone = new Cluster(plan({ kind: 'tumbling', sizeMs: 1000, ...calendar, offsetMs: -500 }), 1, true)
          feed(alone, within)
          const [[, whole]] = [...readAll(alone)] as [[string, Reading]]
          expect(numbers, name).toEqual(whole.numbers)
          expectBounds(within, numbers, top)
          alone.release()
        }
        before.release()
        cluster.release()
      }),
      { numRuns: 12 },
    )
  })
})

/** The errors that the specification states, against the exact numbers. */
function expectBounds(rows: readonly Row[], numbers: readonly number[], top: Reading['top']): void {
  const deviation = 1.04 / Math.sqrt(2 ** PRECISION)
  for (const [i, exact] of [
    new Set(rows.map(({ key }) => key)).size,
    new Set(rows.map(({ texts }) => texts[1])).size,
  ].entries())
    expect(Math.abs(numbers[i]! - exact)).toBeLessThanOrEqual(1 + 5 * deviation * exact)
  const sorted = rows.map((row) => row.numbers[1]!).sort((a, b) => a - b)
  for (const [i, q] of QUANTILES.entries()) {
    const exact = sorted[Math.floor(q * (sorted.length - 1))]!
    expect(Math.abs(numbers[2 + i]! - exact)).toBeLessThanOrEqual(exact * (QUANTILE_ERROR + 1e-9))
  }
  const counts = new Map<string, number>()
  for (const { texts } of rows) counts.set(texts[0]!, (counts.get(texts[0]!) ?? 0) + 1)
  // The most frequent stands first, of equals the first by text, and no count is off by more than the sketch may lose.
  const [best] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  expect(top[0]![0]).toBe(best![0])
  for (const [label, count] of top) expect(Math.abs(count - counts.get(label)!)).toBeLessThanOrEqual(rows.length / K)
}
