/** Sessions in job documents: what they say, what is refused, how they are planned, what is their state. */
import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { diffState, type StateDiff } from '../../src/job/state-diff.ts'
import { maturityOf } from '../../src/metrics/maturity.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricInfo } from '../../src/query/metric-info.ts'
import { keptDimensions } from '../../src/query/render.ts'
import { fromDescription, toDescription } from '../../src/rpc/query-messages.ts'
import { descriptors, told, withLine } from './parse-support.ts'
import { planOf, stateOf } from './state-support.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const day = 'window: { calendar: day }'
const metric = (text: string): string => withLine(`metrics: [{ id: m, ${text} }]`)
const parsed = (text: string) => parseJob(metric(text), descriptors).definition.metrics[0]!
const mistakes = (text: string): string[] => told(metric(text)).map((one) => one.slice(one.indexOf(' ') + 1))

describe('sessions', () => {
  it('end after half an hour or a day, and bounce as in GA4, by default', () => {
    expect(parsed(`sessions: {}, ${day}`).kind).toMatchObject({
      ...{ kind: 'sessions', gapMs: 30 * MINUTE_MS, maxDurationMs: DAY_MS, cutAtMidnight: false, views: null },
      ...{ interactions: null, engagedAfterMs: 10_000, bounce: 'ga4', measure: 'count' },
    })
  })

  it.each([
    ['ga4', { gapMs: 30 * MINUTE_MS, maxDurationMs: DAY_MS, cutAtMidnight: false, bounce: 'ga4' }],
    ['posthog', { gapMs: 30 * MINUTE_MS, maxDurationMs: DAY_MS, cutAtMidnight: false, bounce: 'posthog' }],
    ['plausible', { gapMs: 30 * MINUTE_MS, cutAtMidnight: false, bounce: 'plausible' }],
    ['matomo', { gapMs: 30 * MINUTE_MS, cutAtMidnight: true, bounce: 'matomo' }],
  ])('are those of %s by its preset', (preset, kind) => {
    expect(parsed(`preset: ${preset}, sessions: {}, ${day}`).kind).toMatchObject(kind)
    expect(parsed(`preset: ${preset}, sessions: { gap: 5m }, ${day}`).kind).toMatchObject({
      ...kind,
      gapMs: 5 * MINUTE_MS,
    })
  })

  it.each([
    ['sessions: { views: nothing == 1 }', 'metrics[0].sessions.views:'],
    ['sessions: { interactions: screen == 7 }', 'metrics[0].sessions.interactions: == does not take'],
    ['sessions: { gap: 0s }', 'metrics[0].sessions.gap:'],
    ['sessions: { gap: 1h, maxDuration: 30m }', 'maxDuration: must be as long as the gap at least, 1h'],
    ['sessions: { bounce: ga }', 'must be ga4, posthog, plausible or matomo'],
    ['sessions: { measure: counts }', 'did you mean "count"?'],
    ['sessions: { buckets: [10m, 1m] }', 'must be longer than the one before'],
    ['preset: amplitude, sessions: {}', 'amplitude has no definition of sessions here'],
    ['sessions: {}, by: [person]', 'metrics[0].by[0]: sessions counts persons'],
    ['sessions: {}, retain: 1d', 'metrics[0].retain: must be longer than 1d'],
  ])('%s is refused, in its place', (text, message) => {
    expect(mistakes(`${text}, ${day}`).join('\n')).toContain(message)
  })

  it('have windows side by side', () => {
    expect(mistakes('sessions: {}, window: { session: 30m }').join()).toContain('sessions has windows side by side')
  })

  it('are no side of a ratio as a histogram', () => {
    const job = `metrics: [{ id: a, sessions: { measure: durations }, ${day} }, { id: r, ratio: { of: a, to: a } }]`
    expect(told(withLine(job)).join()).toContain('"a" is a list (sessions), and a ratio is of numbers')
  })

  it('come over the wire with what they are', () => {
    const { kind, window } = parsed(`sessions: { measure: durations, cutAtMidnight: true, bounce: matomo }, ${day}`)
    const info = { job: 'j', metric: 'm', description: '', kind, where: '', dimensions: [], window, integer: true }
    expect(fromDescription(toDescription(info))).toEqual(info)
  })

  it('add up over dimensions by their count, as each is of one group, and persons do not', () => {
    const of = (measure: string): MetricInfo => {
      const { kind, window } = parsed(`sessions: { measure: ${measure} }, by: [platform], ${day}`)
      return {
        ...{ job: 'j', metric: 'm', description: '', kind, where: '', window },
        dimensions: ['platform'],
        integer: true,
      }
    }
    const query = { job: 'j', metric: 'm', groupBy: [], filters: new Map() } as unknown as MetricQuery
    expect(keptDimensions(of('count'), query)).toEqual([])
    expect(() => keptDimensions(of('persons'), query)).toThrow('do not add up')
  })

  it('have the dimensions that are named, and no own; a table has all measures', () => {
    const plan = planOf(
      `  - { id: a, sessions: {}, by: [platform], ${day} }\n` +
        `  - { id: b, sessions: { measure: bounceRate }, by: [platform], ${day} }\n` +
        `  - { id: c, sessions: { views: screen == "home", interactions: screen == "signup" }, ${day} }\n`,
    )
    expect(plan.tables).toMatchObject([
      {
        dimensions: [0],
        dimensionNames: ['platform'],
        settleMs: DAY_MS,
        person: { kind: 'sessions', interactions: -1 },
      },
      { dimensions: [], dimensionNames: [], person: { every: 0, views: 1, interactions: 2 } },
    ])
    expect(plan.tables[0]!.accumulators.map(({ measure }) => measure)).toEqual([
      ...['sessions', 'persons', 'views', 'bounces', 'engaged', 'duration', 'durations'],
    ])
    expect(plan.metrics.map(({ read }) => read)).toMatchObject([
      { kind: 'value', of: 0 },
      { kind: 'ratio', of: 3, by: 0 },
      { kind: 'value', of: 0 },
    ])
  })

  it('N10: are final a greatest duration after their window; where they end with the day, with it', () => {
    const settle = (text: string) => planOf(`  - { id: a, ${text} }\n`).tables[0]!.settleMs
    expect(settle(`sessions: { maxDuration: 4h }, ${day}`)).toBe(DAY_MS / 6)
    expect(settle(`sessions: { cutAtMidnight: true }, ${day}`)).toBe(0)
    expect(settle('sessions: { cutAtMidnight: true }, window: { calendar: month }')).toBe(0)
    expect(settle('sessions: { cutAtMidnight: true }, window: { tumbling: 1h }')).toBe(DAY_MS)
    const { kind, window } = parsed(`sessions: {}, ${day}`)
    expect(maturityOf(kind, window)?.(DAY_MS, '')).toBe(2 * DAY_MS)
    expect(maturityOf({ ...kind, cutAtMidnight: true } as typeof kind, window)).toBeNull()
  })
})

describe('state of sessions', () => {
  const of = (id: string, text: string): string => `  - { id: ${id}, sessions: { ${text} }, ${day} }\n`
  const metricsOf = ({ entries }: StateDiff): string[] =>
    entries.flatMap(({ change, kind, name }) => (kind === 'metric' ? [`${change} ${kind} ${name}`] : []))
  const change = (before: string, after: string): string[] => metricsOf(diffState(stateOf(before), stateOf(after)))

  it('has all measures', () => {
    expect(change(of('a', '') + of('b', 'measure: depth'), of('a', '') + of('c', 'measure: duration'))).toEqual(
      expect.arrayContaining(['kept metric a', 'migrated metric c']),
    )
  })

  it.each(['gap: 1h', 'maxDuration: 12h', 'bounce: matomo', 'views: screen == "home"', 'cutAtMidnight: true'])(
    'begins anew with %s',
    (text) => {
      expect(change(of('a', ''), of('a', text))).toEqual(['new metric a', 'dropped metric a'])
    },
  )
})
