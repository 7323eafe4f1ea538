import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { parseJob } from '../../src/job/parse.ts'
import { diffState, refusalOf } from '../../src/job/state-diff.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { planOf, stateOf } from './state-support.ts'

const descriptors = builtInDescriptors()
const weights = 'event: { message: millrace.v1.Event, time: occurred_at, key: person, weight: weight }\n'
const day = 'window: { calendar: day }'

function mistakesOf(metrics: readonly string[], event = weights): readonly string[] {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: j }
sources: [{ id: events, kafka: { topic: events } }]
${event}metrics:
${metrics.map((metric, i) => `  - { id: m${i}, ${metric} }\n`).join('')}`
  try {
    parseJob(text, descriptors)
    return []
  } catch (error) {
    return MillraceError.from(error).violations!.map(({ field, message }) => `${field}: ${message}`)
  }
}

describe('the weight of events', () => {
  it('is a column of the plan, and every table takes events back', () => {
    const metrics = `  - { id: views, count: {}, ${day} }\n  - { id: states, lifecycle: { lookback: 30d }, ${day} }\n`
    const plan = planOf(metrics, weights)
    expect(plan.schema.columns[plan.weight!]).toMatchObject({
      field: { path: 'weight' },
      encoding: 'number',
      nullable: true,
    })
    expect(plan.tables.map(({ takesBack }) => takesBack)).toEqual([true, true])
    const without = planOf(metrics)
    expect(without).not.toHaveProperty('weight')
    expect(without.tables.some((table) => 'takesBack' in table)).toBe(false)
    expect(plan.definitionHash).not.toBe(without.definitionHash)
  })

  it('does not go on with state in which members have no counts', () => {
    const metrics = `  - { id: visitors, distinct: { field: platform }, ${day} }\n`
    const changes = (held: string, wanted: string): string[] =>
      diffState(stateOf(metrics, held), stateOf(metrics, wanted)).entries.flatMap(({ kind, change }) =>
        kind === 'table' ? [change] : [],
      )
    expect(changes(weights, weights)).toEqual(['kept'])
    expect(changes('', weights)).toEqual(['new', 'dropped'])
    expect(changes(weights, '')).toEqual(['new', 'dropped'])
    const [held, wanted] = [stateOf(metrics), stateOf(metrics, weights)]
    expect(refusalOf(diffState(held, wanted), [], 'checkpoint 7')?.message).toMatch(/can be taken back now.*visitors/)
    expect(refusalOf(diffState(wanted, held), [], 'checkpoint 7')?.message).toContain('cannot be taken back now')
    expect(refusalOf(diffState(held, wanted), ['visitors'], 'checkpoint 7')).toBeNull()
  })

  it('is taken by what can take back', () => {
    const field = 'field: revenue_minor'
    expect(
      mistakesOf([
        `count: {}, window: { sliding: 1h, slide: 5m }`,
        `sum: { ${field} }, ${day}`,
        `avg: { ${field} }, window: { cumulate: 1d, step: 1h }`,
        `quantile: { ${field}, q: 0.5 }, ${day}`,
        `histogram: { ${field}, bounds: [1, 2] }, ${day}`,
        `distinct: { field: platform }, ${day}`,
        `activeUsers: {}, ${day}`,
        `activeUsers: {}, window: { sliding: 28d, slide: 1d }`,
        `variance: { ${field} }, by: [person], ${day}`,
        `sessions: { gap: 30m }, ${day}`,
      ]),
    ).toEqual([])
  })

  it.each([
    [`min: { field: revenue_minor }, ${day}`, 'metrics[0].min: min cannot take events back'],
    [`last: { field: platform }, ${day}`, 'metrics[0].last: last cannot take events back'],
    [`topK: { field: platform, k: 3 }, ${day}`, 'metrics[0].topK: topK cannot take events back'],
    [`approxDistinct: {}, ${day}`, 'metrics[0].approxDistinct: approxDistinct cannot take events back'],
    [`activeUsers: { exactUpTo: 5 }, ${day}`, 'metrics[0].activeUsers: a count of different values that'],
    [`stddev: { field: revenue_minor }, ${day}`, 'metrics[0].stddev: stddev that is not by "person" cannot'],
    [
      `distinct: { field: platform }, window: { sliding: 2h, slide: 1h }`,
      'metrics[0].window: distinct in windows that',
    ],
    [
      `count: {}, window: { tumbling: 1h, time: processing }`,
      'metrics[0].window: a window of processing time cannot take events back',
    ],
    [
      `count: {}, window: { session: 30m }, by: [person]`,
      'metrics[0].window: a session window cannot take events back',
    ],
  ])('is refused with what cannot: %s', (metric, problem) => {
    const mistakes = mistakesOf([metric])
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]).toContain(problem)
    expect(mistakesOf([metric], '')).toEqual([])
  })

  it('is taken exactly where tables take events back', () => {
    const field = 'field: revenue_minor'
    const kinds = [
      ...['count: {}', 'activeUsers: {}', 'approxDistinct: {}', 'distinct: { field: screen }'],
      ...['topK: { field: screen, k: 3 }', 'first: { field: screen }', `last: { ${field} }`],
      ...['sum', 'min', 'max', 'avg', 'variance', 'stddev'].map((kind) => `${kind}: { ${field} }`),
      ...['sum: { field: properties.price }', 'avg: { field: properties.price }'],
      ...[`quantile: { ${field}, q: 0.5 }`, `histogram: { ${field}, bounds: [1] }`],
    ]
    const windows = [
      ...['tumbling: 1h', 'sliding: 2h, slide: 1h', 'sliding: 7d, slide: 1d', 'cumulate: 2h, step: 1h'],
      ...['global: {}', 'calendar: month'],
    ]
    const seen = { taken: 0, refused: 0 }
    for (const kind of kinds)
      for (const window of windows)
        for (const by of ['', ', by: [person]', ', by: [platform]']) {
          const metric = `${kind}, window: { ${window} }${by}`
          const [table] = planOf(`  - { id: m, ${metric} }\n`).tables
          const at = (column: number) => column
          const { inverts } = layOutAccumulators({ ...table!, takesBack: true }, at, at, new PagePool())
          const takes = inverts || table!.person !== undefined
          expect([metric, mistakesOf([metric]).length === 0]).toEqual([metric, takes])
          seen[takes ? 'taken' : 'refused']++
        }
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(50)
  })

  it('is an integer field', () => {
    const of = (weight: string) =>
      mistakesOf([`count: {}, ${day}`], weights.replace('weight: weight', `weight: ${weight}`))
    expect(of('revenue_minor')).toEqual([])
    expect(of('platform')).toEqual(['event.weight: a weight is an integer, 1 or -1; "platform" is string'])
    expect(of('properties.weight')).toEqual([
      'event.weight: a weight is an integer, 1 or -1; "properties.weight" is property',
    ])
    expect(of('wieght')[0]).toMatch(/^event\.weight: .*weight/)
  })
})
