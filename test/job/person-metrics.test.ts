/** Funnels and lifecycles in job documents: what they say, what is refused, how they are planned, what is their state. */
import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { diffState, type StateDiff } from '../../src/job/state-diff.ts'
import { describeState } from '../../src/job/state-identity.ts'
import { alignPlan } from '../../src/job/state-match.ts'
import { descriptors, told, withLine } from './parse-support.ts'
import { planOf, stateOf } from './state-support.ts'

const metric = (text: string): string => withLine(`metrics: [{ id: m, ${text} }]`)
const parsed = (text: string) => parseJob(metric(text), descriptors).definition.metrics[0]!
const steps = 'steps: [{ where: screen == "a" }, { where: screen == "b" }, { where: screen == "c" }]'
const day = 'window: { calendar: day }'
const mistakes = (text: string): string[] => told(metric(text)).map((one) => one.slice(one.indexOf(' ') + 1))

describe('definitions', () => {
  it('have two weeks, any step between, the first event and persons by default', () => {
    expect(parsed(`funnel: { ${steps} }, ${day}`).kind).toMatchObject({
      ...{ kind: 'funnel', withinMs: 14 * 86_400_000, order: 'sequential', exclude: [], attribution: 'first' },
      ...{ attributionStep: 0, measure: 'persons' },
    })
    expect(parsed(`lifecycle: {}, ${day}`).kind).toEqual({ kind: 'lifecycle', lookbackMs: 90 * 86_400_000 })
  })

  it('have exclusions between the first and the last step by default', () => {
    const { kind } = parsed(`funnel: { ${steps}, exclude: [{ where: screen == "x" }] }, ${day}`)
    expect(kind).toMatchObject({ exclude: [{ where: 'screen == "x"', from: 1, to: 3 }] })
  })

  it('have calendar windows: days, weeks from Monday, months', () => {
    const windowOf = (period: string) =>
      parsed(`count: {}, window: { calendar: ${period}, timezone: Asia/Kolkata }`).window
    expect(windowOf('day')).toMatchObject({
      kind: 'tumbling',
      sizeMs: 86_400_000,
      offsetMs: 0,
      timezone: 'Asia/Kolkata',
    })
    expect(windowOf('week')).toMatchObject({ sizeMs: 7 * 86_400_000, offsetMs: 4 * 86_400_000 })
    expect(windowOf('month')).toMatchObject({ sizeMs: 31 * 86_400_000, unit: 'month' })
    expect(windowOf('day')).not.toHaveProperty('unit')
  })

  it.each([
    ['funnel: { steps: [{ where: screen == "a" }] }', 'metrics[0].funnel.steps: must be 2 to 16 steps'],
    [`funnel: { ${steps.replace('"b"', '7')} }`, 'metrics[0].funnel.steps[1].where: == does not take'],
    [`funnel: { ${steps}, exclude: [{ where: nothing == 1 }] }`, 'metrics[0].funnel.exclude[0].where:'],
    [`funnel: { ${steps}, exclude: [{ where: "true", from: 2, to: 2 }] }`, 'must be a step before 2'],
    [`funnel: { ${steps}, exclude: [{ where: "true", to: 4 }] }`, 'there is no step 4: there are 3'],
    [`funnel: { ${steps}, attribution: step }`, 'metrics[0].funnel.attributionStep: is missing: which step, 1 to 3'],
    [`funnel: { ${steps}, attribution: step, attributionStep: 4 }`, 'there is no step 4: there are 3'],
    [`funnel: { ${steps}, attributionStep: 2 }`, 'says which step, with attribution: step'],
    [`funnel: { ${steps}, order: random }`, 'must be sequential, strict or any'],
    [`funnel: { ${steps}, measure: persns }`, 'did you mean "persons"?'],
    [`funnel: { ${steps}, buckets: [1h, 1m] }`, 'funnel.buckets[1]: must be longer than the one before'],
    [`funnel: { ${steps} }, allowedLateness: 1d, retain: 15d`, 'metrics[0].retain: must be longer than 15d'],
    [`funnel: { ${steps}, buckets: [soon] }`, 'funnel.buckets[0]: must be a duration'],
    [`funnel: { ${steps} }, by: [person]`, 'metrics[0].by[0]: a funnel counts persons'],
    [`lifecycle: {}, by: [person]`, 'metrics[0].by[0]: a lifecycle counts persons'],
    [`lifecycle: { lookback: 1h }`, 'metrics[0].lifecycle.lookback: must be as long as a period at least'],
  ])('%s is refused, in its place', (text, message) => {
    expect(mistakes(`${text}, ${day}`).join('\n')).toContain(message)
  })

  it.each(['sliding: 2d, slide: 1d', 'session: 30m', 'global: {}', 'tumbling: 1d, time: processing'])(
    'windows of %s are refused',
    (window) => {
      expect(mistakes(`funnel: { ${steps} }, window: { ${window} }`).join('\n')).toMatch(
        /a funnel (has windows|is of event)/,
      )
    },
  )

  it('count their steps among the conditions of a job', () => {
    const step = (i: number, k: number): string => `{ where: screen == "${i}-${k}" }`
    const funnel = (i: number): string => {
      const own = Array.from({ length: 16 }, (_, k) => step(i, k)).join(', ')
      return `{ id: f${i}, funnel: { steps: [${own}] }, ${day} }`
    }
    expect(told(withLine(`metrics: [${funnel(0)}, ${funnel(1)}]`)).join()).toContain('at most 31 different "where"')
    expect(parseJob(withLine(`metrics: [${funnel(0)}]`), descriptors).definition.metrics).toHaveLength(1)
  })
})

const funnel = (id: string, more = '', rest = day): string =>
  `  - { id: ${id}, funnel: { ${steps}${more} }, ${rest} }\n`

describe('plans', () => {
  it('have one table for all measures of a funnel, settled when its time is over', () => {
    const plan = planOf(funnel('a') + funnel('b', ', measure: conversion') + funnel('c', ', measure: convertTimes'))
    expect(plan.tables).toHaveLength(1)
    expect(plan.tables[0]).toMatchObject({
      ...{ dimensions: [-2], dimensionNames: ['step'], keyed: false, settleMs: 14 * 86_400_000 },
      person: { kind: 'funnel', steps: [0, 1, 2] },
    })
    expect(plan.metrics.map(({ events, read, integer }) => [events, read, integer])).toEqual([
      [0, { kind: 'value', of: 2 }, true],
      [0, { kind: 'ratio', of: 2, by: 0 }, false],
      [0, { kind: 'histogram', of: 4 }, true],
    ])
  })

  it('have a table for each funnel, and share conditions', () => {
    const plan = planOf(
      `${funnel('a')}${funnel('b', ', within: 1h')}  - { id: n, count: {}, where: screen == "b", ${day} }\n`,
    )
    expect(plan.tables).toHaveLength(3)
    expect(plan.predicates).toHaveLength(3)
  })

  it("join a metric's own condition with those of its steps; strict ones have it by itself", () => {
    const plan = planOf(funnel('a', ', order: strict', `where: platform == "ios", ${day}`))
    expect(plan.predicates.map(({ op }) => op)).toEqual(['and', 'and', 'and', 'text'])
    expect(plan.tables[0]!.person).toMatchObject({ every: 3 })
  })
})

describe('state', () => {
  const lines = ({ entries }: StateDiff): string[] =>
    entries.map(({ change, kind, name }) => `${change} ${kind} ${name}`)
  const metricsOf = (diff: StateDiff): string[] => lines(diff).filter((line) => line.includes(' metric '))

  it('goes on when measures come and go, whichever of them are left', () => {
    const held = stateOf(funnel('a') + funnel('b', ', measure: conversion'))
    const plan = planOf(funnel('c', ', measure: convertTime') + funnel('b', ', measure: conversion') + funnel('a'))
    const diff = diffState(held, describeState(plan))
    expect(metricsOf(diff)).toEqual(['migrated metric c', 'kept metric b', 'kept metric a'])
    // All columns of what is computed of a person stay, in their places.
    expect(alignPlan(plan, diff.tables)).toBe(plan)
    const alone = planOf(funnel('a'))
    expect(alignPlan(alone, diffState(describeState(alone), describeState(alone)).tables)).toBe(alone)
  })

  it.each([
    ['within', ', within: 1h', day],
    ['order', ', order: any', day],
    ['buckets', ', buckets: [1m]', day],
    ['attribution', ', attribution: last', day],
    ['exclusions', ', exclude: [{ where: screen == "x" }]', day],
    ['windows', '', 'window: { calendar: month }'],
    ['the condition', '', `where: platform == "ios", ${day}`],
  ])('begins anew with other %s', (_, more, rest) => {
    expect(metricsOf(diffState(stateOf(funnel('a')), stateOf(funnel('a', more, rest))))).toEqual([
      ...['new metric a', 'dropped metric a'],
    ])
  })

  it('goes on with another lateness and retention, and when conditions move', () => {
    const other = `  - { id: n, count: {}, where: screen == "z", ${day} }\n`
    const diff = diffState(
      stateOf(funnel('a')),
      stateOf(other + funnel('a', '', `${day}, allowedLateness: 1d, retain: 30d`)),
    )
    expect(metricsOf(diff)).toEqual(['new metric n', 'kept metric a'])
  })

  it('of two tables that become one goes on from one of them', () => {
    const late = (id: string, ms: number) => funnel(id, '', `${day}, allowedLateness: ${ms}s`)
    const diff = diffState(stateOf(late('a', 1) + late('b', 2)), stateOf(late('a', 3) + late('b', 3)))
    expect(diff.tables[0]!.sources).toHaveLength(1)
  })
})
