/** Which windows of which series are judged, and that nothing but the histories decides about episodes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { replay } from '../../src/alert/monitor.ts'
import { historyOf } from '../../src/alert/series.ts'
import { planWatch, type WatchPlan } from '../../src/alert/watch-plan.ts'
import { WatchedGroups, type WatchedRow } from '../../src/alert/watched-groups.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import type { MetricDefinition } from '../../src/job/definition.ts'
import type { DetectorDefinition } from '../../src/job/detector-definition.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const count: MetricDefinition = {
  id: 'views',
  description: '',
  kind: { kind: 'count' },
  where: null,
  by: ['platform'],
  window: { kind: 'tumbling', sizeMs: HOUR_MS, offsetMs: 0, timezone: 'UTC', time: 'event' },
  trigger: null,
  earlyMs: 0,
  allowedLatenessMs: 0,
  retainMs: 90 * DAY_MS,
}

const detector: DetectorDefinition = {
  id: 'views',
  description: '',
  metric: 'views',
  groups: {},
  kind: { kind: 'ewma', halfLife: 24, warmUp: 5 },
  direction: 'both',
  noise: 'poisson',
  minimumVolume: 0,
  pool: false,
  gaps: 'zero',
  openAfter: 1,
  closeAfter: 2,
  score: 4,
  falseAlarms: { most: 1, perMs: 30 * DAY_MS },
  history: { lengthMs: 2 * DAY_MS, fromMs: 0 },
  groupsMax: 100,
}

function plan(over: Partial<DetectorDefinition> = {}, metric: Partial<MetricDefinition> = {}): WatchPlan {
  return planWatch({ ...detector, ...over }, { ...count, ...metric })
}

function row(hour: number, value: number, group = 'web', revision = 1): WatchedRow {
  const startMs = hour * HOUR_MS
  return {
    ...{ startMs, endMs: startMs + HOUR_MS, dimensions: [group], value, revision },
    volume: 0,
    events: value,
  }
}

/** The watermark that makes the windows before `hour` final. */
const until = (hour: number): number => hour * HOUR_MS - 1

/** Windows from 0 to `hours` with `usual` events each, but for those of `others`. */
function rows(
  hours: number,
  usual: number,
  others: Readonly<Record<number, number>> = {},
  group = 'web',
): WatchedRow[] {
  const all = Array.from({ length: hours }, (_, hour) => row(hour, others[hour] ?? usual, group))
  return all.filter(({ events }) => events > 0)
}

function told(groups: WatchedGroups): object[] {
  return groups
    .series()
    .map((one) => ({ group: one.dimensions, last: one.series.last, episodes: groups.episodesOf(one) }))
}

function spans(groups: WatchedGroups): string[] {
  return groups.series().flatMap((one) =>
    groups.episodesOf(one).map(({ episode: { side, sinceMs, lastMs, closedMs }, revision }) => {
      const hours = [sinceMs, lastMs, closedMs ?? Number.NaN].map((ms) => ms / HOUR_MS)
      return `${one.dimensions.join()} ${side} ${hours.join(' ')} r${revision}`
    }),
  )
}

function watched(of: WatchPlan, all: readonly WatchedRow[], watermarkMs: number): WatchedGroups {
  const groups = new WatchedGroups(of)
  groups.put(all)
  groups.advance(watermarkMs)
  return groups
}

describe('windows of a series', () => {
  it('are judged when the watermark has passed them, and not before: who is behind has no incident', () => {
    const of = plan()
    const groups = watched(of, [...rows(20, 100), row(20, 3)], until(20))
    expect(spans(groups)).toEqual([])
    expect(groups.judgedThroughMs).toBe(20 * HOUR_MS)
    groups.put([row(20, 100, 'web')])
    groups.advance(until(21))
    expect(spans(groups)).toEqual([])
  })

  it('are judged later by what the metric needs to become final', () => {
    const funnel = { kind: { kind: 'lifecycle', lookbackMs: 0 } } as const
    const of = { ...plan({}, funnel), settleMs: 5 * HOUR_MS }
    expect(watched(of, rows(20, 100), until(20)).judgedThroughMs).toBe(15 * HOUR_MS)
  })

  it('without events are 0 of a count, so an outage is seen', () => {
    const groups = watched(plan(), rows(20, 100, { 15: 0, 16: 0, 17: 0 }), until(20))
    expect(spans(groups)).toEqual(['web down 15 18 20 r5'])
  })

  it('without events in any group say nothing where gaps are noData', () => {
    const hours = { 15: 0, 16: 0, 17: 0 }
    expect(spans(watched(plan({ gaps: 'noData' }), rows(20, 100, hours), until(20)))).toEqual([])
    const other = rows(20, 50, {}, 'app')
    expect(spans(watched(plan({ gaps: 'noData' }), [...rows(20, 100, hours), ...other], until(20)))).toEqual([
      'web down 15 18 20 r5',
    ])
  })

  it('are not judged by the standing watermark of an idle source', () => {
    const groups = watched(plan(), rows(20, 100), until(20))
    for (let look = 0; look < 10; look++) groups.advance(until(20))
    expect(groups.judgedThroughMs).toBe(20 * HOUR_MS)
    expect(spans(groups)).toEqual([])
  })

  it('end with the last row when a bounded input has ended', () => {
    const groups = watched(plan(), rows(20, 100), Number.POSITIVE_INFINITY)
    expect(groups.judgedThroughMs).toBe(20 * HOUR_MS)
    expect(groups.settledThroughMs).toBe(20 * HOUR_MS)
    expect(spans(groups)).toEqual([])
  })

  it('before the first one of a group are none of it: it warms up by itself', () => {
    const late = rows(40, 100, {}, 'app').filter(({ startMs }) => startMs >= 30 * HOUR_MS)
    const groups = watched(plan(), [...rows(40, 100), ...late], until(34))
    expect(groups.series().map(({ series }) => series.last?.status)).toEqual(['warmingUp', 'judged'])
    groups.advance(until(40))
    expect(spans(groups)).toEqual([])
  })

  it('are judged in parts where there are many', () => {
    const all = rows(60, 100, { 50: 0 })
    const groups = new WatchedGroups(plan())
    groups.put(all)
    let parts = 1
    while (!groups.advance(until(60), 10)) parts++
    expect(parts).toBeGreaterThan(5)
    expect(told(groups)).toEqual(told(watched(plan(), all, until(60))))
  })
})

describe('corrections', () => {
  it('take an episode back, and give one', () => {
    const of = plan({}, { allowedLatenessMs: 10 * HOUR_MS })
    const groups = watched(of, rows(20, 100, { 15: 20 }), until(20))
    expect(spans(groups)).toEqual(['web down 15 16 18 r3'])
    groups.put([row(15, 100, 'web', 2), row(17, 300, 'web', 2)])
    groups.advance(until(20))
    expect(spans(groups)).toEqual(['web up 17 18 20 r4'])
  })

  it('of a value that is gone leave an empty window', () => {
    const of = plan({}, { allowedLatenessMs: 10 * HOUR_MS })
    const groups = watched(of, rows(20, 100), until(20))
    groups.put([{ ...row(19, 0), revision: 2 }])
    groups.advance(until(20))
    expect(spans(groups)).toEqual(['web down 19 20 NaN r1'])
  })

  it('of a window that is closed are none', () => {
    const groups = watched(plan(), rows(20, 100), until(20))
    const before = told(groups)
    groups.put([row(15, 5, 'web', 2)])
    groups.advance(until(20))
    expect(told(groups)).toEqual(before)
  })
})

describe('groups', () => {
  it('are watched up to a number, those that come first; others are counted', () => {
    const names = ['d', 'c', 'b', 'a']
    const all = names.flatMap((name, i) => rows(20, 100, {}, name).filter(({ startMs }) => startMs >= i * HOUR_MS))
    const groups = watched(plan({ groupsMax: 2 }), all, until(20))
    expect(groups.series().map(({ dimensions }) => dimensions[0])).toEqual(['c', 'd'])
    expect(groups.groupsLeftOut).toBe(2)
  })

  it('of one window are taken by their texts', () => {
    const all = ['d', 'c', 'b', 'a'].flatMap((name) => rows(20, 100, {}, name))
    const groups = watched(plan({ groupsMax: 2 }), all, until(20))
    expect(groups.series().map(({ dimensions }) => dimensions[0])).toEqual(['a', 'b'])
  })
})

describe('histories', () => {
  it('set the threshold of the next one, which is told with how it was set', () => {
    const of = plan({ score: 0, falseAlarms: { most: 1, perMs: 7 * DAY_MS } })
    const groups = watched(of, rows(60, 100, { 20: 150, 40: 150 }), until(60))
    const [one] = groups.series()
    const { judge } = one!.series
    expect(judge?.calibration).toMatchObject({ verdict: 'calibrated', judgedWindows: 43 })
    expect(judge?.detector.spec).toMatchObject({ threshold: judge?.calibration?.threshold })
    const before = watched(of, rows(40, 100), until(40)).series()[0]!.series.judge
    expect(before?.calibration).toBeNull()
  })

  it('take neither a threshold nor what is usual from what is excluded, and judge it', () => {
    const high = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [30 + i, 900]))
    const exclude = [{ fromMs: 30 * HOUR_MS + 1, toMs: 42 * HOUR_MS }]
    const budget = { score: 0, falseAlarms: { most: 1, perMs: 7 * DAY_MS } }
    const seen = (more: object) => watched(plan({ ...budget, ...more }), rows(60, 100, high), until(60))
    const judgeOf = (groups: WatchedGroups) => groups.series()[0]!.series.judge!
    const [naive, told, calm] = [seen({}), seen({ exclude }), watched(plan(budget), rows(60, 100), until(60))]
    expect(judgeOf(naive).calibration!.threshold).toBeGreaterThan(judgeOf(told).calibration!.threshold)
    expect(judgeOf(told).calibration!.threshold).toBeCloseTo(judgeOf(calm).calibration!.threshold, 9)
    expect(judgeOf(told).calibration!.judgedWindows).toBe(judgeOf(calm).calibration!.judgedWindows - 12)
    expect(told.series()[0]!.series.last?.expected).toBeCloseTo(100, 9)
    expect(naive.series()[0]!.series.last?.expected).toBeGreaterThan(101)
    expect(spans(told)).toEqual(spans(naive))
  })

  it('hand on what a replay under the new threshold would have come to', () => {
    const random = new SeededRandom(3)
    const all = Array.from({ length: 90 }, (_, hour) => row(hour, (hour > 60 ? 85 : 100) + (random.nextUint32() % 20)))
    const baseline = { kind: 'ewma', halfLife: 0, warmUp: 5 } as const
    const of = plan({ score: 0, kind: { kind: 'cusum', drift: 0.5, baseline } })
    const groups = watched(of, all, until(90))
    const { judge } = groups.series()[0]!.series
    const [first] = replay(
      judge!.calibration!.spec,
      all.map(({ revision: _, events: __, dimensions: ___, ...window }) => ({ ...window, final: true })),
    )
    expect(first?.openedMs).toBeGreaterThan(60 * HOUR_MS)
    expect(groups.episodesOf(groups.series()[0]!).map(({ episode }) => episode)).toEqual([first])
  })

  it('set bounds where none are given', () => {
    const values = new SeededRandom(1)
    const all = Array.from({ length: 110 }, (_, hour) => row(hour, 100 + (values.nextUint32() % 20)))
    const of = plan({ score: 0, kind: { kind: 'threshold', lower: null, upper: null } })
    expect(spans(watched(of, [...all.slice(0, 40), row(40, 400)], until(41)))).toEqual([])
    expect(spans(watched(of, [...all.slice(0, 100), row(100, 400)], until(101)))).toEqual(['web up 100 101 NaN r1'])
  })

  it('keep an episode under its beginning over their change, and forget it when it is as old as they are', () => {
    const low = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [44 + i, 20]))
    const all = rows(200, 100, low)
    const since = (hours: number) => spans(watched(plan(), all, until(hours)))
    expect(since(50)).toEqual(['web down 44 50 NaN r6'])
    // The histories change at 48 and at 96 h.
    expect(since(90)).toHaveLength(1)
    expect(since(90)[0]).toMatch(/^web down 44 5/)
    expect(since(97)).toEqual([])
  })

  it('tell an episode that outlasts them from the beginning of the one before', () => {
    const low = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [44 + i, 20]))
    const of = plan({ kind: { kind: 'threshold', lower: 50, upper: null }, score: 0 })
    const all = rows(200, 100, low)
    const since = (hours: number) => spans(watched(of, all, until(hours)))
    expect(since(95)[0]).toMatch(/^web down 44 95 NaN/)
    expect(since(100)[0]).toMatch(/^web down (44|48) 100 NaN/)
    expect(since(140)[0]).toMatch(/^web down (44|48) 124 126/)
  })
})

describe('whoever reads three histories', () => {
  const kinds: readonly DetectorDefinition['kind'][] = [
    { kind: 'ewma', halfLife: 24, warmUp: 5 },
    { kind: 'cusum', drift: 0.5, baseline: { kind: 'ewma', halfLife: 0, warmUp: 5 } },
    { kind: 'threshold', lower: null, upper: null },
    {
      ...{ kind: 'seasonalMedian', memory: 4, warmUp: 2, levelHalfLife: 6 },
      season: { period: 'day', slotMs: 6 * HOUR_MS, zone: 'UTC' },
    },
  ]
  const step = fc.record({
    hours: fc.integer({ min: 2, max: 9 }),
    /** Late events, by how many windows back. */
    late: fc.array(fc.record({ back: fc.nat({ max: 5 }), group: fc.nat({ max: 3 }), value: fc.nat({ max: 300 }) }), {
      maxLength: 3,
    }),
    /** Share of usual traffic. */
    level: fc.constantFrom(1, 1, 1, 0, 0.3, 2),
  })

  it('knows what one knows who has watched all the time, window by window, whatever came late', () => {
    let episodes = 0
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.boolean(),
        fc.nat(),
        fc.array(step, { minLength: 30, maxLength: 60, size: 'max' }),
        (kind, calibrated, seed, steps) => {
          const latenessHours = 4
          const of = plan(
            {
              ...{ kind, score: calibrated || kind.kind === 'threshold' ? 0 : 3, groupsMax: 3 },
              history: { lengthMs: DAY_MS, fromMs: 5 * HOUR_MS },
            },
            { allowedLatenessMs: latenessHours * HOUR_MS },
          )
          const random = new SeededRandom(seed)
          const live = new WatchedGroups(of)
          const values = new Map<string, WatchedRow>()
          let hour = 0
          for (const { hours, late, level } of steps) {
            const changed: WatchedRow[] = []
            for (let i = 0; i < hours; i++, hour++) {
              for (let group = 0; group < 4; group++) {
                // Groups come and go.
                if ((hour + group * 31) % 97 > 80) continue
                changed.push(row(hour, Math.floor(level * (40 + (random.nextUint32() % 30))), `g${group}`))
              }
            }
            for (const { back, group, value } of late) {
              const startHour = hour - 1 - back
              if (back >= latenessHours || startHour < 0) continue
              const before = values.get(`${startHour} g${group}`)?.revision ?? 0
              changed.push(row(startHour, value, `g${group}`, before + 1))
            }
            for (const one of changed) values.set(`${one.startMs / HOUR_MS} ${one.dimensions[0]}`, one)
            live.put(changed)
            live.advance(until(hour))
            if (hour < 1) continue
            const fromMs = (historyOf(of, (hour - 1) * HOUR_MS) - 2) * of.history.lengthMs
            const fresh = watched(
              of,
              [...values.values()].filter(({ startMs }) => startMs >= fromMs),
              until(hour),
            )
            expect(told(live)).toEqual(told(fresh))
            for (const one of live.series()) episodes += live.episodesOf(one).length
          }
        },
      ),
      { numRuns: 40 },
    )
    expect(episodes).toBeGreaterThan(100)
  })
})
