/** Every aggregate that is more than a number, through tables of every kind, against sorted lists. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccumulatorPlan, MetricPlan, MetricRead } from '../../src/job/plan.ts'
import type { Accumulators } from '../../src/operator/accumulators.ts'
import { dimensionTexts } from '../../src/operator/group-key.ts'
import { readDetail, readMetric } from '../../src/operator/read-metric.ts'
import type { Row } from '../exchange/support.ts'
import { accumulator, Cluster, NUMBERS, tablePlan, WINDOW_MS } from './support.ts'

const text = NUMBERS
const bounds = [-10, 0, 0.5, 100]
const accumulators: readonly AccumulatorPlan[] = [
  accumulator('count', 0),
  { ...accumulator('approxDistinct', 0), precision: 10 },
  { ...accumulator('approxDistinct', 0, text), precision: 10 },
  { ...accumulator('quantiles', 0, 1), error: 0.05 },
  { ...accumulator('topK', 0, text), k: 3 },
  accumulator('firstText', 0, text),
  accumulator('lastText', 0, text),
  accumulator('first', 0, 1),
  accumulator('last', 0, 1),
  accumulator('moments', 0, 1),
  { ...accumulator('histogram', 0, 1), bounds },
  accumulator('sum', 0, 1, true),
  accumulator('values', 0, 1),
  { ...accumulator('boundedDistinct', 0), precision: 10, exactUpTo: 3 },
  { ...accumulator('boundedDistinct', 0, text), precision: 10, exactUpTo: 2 },
]
const reads: readonly MetricRead[] = [
  { kind: 'value', of: 1 },
  { kind: 'value', of: 2 },
  { kind: 'quantile', of: 3, q: 0.5 },
  { kind: 'quantile', of: 3, q: 0.95 },
  { kind: 'topK', of: 4 },
  { kind: 'text', of: 5 },
  { kind: 'text', of: 6 },
  { kind: 'value', of: 7 },
  { kind: 'value', of: 8 },
  { kind: 'variance', of: 9, sample: false, root: true },
  { kind: 'histogram', of: 10 },
  { kind: 'ratio', of: 11, by: 12 },
  { kind: 'value', of: 13 },
  { kind: 'value', of: 14 },
]
const metrics = reads.map((read): MetricPlan => ({ id: 'm', table: 0, predicate: 0, events: 0, read, integer: false }))

function read(laidOut: Accumulators, f64: Float64Array, at: number): unknown[] {
  return metrics.map((metric) => {
    const detail = readDetail(metric, laidOut, f64, at)
    if (detail?.error !== undefined) return `about ${readMetric(metric, laidOut, f64, at)}`
    return detail === null
      ? readMetric(metric, laidOut, f64, at)
      : (detail.text ?? detail.items.map(({ label, value }) => `${label}=${value}`).join())
  })
}

/** All values there are: closed windows and open ones. */
function valuesOf(cluster: Cluster): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>()
  for (const table of cluster.tables) {
    const add = (startMs: number, endMs: number, key: Uint8Array, values: unknown[]): void => {
      const name = `${startMs}-${endMs}|${dimensionTexts(key, table.plan.dimensions.length).join('|')}`
      expect(found.has(name)).toBe(false)
      found.set(name, values)
    }
    table.history.scan(-Infinity, Infinity, ({ startMs, endMs, key, f64, at }) => {
      add(startMs, endMs, key, read(table.settled, f64, at))
      return true
    })
    table.visitOpen(-Infinity, Infinity, null, (startMs, endMs, key, _revision, _change, f64, at) => {
      add(startMs, endMs, key, read(table.accumulators, f64, at))
      return true
    })
  }
  return found
}

/** What the values of these events must be; quantiles and deviations as the exact number. */
function expected(rows: readonly Row[]): unknown[] {
  const numbers = rows.map((row) => row.numbers[1]!).filter((value) => !Number.isNaN(value))
  const finite = numbers.filter(Number.isFinite)
  const texts = rows.map((row) => row.texts[0]!).filter((value) => value !== '')
  const counts = new Map<string, number>()
  for (const value of texts) counts.set(value, (counts.get(value) ?? 0) + 1)
  const top = [...counts].sort((a, b) => b[1] - a[1] || compare(a[0], b[0])).slice(0, 3)
  const sorted = finite.toSorted((a, b) => a - b)
  const at = (q: number) => sorted[Math.floor(q * (sorted.length - 1))] ?? Number.NaN
  const byText = rows
    .filter((row) => row.texts[0] !== '')
    .toSorted((a, b) => a.timeMs - b.timeMs || compare(a.texts[0]!, b.texts[0]!))
  const byNumber = rows
    .filter((row) => !Number.isNaN(row.numbers[1]!))
    .toSorted((a, b) => a.timeMs - b.timeMs || a.numbers[1]! - b.numbers[1]!)
  const mean = finite.reduce((a, b) => a + b, 0) / finite.length
  const variance = finite.reduce((a, b) => a + (b - mean) ** 2, 0) / finite.length
  const edges = [-Infinity, ...bounds, Infinity]
  const labels = [`<${bounds[0]}`, ...bounds.slice(1).map((b, i) => `${bounds[i]}..<${b}`), `>=${bounds.at(-1)}`]
  return [
    new Set(rows.map((row) => row.key)).size,
    counts.size,
    at(0.5),
    at(0.95),
    top.map(([label, count]) => `${label}=${count}`).join(),
    byText[0]?.texts[0] ?? '',
    byText.at(-1)?.texts[0] ?? '',
    byNumber[0]?.numbers[1] ?? Number.NaN,
    byNumber.at(-1)?.numbers[1] ?? Number.NaN,
    Math.sqrt(variance),
    labels.map((label, i) => `${label}=${numbers.filter((v) => v >= edges[i]! && v < edges[i + 1]!).length}`).join(),
    numbers.reduce((a, b) => a + b, 0) / numbers.length,
    counted(new Set(rows.map((row) => row.key)).size, 3),
    counted(counts.size, 2),
  ]
}

/** Beyond `most` values an estimate, which is right of so few. */
const counted = (values: number, most: number) => (values > most ? `about ${values}` : values)

const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

function expectLike(found: readonly unknown[], wanted: readonly unknown[]): void {
  wanted.forEach((value, i) => {
    if (typeof value === 'number' && Number.isFinite(value) && [2, 3, 9, 11].includes(i)) {
      const error = i === 2 || i === 3 ? Math.max(1e-9, Math.abs(value) * 0.050001) : 1e-6 + Math.abs(value) * 1e-9
      expect(
        Math.abs((found[i] as number) - value),
        `value ${i}: ${String(found[i])}, not ${value}`,
      ).toBeLessThanOrEqual(error)
    } else expect(found[i], `value ${i}`).toEqual(value)
  })
}

const rows: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  timeMs: fc.integer({ min: 0, max: 399 }),
  mask: fc.constant(1),
  numbers: fc.tuple(
    fc.constant(0),
    fc.oneof(
      fc.integer({ min: -50, max: 200 }),
      fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
      fc.constant(Number.NaN),
    ),
  ),
  texts: fc.tuple(fc.constantFrom('', 'x', 'yy', 'zé', 'w', 'v'), fc.constantFrom('p', 'q', '')),
})

const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ rows: fc.array(rows, { minLength: 1, maxLength: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ flush: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ advance: fc.integer({ min: 0, max: 500 }) }) },
  ),
  { minLength: 1, maxLength: 10 },
)

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const windows = fc.constantFrom(
  { kind: 'tumbling', sizeMs: WINDOW_MS, ...calendar } as const,
  { kind: 'sliding', sizeMs: WINDOW_MS, slideMs: 50, ...calendar } as const,
  { kind: 'cumulate', sizeMs: 200, stepMs: 50, ...calendar } as const,
)

/** The windows of an event, as `start-end`. */
function windowsOf(
  window: { kind: string; sizeMs: number; slideMs?: number; stepMs?: number },
  timeMs: number,
): string[] {
  const found: string[] = []
  const step = window.slideMs ?? window.stepMs ?? window.sizeMs
  if (window.kind === 'cumulate') {
    const start = Math.floor(timeMs / window.sizeMs) * window.sizeMs
    for (let end = start + step; end <= start + window.sizeMs; end += step)
      if (end > timeMs) found.push(`${start}-${end}`)
    return found
  }
  for (let start = Math.floor(timeMs / step) * step; start + window.sizeMs > timeMs; start -= step)
    found.push(`${start}-${start + window.sizeMs}`)
  return found
}

describe('aggregates that are more than a number', () => {
  it.each([false, true])('are right in tables of every kind, corrected and restored; merged: %s', (merged) => {
    const dimensions = merged ? fc.constantFrom([], [NUMBERS + 1]) : fc.constantFrom([-1], [NUMBERS + 1, -1])
    fc.assert(
      fc.property(dimensions, windows, steps, (of, window, all) => {
        // Nothing is late, and everything may be corrected.
        const plan = tablePlan(of, accumulators, { window, allowedLatenessMs: 1e6, retainMs: 1e9 })
        let cluster = new Cluster(plan, 2, merged)
        const applied: Row[] = []
        for (const step of all) {
          if ('rows' in step) {
            cluster.apply(step.rows)
            applied.push(...step.rows)
          } else if ('flush' in step) cluster.flush(step.flush)
          else if ('advance' in step) cluster.advance(Math.max(cluster.watermarkMs, step.advance))
          else {
            const next = cluster.restore(step.restore)
            cluster.release()
            cluster = next
          }
        }
        const groups = new Map<string, Row[]>()
        for (const row of applied) {
          const names = of.map((column) => (column < 0 ? row.key : row.texts[column - NUMBERS]!))
          for (const span of windowsOf(window, row.timeMs)) {
            const name = `${span}|${names.join('|')}`
            groups.set(name, [...(groups.get(name) ?? []), row])
          }
        }
        const check = (): void => {
          const found = valuesOf(cluster)
          expect([...found.keys()].sort()).toEqual([...groups.keys()].sort())
          for (const [name, values] of found) expectLike(values, expected(groups.get(name)!))
        }
        for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
        check()
        cluster.advance(5e6)
        check()
        const again = cluster.restore(3)
        cluster.release()
        cluster = again
        check()
        cluster.release()
      }),
      { numRuns: 120 },
    )
  })
})
