import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import {
  AddedUp,
  AllRows,
  columnsOf,
  compareTop,
  type GatheredRow,
  TopOfWindows,
} from '../../src/operator/view-collect.ts'
import { valuePasses } from '../../src/operator/view-filter.ts'
import type { DimensionCondition, ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import type { DimensionFilter, MetricQuery } from '../../src/query/api.ts'
import type { KeyQuery } from '../../src/query/key-api.ts'
import type { MetricInfo } from '../../src/query/metric-info.ts'
import { createQueryService } from '../../src/query/service.ts'
import type { ViewAnswer, ViewPort } from '../../src/query/view-port.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { pageViews } from '../support/fakes/query.ts'

const counts: MetricInfo = { ...pageViews, metric: 'counts', dimensions: ['person', 'platform'] }
const people: MetricInfo = { ...counts, metric: 'people', kind: { kind: 'activeUsers' } }
const totals: MetricInfo = { ...pageViews, metric: 'totals', dimensions: [] }

function holds(texts: readonly string[], { dimension, test, texts: wanted, not }: DimensionCondition): boolean {
  const own = texts[dimension]!
  return wanted.some((text) => (test === 'equals' ? own === text : own.startsWith(text))) !== not
}

/** Views over rows in memory that do what a worker is asked to, with the worker's own collectors. */
class RowViews implements ViewPort {
  readonly asked: ViewQuery[] = []
  readonly subtasks: readonly (readonly GatheredRow[])[]

  constructor(subtasks: readonly (readonly GatheredRow[])[]) {
    this.subtasks = subtasks
  }

  metrics: ViewPort['metrics'] = async () => [
    { info: counts, index: 0, keyDimension: 0 },
    { info: people, index: 1, keyDimension: 0 },
    { info: totals, index: 2, keyDimension: -1 },
  ]

  ownerOf: ViewPort['ownerOf'] = (_job, key) => key.length % this.subtasks.length

  ask: ViewPort['ask'] = async (_job, query): Promise<ViewAnswer> => {
    this.asked.push(query)
    const rows = this.subtasks.map((_, subtask) => this.#answer(query, subtask))
    return { attempt: 1, ended: false, rows: rows.filter((part) => part !== null) }
  }

  #answer(query: ViewQuery, subtask: number): ViewRows | null {
    if (query.subtask !== undefined && query.subtask !== subtask) return null
    const { keep, top, rowsMax, conditions = [], values = [] } = query
    const collector =
      keep !== undefined
        ? new AddedUp(keep, rowsMax)
        : top !== undefined
          ? new TopOfWindows(top, rowsMax)
          : new AllRows(rowsMax)
    for (const row of this.subtasks[subtask]!) {
      const passes =
        query.filter.every((text, index) => text === null || text === row.dimensions[index]) &&
        conditions.every((condition) => holds(row.dimensions, condition)) &&
        row.endMs > query.fromMs &&
        row.startMs < query.toMs
      if (passes && valuePasses(row.value, values)) collector.add({ ...row })
    }
    const { truncated } = collector
    return {
      operator: 'window',
      subtask,
      watermarkMs: 100 + subtask,
      change: 1,
      truncated,
      ...columnsOf(collector.rows()),
    }
  }
}

function service(subtasks: readonly (readonly GatheredRow[])[]) {
  const views = new RowViews(subtasks)
  return { views, query: createQueryService(views, new ManualScheduler(new ManualClock()), 100) }
}

const everything: MetricQuery = {
  job: 'shop',
  metric: 'counts',
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
  filters: new Map(),
  groupBy: null,
  limit: 1000,
  latest: false,
}

const persons = ['anna', 'ann', 'bob', 'carl', '']
const platforms = ['ios', 'web']

/** Different groups a window, each in one subtask. */
const rowsOf = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.constantFrom(...persons), fc.constantFrom(...platforms)), {
    selector: String,
    maxLength: 30,
  })
  .chain((groups) =>
    fc.tuple(
      ...groups.map(([window, person, platform]) =>
        fc
          .record({
            value: fc.integer({ min: 0, max: 5 }),
            revision: fc.integer({ min: 0, max: 2 }),
            subtask: fc.nat(2),
          })
          .map(({ subtask, ...rest }) => ({
            subtask,
            row: {
              startMs: window * 10,
              endMs: window * 10 + 10,
              dimensions: [person, platform],
              events: 1,
              late: 0,
              provisional: rest.revision === 0,
              ...rest,
            } satisfies GatheredRow,
          })),
      ),
    ),
  )

const filterOf: fc.Arbitrary<DimensionFilter> = fc.record({
  name: fc.constantFrom('person', 'platform'),
  test: fc.constantFrom('equals', 'prefix'),
  texts: fc.array(fc.constantFrom(...persons, ...platforms, 'a'), { minLength: 1, maxLength: 3 }),
  not: fc.boolean(),
})

const selectionOf = fc.record({
  groupBy: fc.constantFrom<MetricQuery['groupBy'][]>(null, [], ['platform'], ['platform', 'person']),
  where: fc.array(filterOf, { maxLength: 2 }),
  values: fc.array(fc.record({ relation: fc.constantFrom('>', '<=', '!='), than: fc.integer({ min: 0, max: 6 }) }), {
    maxLength: 2,
  }),
  top: fc.option(fc.record({ count: fc.integer({ min: 1, max: 3 }), ascending: fc.boolean() })),
})

/** The same answer the plain way: filter, add up, judge totals, sort, cut. */
function expected(rows: readonly GatheredRow[], selection: Selection) {
  const { groupBy, where, values, top } = selection
  const index = (name: string) => counts.dimensions.indexOf(name)
  const wanted = rows.filter((row) =>
    where.every(({ name, ...condition }) => holds(row.dimensions, { dimension: index(name), ...condition })),
  )
  const groups = new Map<string, { startMs: number; dimensions: string[]; value: number; provisional: boolean }>()
  for (const row of wanted) {
    const dimensions = (groupBy ?? counts.dimensions).map((name) => row.dimensions[index(name)]!)
    const key = JSON.stringify([row.startMs, dimensions])
    const group = groups.get(key) ?? { startMs: row.startMs, dimensions, value: 0, provisional: false }
    groups.set(key, { ...group, value: group.value + row.value, provisional: group.provisional || row.provisional })
  }
  const whole = [...groups.values()].filter(({ value }) => valuePasses(value, values))
  const byDimensions = { count: 1, ascending: true }
  return [0, 10, 20].flatMap((startMs) => {
    const window = whole.filter((group) => group.startMs === startMs)
    if (top === null) return window.sort((a, b) => compareTop(byDimensions, { ...a, value: 0 }, { ...b, value: 0 }))
    return window.sort((a, b) => compareTop(top, a, b)).slice(0, top.count)
  })
}

type Selection = Pick<Required<MetricQuery>, 'groupBy' | 'where' | 'values'> & {
  readonly top: { readonly count: number; readonly ascending: boolean } | null
}

describe('what a query asks of the workers', () => {
  it('gives the same answer as doing all of it at the end, whatever the subtasks', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, selectionOf, async (placed, selection) => {
        const subtasks = [0, 1, 2].map((at) => placed.filter(({ subtask }) => subtask === at).map(({ row }) => row))
        const { query } = service(subtasks)
        const result = await query.query({ ...everything, ...(selection as Selection) })
        const got = result.values.map(({ windowStartMs, dimensions, value, status }) => [
          windowStartMs,
          ...dimensions,
          value,
          status === 'provisional',
        ])
        const rows = placed.map(({ row }) => row)
        // Of equal values in a list that is cut, those first in the metric's own order stay; here any of them will do.
        const ties = selection.top !== null && selection.groupBy?.[1] === 'person'
        const wanted = expected(rows, selection as Selection).map((group) => [
          group.startMs,
          ...(ties ? [] : group.dimensions),
          group.value,
          ...(ties ? [] : [group.provisional]),
        ])
        expect(ties ? got.map(([start, , , value]) => [start, value]) : got).toEqual(wanted)
      }),
    )
  })

  it('lets nothing travel that a total does not need', async () => {
    const { views, query } = service([[]])
    const top = { count: 3, ascending: false }
    await query.query({ ...everything, groupBy: ['platform'], top, values: [{ relation: '>', than: 1 }] })
    expect(views.asked[0]).toMatchObject({ keep: [1] })
    // What a sum is worth nobody knows before it is whole.
    expect(views.asked[0]).not.toHaveProperty('top')
    expect(views.asked[0]).not.toHaveProperty('values')
    const where: DimensionFilter[] = [{ name: 'person', test: 'equals', texts: ['anna'], not: false }]
    await query.query({ ...everything, metric: 'people', groupBy: ['platform'], top, where })
    expect(views.asked[1]).toMatchObject({ top, conditions: [{ dimension: 0, texts: ['anna'] }] })
    expect(views.asked[1]).not.toHaveProperty('keep')
  })

  it.each<[string, Partial<MetricQuery>, string]>([
    ['an unknown dimension', { where: [{ name: 'colour', test: 'equals', texts: ['red'], not: false }] }, 'colour'],
    ['no text', { where: [{ name: 'person', test: 'equals', texts: [], not: false }] }, 'names no value'],
    ['a top of nothing', { top: { count: 0, ascending: false } }, 'from 1 to'],
    ['no number', { values: [{ relation: '>', than: Number.NaN }] }, 'no number'],
    [
      'a total of people',
      {
        metric: 'people',
        groupBy: ['platform'],
        where: [{ name: 'person', test: 'prefix', texts: ['a'], not: false }],
      },
      'do not add up',
    ],
  ])('refuses %s', async (_, changes, text) => {
    const { query } = service([[]])
    await expect(query.query({ ...everything, ...changes })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining(text),
    })
  })

  it('refuses a top of changes', async () => {
    const { query } = service([[]])
    const error = await new Promise<MillraceError | null>((resolve) => {
      query.watch({ ...everything, top: { count: 1, ascending: false } }, { onValues: () => {}, onEnd: resolve })
    })
    expect(error).toMatchObject({ code: 'QUERY_INVALID', message: expect.stringContaining('no top') })
  })
})

describe('the latest', () => {
  it('of a top is asked for where the rows are, but for totals, which are parts there', async () => {
    const { views, query } = service([[]])
    const latest = { ...everything, latest: true, limit: 5 }
    const top = { count: 1, ascending: false }
    await query.query(latest)
    await query.query({ ...latest, top })
    await query.query({ ...latest, top, groupBy: ['platform', 'person'] })
    await query.query({ ...latest, top, groupBy: ['platform'] })
    expect(views.asked.map(({ newest }) => newest)).toEqual([6, 6, 6, undefined])
  })
})

describe('LookupKey', () => {
  const row = (startMs: number, person: string, platform: string): GatheredRow => ({
    startMs,
    endMs: startMs + 10,
    dimensions: [person, platform],
    value: startMs + 1,
    events: 1,
    revision: 1,
    late: 0,
    provisional: false,
  })
  const lookup: KeyQuery = {
    events: 0,
    job: 'shop',
    key: 'anna',
    metrics: [],
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    limit: 1000,
  }

  it('asks the owner for every metric that has the key, and nobody else', async () => {
    const { views, query } = service([[row(0, 'bob', 'ios'), row(10, 'anna', 'web'), row(0, 'anna', 'ios')], []])
    const { results, subtask, watermarkMs } = await query.lookupKey(lookup)
    expect(views.asked.map(({ subtask: asked, metric, filter }) => [asked, metric, filter])).toEqual([
      [0, 0, ['anna', null]],
      [0, 1, ['anna', null]],
    ])
    expect([subtask, watermarkMs]).toEqual([0, 100])
    expect(results.map(({ info, values }) => [info.metric, values.map((value) => value.windowStartMs)])).toEqual([
      ['counts', [0, 10]],
      ['people', [0, 10]],
    ])
  })

  it('keeps the newest windows of each metric, and only the metrics that were named', async () => {
    const { views, query } = service([[row(0, 'anna', 'ios'), row(10, 'anna', 'web')], []])
    const { results } = await query.lookupKey({ ...lookup, metrics: ['people'], limit: 1 })
    expect(results.map(({ info, values, truncated }) => [info.metric, values[0]?.windowStartMs, truncated])).toEqual([
      ['people', 10, true],
    ])
    // However many there are, one more than is wanted tells that there are more.
    expect(views.asked.map(({ newest }) => newest)).toEqual([2])
    expect((await query.lookupKey({ ...lookup, key: 'nobody' })).results.map(({ values }) => values)).toEqual([[], []])
  })

  it('refuses metrics that know nothing of one key, or that are not there', async () => {
    const { query } = service([[]])
    await expect(query.lookupKey({ ...lookup, metrics: ['totals'] })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining('those that do: counts, people'),
    })
    await expect(query.lookupKey({ ...lookup, metrics: ['nope'] })).rejects.toMatchObject({ code: 'METRIC_NOT_FOUND' })
  })
})
