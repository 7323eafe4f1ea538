import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { hashDefinition } from '../../src/job/definition-hash.ts'
import { CappedWindows } from '../../src/operator/view-cap.ts'
import { columnsOf, type GatheredRow } from '../../src/operator/view-collect.ts'
import type { RestOf } from '../../src/operator/view-rows.ts'
import { capOf, capped } from '../../src/query/cap.ts'
import type { MetricInfo, MetricValue } from '../../src/query/metric-info.ts'
import { compareValues, limitValues, valueKey, valuesOf } from '../../src/query/render.ts'
import { fromDescription, fromValue, toDescription, toValues } from '../../src/rpc/query-messages.ts'
import { pageViews, someValue } from '../support/fakes/query.ts'
import { followedJob } from './support/followed.ts'

const rowOf = fc.record({
  window: fc.integer({ min: 0, max: 3 }),
  group: fc.integer({ min: 0, max: 60 }),
  value: fc.integer({ min: -9, max: 9 }),
  events: fc.integer({ min: 1, max: 4 }),
  revision: fc.integer({ min: 0, max: 2 }),
  late: fc.integer({ min: 0, max: 2 }),
})

/** A window and a group once; some groups have texts that look like nothing, or like the rest. */
const rowsOf = fc
  .uniqueArray(rowOf, { maxLength: 150, selector: ({ window, group }) => window * 100 + group })
  .map((rows) =>
    rows.map(
      ({ window, group, ...row }): GatheredRow => ({
        ...row,
        ...{ startMs: window * 10, endMs: window * 10 + 10, provisional: row.revision === 0 },
        dimensions: [['', 'other', 'a', 'b', 'c'][group % 5]!, String(Math.floor(group / 5))],
      }),
    ),
  )

function answer(rows: readonly GatheredRow[], subtask: number): MetricValue[] {
  const about = { operator: 'merge', subtask, watermarkMs: 5, change: 1, truncated: false } as const
  return valuesOf({ ...about, ...columnsOf(rows) }, 1)
}

/** By sorting all of it. */
function naive(rows: readonly GatheredRow[], count: number, rest: RestOf): MetricValue[] {
  const values = [...Map.groupBy(rows, ({ startMs }) => startMs).values()].flatMap((window) => {
    const key = ({ dimensions }: GatheredRow) => JSON.stringify(dimensions)
    const sorted = window.toSorted((a, b) => b.events - a.events || (key(a) < key(b) ? -1 : 1))
    const beyond = sorted.slice(count)
    const shown = answer(sorted.slice(0, count), 0)
    if (beyond.length === 0) return shown
    const of = (pick: (row: GatheredRow) => number) => beyond.map(pick)
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
    const numbers = of(({ value }) => value)
    const value = { sum: sum(numbers), min: Math.min(...numbers), max: Math.max(...numbers), none: Number.NaN }[rest]
    const revision = Math.max(...of((row) => row.revision))
    const provisional = beyond.some((row) => row.provisional)
    const other: MetricValue = {
      ...shown[0]!,
      ...{ dimensions: ['', ''], value, revision, eventCount: sum(of(({ events }) => events)) },
      ...{ lateCount: sum(of(({ late }) => late)), otherGroups: beyond.length },
      status: provisional ? 'provisional' : revision > 1 ? 'corrected' : 'final',
    }
    return [...shown, other]
  })
  return values.sort(compareValues)
}

describe('the groups of a window up to a number', () => {
  it('are those with the most events, and the rest is one value: whatever the order, batches and subtasks', () => {
    const shape = fc.record({
      rows: rowsOf,
      order: fc.infiniteStream(fc.integer({ min: 0, max: 1000 })),
      subtasks: fc.integer({ min: 1, max: 4 }),
      count: fc.integer({ min: 1, max: 12 }),
      rest: fc.constantFrom<RestOf>('sum', 'min', 'max', 'none'),
    })
    fc.assert(
      fc.property(shape, ({ rows, order, subtasks, count, rest }) => {
        const shuffled = rows.map((row) => [order.next().value, row] as const).sort(([a], [b]) => a - b)
        const parts = Array.from({ length: subtasks }, () => new CappedWindows({ count, rest }, 100_000, false))
        for (const [chance, row] of shuffled) parts[chance % subtasks]!.add({ ...row })
        const values = parts.flatMap((part, subtask) => {
          expect(part.truncated).toBe(false)
          return answer(part.rows(), subtask)
        })
        // Statuses of what comes of several are the least settled one.
        expect(capped(values, { count, rest }).sort(compareValues)).toEqual(naive(rows, count, rest))
        // Totals are capped here, in one part.
        expect(capped(answer(rows, 0), { count, rest }).sort(compareValues)).toEqual(naive(rows, count, rest))
      }),
    )
  })

  it('are those of the newest windows, where more than enough would be held', () => {
    const base = { value: 1, events: 1, revision: 1, late: 0, provisional: false }
    const collector = new CappedWindows({ count: 3, rest: 'sum' }, 10, true)
    const whole = new CappedWindows({ count: 3, rest: 'sum' }, 10, false)
    let took = true
    for (let window = 0; window < 4000; window++) {
      for (let group = 0; group < 5; group++) {
        const row = { ...base, startMs: window, endMs: window + 1, dimensions: [String(group)] }
        if (collector.wants(window)) collector.add({ ...row })
        took &&= whole.add({ ...row })
      }
    }
    const rows = collector.rows().filter(({ startMs }) => startMs >= 3997)
    expect(
      rows.map(({ startMs, dimensions, value, otherGroups }) => [startMs, dimensions[0], value, otherGroups]),
    ).toEqual(
      [3997, 3998, 3999].flatMap((start) => [
        ...['0', '1', '2'].map((group) => [start, group, 1, undefined]),
        [start, '', 2, 2],
      ]),
    )
    expect(collector.truncated).toBe(false)
    expect([took, whole.truncated]).toEqual([false, true])
  })

  it('tell the rest from a group whose texts are empty, in keys, in order and over the wire', () => {
    const empty = someValue({ dimensions: [''] })
    const rest = { ...empty, otherGroups: 7, value: Number.NaN }
    expect(valueKey(rest, pageViews.window)).not.toBe(valueKey(empty, pageViews.window))
    const all = { fromMs: 0, toMs: 1, filters: new Map(), groupBy: null, limit: 9, latest: false }
    const sorted = limitValues([rest, someValue(), empty], { job: 'j', metric: 'm', ...all }).values
    expect(sorted).toEqual([empty, someValue(), rest])
    const info: MetricInfo = { ...pageViews, maxGroups: 50 }
    expect(fromDescription(toDescription(info))).toEqual(info)
    const [message] = toValues({ info, dimensions: ['platform'], values: [rest], truncated: false })
    expect(message).toMatchObject({ otherGroups: 7 })
    expect(message).not.toHaveProperty('value')
    expect(fromValue(message!)).toEqual(rest)
  })

  it.each([
    ['count', 'sum'],
    ['min', 'min'],
    ['max', 'max'],
    ['activeUsers', 'none'],
    ['avg', 'none'],
  ] as const)('of %s have a rest by %s', (kind, rest) => {
    const info = { ...pageViews, kind: { kind, field: 'x' } as MetricInfo['kind'], maxGroups: 5 }
    const query = {
      job: 'j',
      metric: 'm',
      fromMs: 0,
      toMs: 1,
      filters: new Map(),
      groupBy: null,
      limit: 9,
      latest: false,
    }
    expect(capOf(info, query)).toEqual({ count: 5, rest })
    // Who asks for the top gets that of all groups.
    expect(capOf(info, { ...query, top: { count: 3, ascending: false } })).toBe(null)
    expect(capOf(pageViews, query)).toBe(null)
  })
})

describe('maxGroups', () => {
  it.each([
    ['count: {}, window: { tumbling: 1h }, maxGroups: 5', 'add some by'],
    ['count: {}, window: { tumbling: 1h }, by: [platform], maxGroups: 0', 'from 1 to 10000'],
    ['lifecycle: {}, window: { calendar: day }, by: [platform], maxGroups: 5', 'they have no rest'],
  ])('is refused in %s', (metric, why) => {
    let violations = ''
    try {
      followedJob(`{ id: m, ${metric} }`)
    } catch (thrown) {
      violations = JSON.stringify(MillraceError.from(thrown).violations)
    }
    expect(violations).toContain(why)
  })

  it('changes no state', () => {
    const of = (more: string) =>
      hashDefinition(followedJob(`{ id: m, count: {}, window: { tumbling: 1h }, by: [platform]${more} }`))
    expect(of(', maxGroups: 5')).toBe(of(''))
  })
})
