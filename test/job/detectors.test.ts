/** Detectors in job documents: what they say, and what is refused. */
import { describe, expect, it } from 'vitest'
import { Detector } from '../../src/alert/detector.ts'
import { planWatch } from '../../src/alert/watch-plan.ts'
import { hashDefinition } from '../../src/job/definition-hash.ts'
import { parseJob } from '../../src/job/parse.ts'
import { descriptors, told, withLine } from './parse-support.ts'

const DAY_MS = 86_400_000
const steps = 'steps: [{ where: screen == "a" }, { where: screen == "b" }]'
const metrics = [
  '{ id: views, count: {}, window: { tumbling: 1h }, by: [platform] }',
  `{ id: conversion, funnel: { ${steps}, within: 7d, measure: conversion }, window: { tumbling: 1d }, retain: 100d }`,
  `{ id: times, funnel: { ${steps}, within: 7d, measure: convertTimes }, window: { tumbling: 1d }, retain: 100d }`,
  '{ id: price, quantile: { field: revenue_minor, q: 0.5 }, window: { tumbling: 1h } }',
  '{ id: top, topK: { field: screen, k: 5 }, window: { tumbling: 1h } }',
  '{ id: rolling, count: {}, window: { sliding: 1h, slide: 1m } }',
  '{ id: so_far, count: {}, window: { cumulate: 1d, step: 1h } }',
  '{ id: visits, count: {}, window: { session: 30m }, by: [person] }',
  '{ id: ever, count: {}, window: { global: {} } }',
  '{ id: clock, count: {}, window: { tumbling: 1m, time: processing } }',
  '{ id: web, count: {}, where: platform == "web", window: { tumbling: 1h }, by: [platform] }',
  '{ id: rate, ratio: { of: web, to: views } }',
  '{ id: odd, ratio: { of: web, to: price } }',
  '{ id: persons, count: {}, window: { tumbling: 1h }, by: [person] }',
]
const job = (...detectors: string[]): string =>
  withLine(`metrics: [${metrics.join(', ')}]`).replace(/\n?$/, `\ndetectors: [${detectors.join(', ')}]\n`)
const parsed = (text: string) => parseJob(job(`{ id: d, ${text} }`), descriptors).definition.detectors![0]!
const mistakes = (...texts: string[]): string[] => told(job(...texts)).map((one) => one.slice(one.indexOf(' ') + 1))

describe('detectors', () => {
  it('have defaults, some of them by the metric', () => {
    expect(parsed('metric: views, ewma: {}')).toEqual({
      ...{ id: 'd', description: '', metric: 'views', groups: {}, kind: { kind: 'ewma', halfLife: 24, warmUp: 24 } },
      ...{ direction: 'both', noise: 'poisson', minimumVolume: 0, pool: false, gaps: 'zero', openAfter: 1 },
      ...{ closeAfter: 2, score: 0, falseAlarms: { most: 1, perMs: 30 * DAY_MS }, groupsMax: 100 },
      // A third of 90 days, less a window: whole hours.
      history: { lengthMs: 719 * 3_600_000, fromMs: 0 },
    })
    expect(parsed('metric: conversion, ewma: {}')).toMatchObject({
      noise: 'binomial',
      history: { lengthMs: 30 * DAY_MS },
    })
    expect(parsed('metric: price, ewma: {}').noise).toBe('normal')
    expect(parseJob(job(), descriptors).definition).not.toHaveProperty('detectors')
  })

  it('say what is not to be learned from', () => {
    const stretch = "exclude: [{ from: '2024-04-09', to: '2024-05-09T12:00:00Z' }]"
    expect(parsed(`metric: views, ewma: {}, ${stretch}`).exclude).toEqual([
      { fromMs: Date.UTC(2024, 3, 9), toMs: Date.UTC(2024, 4, 9, 12) },
    ])
  })

  it('say what is usual in all of the kinds', () => {
    expect(parsed('metric: views, threshold: { lower: 3 }').kind).toEqual({ kind: 'threshold', lower: 3, upper: null })
    expect(parsed('metric: views, cusum: {}').kind).toMatchObject({ drift: 0.5, baseline: { kind: 'ewma' } })
    expect(parsed('metric: views, cusum: { drift: 1, holtWinters: { period: day, level: 0.1 } }').kind).toEqual({
      ...{ kind: 'cusum', drift: 1 },
      baseline: {
        kind: 'holtWinters',
        season: { period: 'day', slotMs: 3_600_000, zone: 'UTC' },
        smoothing: { level: 0.1, trend: 0, season: 0.2 },
      },
    })
    expect(parsed('metric: views, seasonalMedian: { timezone: Europe/Berlin, levelHalfLife: 48 }').kind).toMatchObject({
      ...{ memory: 8, warmUp: 3, levelHalfLife: 48, season: { period: 'week', zone: 'Europe/Berlin' } },
    })
  })

  it('that are valid can be planned, whatever the kind', () => {
    const { definition } = parseJob(
      job(
        '{ id: a, metric: views, threshold: {} }',
        '{ id: b, metric: views, ewma: { halfLife: 0 } }',
        '{ id: c, metric: views, seasonalMedian: {} }',
        '{ id: f, metric: rate, ewma: {}, noise: binomial }',
        '{ id: d, metric: price, holtWinters: {} }',
        '{ id: e, metric: conversion, cusum: {}, pool: true, minimumVolume: 10, groups: { step: "2" } }',
      ),
      descriptors,
    )
    for (const detector of definition.detectors!) {
      const plan = planWatch(detector, definition.metrics.find(({ id }) => id === detector.metric)!)
      expect(plan.first).toBeInstanceOf(Detector)
      expect(plan.settleMs).toBe(detector.id === 'e' ? 7 * DAY_MS : 0)
    }
  })

  it('change no state', () => {
    const hashes = [job(), job('{ id: d, metric: views, ewma: {} }')].map((text) =>
      hashDefinition(parseJob(text, descriptors).definition),
    )
    expect(hashes[1]).toBe(hashes[0])
  })

  it.each([
    ['metric: views', 'needs a kind of detector: threshold, ewma, seasonalMedian, holtWinters or cusum'],
    ['metric: views, ewma: {}, cusum: {}', 'has ewma and cusum: only one kind of detector is possible'],
    ['metric: view, ewma: {}', 'detectors[0].metric: there is no metric "view"; did you mean views?'],
    [
      "metric: views, ewma: {}, exclude: [{ from: '2024-04-09', to: '2024-04-09' }]",
      'exclude[0].to: must be after from',
    ],
    ["metric: views, ewma: {}, exclude: [{ from: '2024-04-09' }]", 'exclude[0].to: is missing'],
    ['metric: top, ewma: {}', 'a top list is no number'],
    ['metric: times, ewma: {}', 'a histogram is no number'],
    ['metric: rolling, ewma: {}', 'its windows overlap'],
    ['metric: so_far, ewma: {}', 'its windows grow'],
    ['metric: visits, ewma: {}', "its windows are one person's"],
    ['metric: ever, ewma: {}', 'its window never ends'],
    ['metric: odd, ewma: {}', 'its two sides are in two tables'],
    ['metric: clock, ewma: {}', 'a restart would look like an incident'],
    ['metric: persons, ewma: {}', 'each person would be a series'],
    [
      'metric: views, ewma: {}, groups: { screen: a }',
      'detectors[0].groups.screen: is no dimension of "views", which has platform',
    ],
    ['metric: views, ewma: {}, noise: binomial', '"views" is no share of a number that is known'],
    ['metric: views, ewma: {}, pool: true', 'joins windows of shares'],
    ['metric: conversion, pool: true, seasonalMedian: { memory: 4 }, history: { length: 21d }', 'needs ewma'],
    ['metric: views, threshold: { lower: 3, upper: 2 }', 'detectors[0].threshold.lower: must not be above upper, 2'],
    ['metric: views, threshold: { lower: 3 }, score: 2', 'has no meaning for a threshold'],
    ['metric: views, seasonalMedian: { slot: 7h }', 'detectors[0].seasonalMedian.slot: must divide a day evenly'],
    ['metric: views, seasonalMedian: { memory: 2 }', 'must be at least warmUp, 3'],
    [
      'metric: views, cusum: { holtWinters: { timezone: Mars } }',
      'detectors[0].cusum.holtWinters.timezone: there is no',
    ],
    ['metric: views, cusum: { ewma: {}, holtWinters: {} }', 'has ewma and holtWinters: only one says what is usual'],
    ['metric: views, ewma: {}, history: { length: 31d }', 'to a third of what "views" retains'],
    ['metric: views, ewma: { warmUp: 100 }, history: { length: 4d }', 'must be at least the warm-up, 100h'],
    ['metric: views, ewma: {}, direction: sideways', 'must be up, down or both'],
    ['metric: views, ewma: {}, groups: { platform: 1 }', 'must be a text, not 1; put it in quotes'],
  ])('are refused: %s', (text, message) => {
    const all = mistakes(`{ id: d, ${text} }`)
    expect(all).toHaveLength(1)
    expect(all[0]).toContain(message)
  })

  it('are refused with ids that are taken, and in numbers that memory cannot hold', () => {
    const one = '{ id: d, metric: views, ewma: {} }'
    expect(mistakes(one, one)[0]).toContain('detector "d" is defined twice')
    const many = Array.from({ length: 8 }, (_, i) => `{ id: d${i}, metric: views, ewma: {}, maxGroups: 1000 }`)
    expect(mistakes(...many)[0]).toContain('windows of all groups, more than 5000000')
    const scored = many.map((text) => text.replace('ewma: {}', 'ewma: {}, score: 4'))
    expect(parseJob(job(...scored), descriptors).definition.detectors).toHaveLength(8)
  })
})
