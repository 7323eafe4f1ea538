/** Detectors: which windows they judge, what they expect, and that their states are plain data. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Detector, type Observation } from '../../src/alert/detector.ts'
import type { DetectorSpec } from '../../src/alert/detector-spec.ts'
import { newMonitor, observe } from '../../src/alert/monitor.ts'
import { hours, windowAt } from './series.ts'
import { HOUR_MS, START_MS, shapesOf, traffic, WEEK_HOURS } from './traffic.ts'

const common = { noise: 'normal', direction: 'both', threshold: 4 } as const
const season = { period: 'day' } as const
const kinds: readonly DetectorSpec[] = [
  { ...common, kind: 'threshold', lower: 50, upper: 500 },
  { ...common, kind: 'ewma', warmUp: 10 },
  { ...common, kind: 'seasonalMedian', season, levelHalfLife: 48 },
  { ...common, kind: 'holtWinters', season },
  { ...common, kind: 'cusum', baseline: { kind: 'seasonalMedian', season } },
  { ...common, noise: 'poisson', kind: 'cusum', baseline: { kind: 'ewma' } },
]
const judgeAll = (spec: DetectorSpec, windows: readonly Observation[]) => {
  const detector = new Detector(spec)
  const state = detector.start()
  return windows.map((window) => detector.judge(state, window))
}

describe('every detector', () => {
  it('goes on from a state that was written as JSON as if nothing had been', () => {
    const shape = fc.constantFrom(...shapesOf('poisson'))
    fc.assert(
      fc.property(fc.constantFrom(...kinds), shape, fc.integer(), fc.nat(WEEK_HOURS), (spec, traits, seed, cut) => {
        const windows = traffic(traits, 1, seed)
        const detector = new Detector(spec)
        const whole = newMonitor(detector)
        let stored = newMonitor(detector)
        for (const [hour, window] of windows.entries()) {
          if (hour === cut) stored = JSON.parse(JSON.stringify(stored))
          expect(observe(detector, stored, window)).toEqual(observe(detector, whole, window))
        }
        expect(stored).toEqual(whole)
      }),
      { numRuns: 40 },
    )
  })

  it('judges final windows only, each once, and learns of no other', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.integer(), (spec, seed) => {
        const windows = traffic(shapesOf('poisson')[0]!, 1, seed)
        // Each window is first told as provisional, and again later, as a correction.
        const noisy = windows.flatMap((w, i) => [
          { ...w, value: w.value * 3, final: false },
          w,
          ...(i > 0 ? [{ ...windows[i - 1]!, value: 0 }] : []),
        ])
        const judged = judgeAll(spec, noisy)
        expect(judged.filter((j) => j.status !== 'ignored')).toEqual(judgeAll(spec, windows))
        expect(judged.filter((j) => j.status === 'ignored').every((j) => j.score === 0 && !j.anomalous)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  it('scores the side that it is asked for', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.integer(), (spec, seed) => {
        const windows = traffic(shapesOf('poisson')[0]!, 1, seed)
        for (const { side, lower, upper, status } of judgeAll({ ...spec, direction: 'down' }, windows)) {
          expect(side).not.toBe('up')
          if (status === 'judged' && spec.kind !== 'threshold') expect([upper, lower < upper]).toEqual([Infinity, true])
        }
        for (const { side } of judgeAll({ ...spec, direction: 'up' }, windows)) expect(side).not.toBe('down')
      }),
      { numRuns: 20 },
    )
  })

  it('finds anomalous on one window what is outside of its band, and nothing inside', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.integer(), (spec, seed) => {
        if (spec.kind === 'cusum') return
        for (const j of judgeAll(spec, traffic(shapesOf('poisson')[3]!, 1, seed))) {
          if (j.status !== 'judged') continue
          if (Math.min(Math.abs(j.value - j.lower), Math.abs(j.value - j.upper)) < 1e-6) continue
          expect(j.anomalous).toBe(j.value < j.lower || j.value > j.upper)
        }
      }),
      { numRuns: 40 },
    )
  })
})

describe('the baselines', () => {
  it('ewma: the plain mean at first, then the last half-life weighs as much as all before', () => {
    const values = [...Array(24).fill(10), ...Array(24).fill(20), 20]
    const judged = judgeAll({ ...common, noise: 'poisson', kind: 'ewma', halfLife: 24, warmUp: 24 }, hours(values))
    expect(judged.slice(0, 24).every((j) => j.status === 'warmingUp')).toBe(true)
    expect(judged[24]!.expected).toBe(10)
    // Half of the news weighs ⅔ here: what was before has decayed once (20 · 1 + 10 · ½) / 1½, less what was drawn in.
    expect(judged[48]!.expected).toBeGreaterThan(13)
    expect(judged[48]!.expected).toBeLessThan(16.67)
  })

  it('ewma: shares weigh by their volume', () => {
    const windows = [windowAt(0, 1, 1), windowAt(1, 0, 99), windowAt(2, 0.01, 50)]
    expect(judgeAll({ ...common, noise: 'binomial', kind: 'ewma', warmUp: 2 }, windows)[2]!.expected).toBeCloseTo(
      0.01,
      3,
    )
  })

  it('seasonalMedian: the median of the hour, whatever one day was', () => {
    const day = Array.from({ length: 24 }, (_, hour) => 100 + hour)
    const values = [...day, ...day, ...day, ...day.map(() => 9999), ...day]
    const judged = judgeAll({ ...common, noise: 'poisson', kind: 'seasonalMedian', season }, hours(values))
    expect(judged.slice(72, 96).map((j) => j.expected)).toEqual(day)
    expect(judged.slice(96).map((j) => j.expected)).toEqual(day)
  })

  it('seasonalMedian: with a level it follows where traffic goes', () => {
    const growing = Array.from({ length: 24 * 20 }, (_, hour) => (100 + (hour % 24)) * 1.01 ** Math.floor(hour / 24))
    const spec = { ...common, noise: 'poisson', kind: 'seasonalMedian', season } as const
    const last = (levelHalfLife: number): number =>
      judgeAll({ ...spec, levelHalfLife }, hours(growing)).at(-1)!.expected
    expect(last(Number.POSITIVE_INFINITY) / growing.at(-1)!).toBeLessThan(0.96)
    expect(Math.abs(last(48) / growing.at(-1)! - 1)).toBeLessThan(0.02)
  })

  it('holtWinters: level, trend and season of a series that has nothing else', () => {
    const values = Array.from({ length: 24 * 14 }, (_, hour) => 200 + 0.5 * hour + 40 * Math.sin((hour * Math.PI) / 12))
    const smoothing = { level: 0.1, trend: 0.01, season: 0.2 }
    const judged = judgeAll({ ...common, kind: 'holtWinters', season, smoothing }, hours(values))
    expect(judged.slice(0, 48).every((j) => j.status === 'warmingUp')).toBe(true)
    for (const { value, expected } of judged.slice(-24)) expect(Math.abs(expected - value)).toBeLessThan(3)
  })

  it('follow the clocks of the zone over a change of clocks', () => {
    // A shop that is open from 9 to 17 by the clocks of Berlin, for four weeks around 31 March 2024.
    const from = Date.UTC(2024, 2, 18) - HOUR_MS
    const berlin = new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', hour: 'numeric', hourCycle: 'h23' })
    const windows = Array.from({ length: 24 * 28 }, (_, i) => {
      const startMs = from + i * HOUR_MS
      const open = Number(berlin.format(startMs)) >= 9 && Number(berlin.format(startMs)) < 17
      return { startMs, endMs: startMs + HOUR_MS, value: open ? 100 : 1, volume: 1, final: true }
    })
    const anomalies = (zone: string): number => {
      const spec = { ...common, noise: 'poisson', kind: 'seasonalMedian', season: { period: 'day', zone } } as const
      return judgeAll(spec, windows).filter((j) => j.anomalous).length
    }
    expect(anomalies('Europe/Berlin')).toBe(0)
    expect(anomalies('UTC')).toBeGreaterThan(0)
  })
})

describe('cusum', () => {
  it('finds a shift that no window shows, and when it began', () => {
    const spec = {
      ...common,
      kind: 'cusum',
      threshold: 8,
      baseline: { kind: 'ewma', warmUp: 30, halfLife: 1000 },
    } as const
    // A sawtooth of standard deviation 1 about 10, then 1.5 higher.
    const values = Array.from({ length: 140 }, (_, i) => 10 + (i % 2 === 0 ? 1 : -1) + (i >= 100 ? 1.5 : 0))
    const judged = judgeAll(spec, hours(values))
    expect(judged.slice(0, 100).every((j) => !j.anomalous)).toBe(true)
    const first = judged.find((j) => j.anomalous)!
    expect(Math.abs((first.sinceMs - START_MS) / HOUR_MS - 100)).toBeLessThanOrEqual(2)
    expect(first.side).toBe('up')
  })

  it('is not impressed by one wild window, and forgets a change that is over', () => {
    const spec = {
      ...common,
      kind: 'cusum',
      threshold: 8,
      baseline: { kind: 'ewma', warmUp: 30, halfLife: 1000 },
    } as const
    const calm = Array.from({ length: 60 }, (_, i) => 10 + (i % 2))
    expect(judgeAll(spec, hours([...calm, 1e9, ...calm])).some((j) => j.anomalous)).toBe(false)
    const calmFor = Array.from({ length: 500 }, (_, i) => 10 + (i % 2))
    const judged = judgeAll(spec, hours([...calmFor, ...Array(60).fill(14), ...calm]))
    expect(judged.slice(502, 560).every((j) => j.anomalous)).toBe(true)
    // It falls by the drift a window, and is quiet at half of the threshold: 8 / 2 / 0.5 windows, and some noise.
    expect(judged.slice(580).every((j) => j.quiet)).toBe(true)
  })
})

describe('thin windows', () => {
  it('of counts are those in which little is expected and little has come', () => {
    const spec = { ...common, noise: 'poisson', kind: 'ewma', warmUp: 5, minVolume: 10 } as const
    expect(judgeAll(spec, hours([2, 3, 2, 3, 2, 0])).at(-1)!.status).toBe('thin')
    expect(judgeAll(spec, hours([2, 3, 2, 3, 2, 50])).at(-1)!).toMatchObject({ status: 'judged', anomalous: true })
    // An outage of a busy series is no thin window.
    expect(judgeAll(spec, hours([90, 95, 90, 95, 90, 0])).at(-1)!).toMatchObject({ status: 'judged', anomalous: true })
  })

  it('of shares are passed over, or joined until they are enough', () => {
    const spec = { ...common, noise: 'binomial', kind: 'ewma', warmUp: 1, minVolume: 10 } as const
    const windows = [windowAt(0, 0.5, 20), ...[1, 2, 3, 4].map((hour) => windowAt(hour, 0.25, 4))]
    expect(judgeAll(spec, windows).map((j) => j.status)).toEqual(['warmingUp', 'thin', 'thin', 'thin', 'thin'])
    const joined = judgeAll({ ...spec, pool: true }, windows)
    expect(joined.map((j) => j.status)).toEqual(['warmingUp', 'thin', 'thin', 'judged', 'thin'])
    expect(joined[3]).toMatchObject({ value: 0.25, volume: 12, startMs: windows[1]!.startMs, endMs: windows[3]!.endMs })
  })

  it('of nothing have no share', () => {
    const spec = { ...common, noise: 'binomial', kind: 'ewma', warmUp: 1, pool: true } as const
    const judged = judgeAll(spec, [windowAt(0, 0.5, 2), windowAt(1, Number.NaN, 0), windowAt(2, 0.5, 2)])
    expect(judged.map((j) => j.status)).toEqual(['warmingUp', 'thin', 'judged'])
    expect(judged[2]!.value).toBe(0.5)
  })
})

describe('specifications that cannot be', () => {
  it.each([
    [{ ...common, kind: 'threshold' }, 'without lower and upper'],
    [{ ...common, kind: 'threshold', lower: 2, upper: 1 }, 'lower is above its upper'],
    [{ ...common, kind: 'ewma', threshold: 0 }, 'not above 0'],
    [{ ...common, kind: 'ewma', halfLife: 0 }, 'halfLife'],
    [{ ...common, kind: 'ewma', warmUp: 0 }, 'warmUp'],
    [{ ...common, kind: 'ewma', pool: true }, 'other than binomial'],
    [{ ...common, noise: 'binomial', kind: 'seasonalMedian', season, pool: true }, 'lie in no one slot'],
    [{ ...common, kind: 'seasonalMedian', season, memory: 2 }, 'memory of 2'],
    [{ ...common, kind: 'seasonalMedian', season: { period: 'day', zone: 'Mars/Base' } }, 'no time zone'],
    [{ ...common, kind: 'seasonalMedian', season: { period: 'day', slotMs: 7 * HOUR_MS } }, 'does not divide a day'],
    [{ ...common, kind: 'holtWinters', season, smoothing: { level: 2, trend: 0, season: 0 } }, 'smoothing'],
    [{ ...common, kind: 'cusum', drift: -1, baseline: { kind: 'ewma' } }, 'drift'],
    [{ ...common, kind: 'ewma', minVolume: -1 }, 'minVolume'],
  ] as [DetectorSpec, string][])('%j', (spec, message) => {
    expect(() => new Detector(spec)).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
    expect(() => new Detector(spec)).toThrow(message)
  })
})
