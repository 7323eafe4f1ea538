/** Retention and stickiness in job documents: what they say, what is refused, how they are planned, what is their state. */
import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { intervalWindow, mostIntervals } from '../../src/job/person/stickiness.ts'
import { diffState, type StateDiff } from '../../src/job/state-diff.ts'
import { describeState } from '../../src/job/state-identity.ts'
import { alignPlan } from '../../src/job/state-match.ts'
import { maxSpanMs } from '../../src/job/window-span.ts'
import { descriptors, told, withLine } from './parse-support.ts'
import { planOf, stateOf } from './state-support.ts'

const DAY_MS = 86_400_000
const day = 'window: { calendar: day }, retain: 400d'
const metric = (text: string): string => withLine(`metrics: [{ id: m, ${text} }]`)
const parsed = (text: string) => parseJob(metric(text), descriptors).definition.metrics[0]!
const mistakes = (text: string): string[] => told(metric(text)).map((one) => one.slice(one.indexOf(' ') + 1))
const conditions = 'start: screen == "signup", return: screen == "home"'

describe('definitions', () => {
  it('have every event as start and return, twelve periods of the calendar, and first starts by default', () => {
    expect(parsed(`retention: {}, ${day}`).kind).toEqual({
      ...{ kind: 'retention', start: null, return: null, periods: 12, mode: 'on', cohort: 'first' },
      ...{ clock: 'calendar', lookbackMs: 90 * DAY_MS, measure: 'persons' },
    })
    expect(parsed(`stickiness: {}, window: { calendar: month }`).kind).toEqual({ kind: 'stickiness', interval: 'day' })
  })

  it('have no lookback where cohorts are recurring', () => {
    expect(parsed(`retention: { cohort: recurring }, ${day}`).kind).toMatchObject({ lookbackMs: 0 })
  })

  it.each([
    ['retention: { start: nothing == 1 }', 'metrics[0].retention.start:'],
    ['retention: { return: screen == 7 }', 'metrics[0].retention.return: == does not take'],
    ['retention: { periods: 0 }', 'metrics[0].retention.periods: must be'],
    ['retention: { periods: 367 }', 'metrics[0].retention.periods: must be'],
    ['retention: { mode: ever }', 'must be on or onOrAfter'],
    ['retention: { cohort: frist }', 'did you mean "first"?'],
    ['retention: { clock: wall }', 'must be calendar or elapsed'],
    ['retention: { measure: persns }', 'did you mean "persons"?'],
    ['retention: { cohort: recurring, lookback: 7d }', 'metrics[0].retention.lookback: is of cohort: first'],
    ['retention: { lookback: 1h }', 'metrics[0].retention.lookback: must be as long as a period at least, 1d'],
    ['retention: {}, by: [person]', 'metrics[0].by[0]: a retention counts persons'],
    ['stickiness: {}, by: [person]', 'metrics[0].by[0]: stickiness counts persons'],
    ['stickiness: {}', 'metrics[0].stickiness.interval: must be shorter than the window, 1d'],
  ])('%s is refused, in its place', (text, message) => {
    expect(mistakes(`${text}, ${day}`).join('\n')).toContain(message)
  })

  it.each([
    [
      'retention: { periods: 30 }, window: { calendar: day }, retain: 30d',
      'metrics[0].retain: must be longer than 30d',
    ],
    ['retention: { periods: 12 }, window: { calendar: month }, retain: 366d', 'must be longer than 366d'],
    ['stickiness: { interval: day }, window: { tumbling: 36h }', 'must divide the window, 36h, into whole days'],
    ['stickiness: { interval: hour }, window: { tumbling: 20d }', 'a window would have more than 400 of them'],
    ['retention: {}, window: { sliding: 2d, slide: 1d }, retain: 400d', 'a retention has windows side by side'],
    ['stickiness: {}, window: { session: 30m }', 'stickiness has windows side by side'],
    ['stickiness: {}, window: { tumbling: 28d, time: processing }', 'stickiness is of event time'],
  ])('%s is refused', (text, message) => {
    expect(mistakes(text).join('\n')).toContain(message)
  })
})

describe('windows in a row', () => {
  const month = { kind: 'tumbling', sizeMs: 31 * DAY_MS, offsetMs: 0, unit: 'month', time: 'event' } as const

  it('are as long as the calendar has them at most', () => {
    const days = (count: number) => maxSpanMs({ ...month, timezone: 'UTC' }, count) / DAY_MS
    expect([1, 2, 3, 6, 12, 13, 48].map(days)).toEqual([31, 62, 92, 184, 366, 397, 1461])
  })

  it('may have clocks set back', () => {
    expect(maxSpanMs({ ...month, timezone: 'Europe/Berlin' }, 1)).toBe(31 * DAY_MS + 3 * 3_600_000)
  })
})

describe('intervals', () => {
  const tumbling = { kind: 'tumbling', offsetMs: 0, timezone: 'UTC', time: 'event' } as const
  const month = { ...tumbling, sizeMs: 31 * DAY_MS, unit: 'month' } as const

  it('begin with their window, and weeks of the calendar on Monday', () => {
    expect(intervalWindow('week', month)).toMatchObject({ sizeMs: 7 * DAY_MS, offsetMs: 4 * DAY_MS })
    const weeks = { ...tumbling, sizeMs: 28 * DAY_MS, offsetMs: 2 * DAY_MS }
    expect(intervalWindow('week', weeks)).toMatchObject({ offsetMs: 2 * DAY_MS })
    expect(intervalWindow('day', { ...weeks, offsetMs: 90_000_000 })).toMatchObject({ offsetMs: 3_600_000 })
  })

  it('are as many as a window may touch', () => {
    const weeks = { ...tumbling, sizeMs: 28 * DAY_MS }
    expect([mostIntervals('day', month), mostIntervals('week', month), mostIntervals('week', weeks)]).toEqual([
      31, 6, 4,
    ])
    const berlin = { ...tumbling, sizeMs: DAY_MS, timezone: 'Europe/Berlin' }
    expect([mostIntervals('hour', berlin), mostIntervals('hour', { ...berlin, timezone: 'UTC' })]).toEqual([27, 24])
  })
})

const retention = (id: string, more = '', rest = day): string =>
  `  - { id: ${id}, retention: { ${conditions}${more} }, ${rest} }\n`

describe('plans', () => {
  it('have one table for all measures of a retention, settled when its last period is over', () => {
    const plan = planOf(retention('a') + retention('b', ', measure: retention') + retention('c', ', measure: previous'))
    expect(plan.tables).toHaveLength(1)
    expect(plan.tables[0]).toMatchObject({
      ...{ dimensions: [-2], dimensionNames: ['period'], keyed: false, settleMs: 12 * DAY_MS },
      person: { kind: 'retention', start: 0, return: 1, periods: 12 },
    })
    expect(plan.metrics.map(({ events, read, integer }) => [events, read, integer])).toEqual([
      [0, { kind: 'value', of: 2 }, true],
      [0, { kind: 'ratio', of: 2, by: 0 }, false],
      [0, { kind: 'ratio', of: 2, by: 1 }, false],
    ])
  })

  it('give a period more to those whose own time runs', () => {
    expect(planOf(retention('a', ', clock: elapsed')).tables[0]).toMatchObject({ settleMs: 13 * DAY_MS })
  })

  it("join a metric's own condition with those of starts and returns, which may be one", () => {
    const plan = planOf(
      `  - { id: a, retention: { start: screen == "x" }, where: platform == "ios", ${day} }\n` +
        `  - { id: b, stickiness: {}, where: platform == "ios", window: { calendar: month } }\n`,
    )
    expect(plan.predicates.map(({ op }) => op)).toEqual(['and', 'text'])
    expect(plan.tables[0]!.person).toMatchObject({ start: 0, return: 0 })
    expect(plan.tables[1]).toMatchObject({ dimensionNames: ['days'], person: { kind: 'stickiness', active: 1 } })
    expect(plan.tables[1]).not.toHaveProperty('settleMs')
  })
})

describe('state', () => {
  const metricsOf = ({ entries }: StateDiff): string[] =>
    entries.flatMap(({ change, kind, name }) => (kind === 'metric' ? [`${change} ${kind} ${name}`] : []))

  it('goes on when measures come and go, whichever of them are left', () => {
    const plan = planOf(retention('c', ', measure: previous') + retention('a'))
    const diff = diffState(stateOf(retention('a') + retention('b', ', measure: retention')), describeState(plan))
    expect(metricsOf(diff)).toEqual(['migrated metric c', 'kept metric a'])
    expect(alignPlan(plan, diff.tables)).toBe(plan)
  })

  it.each([
    ['periods', ', periods: 5', day],
    ['mode', ', mode: onOrAfter', day],
    ['cohort', ', cohort: recurring', day],
    ['clock', ', clock: elapsed', day],
    ['lookback', ', lookback: 30d', day],
    ['windows', '', 'window: { calendar: week }, retain: 400d'],
    ['the condition', '', `where: platform == "ios", ${day}`],
  ])('begins anew with other %s', (_, more, rest) => {
    expect(metricsOf(diffState(stateOf(retention('a')), stateOf(retention('a', more, rest))))).toEqual([
      ...['new metric a', 'dropped metric a'],
    ])
  })

  it('of a stickiness begins anew with another interval', () => {
    const of = (interval: string): string =>
      `  - { id: a, stickiness: { interval: ${interval} }, window: { calendar: month } }\n`
    expect(metricsOf(diffState(stateOf(of('day')), stateOf(of('week'))))).toEqual(['new metric a', 'dropped metric a'])
    expect(metricsOf(diffState(stateOf(of('day')), stateOf(of('day'))))).toEqual(['kept metric a'])
  })
})
