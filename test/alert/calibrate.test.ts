/** Thresholds from history: the budget in the replay, in the future, and what is said where there is too little. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { calibrate, JUDGED_MIN } from '../../src/alert/calibrate.ts'
import type { DetectorSpec } from '../../src/alert/detector-spec.ts'
import { replay } from '../../src/alert/monitor.ts'
import { hours } from './series.ts'
import { detectorsFor, shapes } from './study.ts'
import { HOUR_MS, START_MS, shapesOf, traffic, WEEK_HOURS } from './traffic.ts'

const weekMs = WEEK_HOURS * HOUR_MS
const budget = { episodes: 1, perMs: 2 * weekMs }
const ewma: DetectorSpec = { noise: 'poisson', direction: 'both', kind: 'ewma', threshold: 1 }
const flat = (n: number, seed: number) => {
  const windows = traffic({ name: 'flat', noise: 'poisson', mean: 100 }, n, seed)
  return windows
}

describe('calibrate', () => {
  it('keeps the budget in the replay of its own history, and the replay is what is run', () => {
    const specs = shapes.flatMap((shape) => [...detectorsFor(shape).values()].map((spec) => [shape, spec] as const))
    fc.assert(
      fc.property(fc.constantFrom(...specs), fc.integer(), ([shape, spec], seed) => {
        const history = traffic(shape, 6, seed)
        const found = calibrate(spec, history, budget)
        if (found.verdict !== 'calibrated') return
        expect(found.falseAlarms).toBeLessThanOrEqual(found.falseAlarmsAllowed)
        expect(found.threshold).toBeGreaterThanOrEqual(found.thresholdOfNoise)
        expect(replay(found.spec, history)).toHaveLength(found.falseAlarms)
      }),
      { numRuns: 40 },
    )
  })

  it('sets a higher threshold for a smaller budget, and for a wilder series', () => {
    const calm = traffic(shapesOf('poisson')[0]!, 8, 1)
    const wild = traffic(shapesOf('poisson')[3]!, 8, 1)
    const spec: DetectorSpec = { ...ewma, kind: 'seasonalMedian', season: { period: 'week' } }
    const threshold = (history: typeof calm, episodes: number): number =>
      calibrate(spec, history, { episodes, perMs: weekMs }).threshold
    expect(threshold(calm, 0.1)).toBeGreaterThanOrEqual(threshold(calm, 4))
    expect(threshold(wild, 1)).toBeGreaterThan(threshold(calm, 1))
  })

  it('does not count windows of which nothing is known', () => {
    const values = Array.from({ length: 400 }, (_, i) => 100 + (i % 7) + (i >= 200 && i < 206 ? 300 : 0))
    const history = hours(values)
    const known = history.map((window, i) => (i >= 199 && i < 207 ? { ...window, value: Number.NaN } : window))
    const naive = calibrate(ewma, history, budget)
    const told = calibrate(ewma, known, budget)
    expect(told.threshold).toBeLessThan(naive.threshold)
    expect(replay(told.spec, history).map((e) => (e.sinceMs - START_MS) / HOUR_MS)).toEqual([200])
  })

  it('lays the bounds of a fixed threshold around the median', () => {
    const history = flat(6, 3)
    const spec: DetectorSpec = { noise: 'poisson', direction: 'both', kind: 'threshold', lower: 0 }
    const found = calibrate(spec, history, budget)
    const { lower, upper } = found.spec as { lower: number; upper: number }
    const sorted = history.map((w) => w.value).sort((a, b) => a - b)
    expect((lower + upper) / 2).toBeCloseTo((sorted[sorted.length / 2 - 1]! + sorted[sorted.length / 2]!) / 2, 6)
    const onlyDown = calibrate({ ...spec, direction: 'down' }, history, budget)
    expect(onlyDown.spec).not.toHaveProperty('upper')
    expect(replay(onlyDown.spec, history)).toHaveLength(onlyDown.falseAlarms)
  })

  it('of less than a handful of judged windows says that it is too thin, and keeps the threshold', () => {
    const few = hours(Array.from({ length: 24 + JUDGED_MIN - 1 }, () => 100))
    expect(calibrate({ ...ewma, threshold: 7 }, few, budget)).toMatchObject({
      verdict: 'tooThin',
      threshold: 7,
      judgedWindows: JUDGED_MIN - 1,
    })
    const nothing = calibrate({ ...ewma, threshold: 7 }, [], budget)
    expect(nothing).toMatchObject({ verdict: 'tooThin', threshold: 7, judgedMs: 0, ratePerPeriodMax: Infinity })
  })

  it('says what the replay cannot promise', () => {
    // Nothing in two budget periods: there may be three in as much time, so one and a half in one.
    const found = calibrate({ ...ewma, warmUp: 1 }, hours(Array(4 * WEEK_HOURS + 1).fill(100)), budget)
    expect(found.falseAlarms).toBe(0)
    expect(found.ratePerPeriodMax).toBeCloseTo(2.9957 / 2, 3)
  })
})
