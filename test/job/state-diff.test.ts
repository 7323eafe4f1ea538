import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { diffState, needlessNames, refusalOf, type StateDiff, type StateDiffEntry } from '../../src/job/state-diff.ts'
import { describeState, holds, type StateDescription, tableKey } from '../../src/job/state-identity.ts'
import { alignPlan } from '../../src/job/state-match.ts'
import { jobs, type MetricText, metricYaml, planOf, stateOf } from './state-support.ts'

const yaml = (metrics: readonly MetricText[]): string => metrics.map(metricYaml).join('')
const plan = (metrics: readonly MetricText[]) => planOf(yaml(metrics))
const refusal = (diff: StateDiff, names: readonly string[] = []) => refusalOf(diff, names, 'checkpoint 7 of job j')
const lines = ({ entries }: StateDiff): string[] => entries.map(({ change, kind, name }) => `${change} ${kind} ${name}`)
const named = (diff: StateDiff, kind: StateDiffEntry['kind'], name: string) =>
  diff.entries.filter((entry) => entry.kind === kind && entry.name === name)

/** By table and accumulator of what is held: whether something goes on with it. */
function moved(held: StateDescription, diff: StateDiff): boolean[][] {
  return held.tables.map((table) =>
    table.accumulators.map((_, i) =>
      diff.tables.some((match) => match.sources.some((s) => s.held === table && s.accumulators[i]! >= 0)),
    ),
  )
}

describe('the difference between a plan and itself', () => {
  it('keeps everything, in whatever order metrics are written', () => {
    fc.assert(
      fc.property(
        jobs.chain((job) => fc.tuple(fc.constant(job), fc.shuffledSubarray([...job], { minLength: job.length }))),
        ([job, shuffled]) => {
          const [held, again] = [plan(job), plan(shuffled)]
          const diff = diffState(describeState(held), describeState(again))
          expect(new Set(diff.entries.map(({ change }) => change))).toEqual(new Set(['kept']))
          expect(refusal(diff)).toBeNull()
          expect(alignPlan(again, diff.tables)).toBe(again)
        },
      ),
    )
  })

  it('maps every accumulator to its own place', () => {
    fc.assert(
      fc.property(jobs, (job) => {
        const held = describeState(plan(job))
        const diff = diffState(held, held)
        diff.tables.forEach(({ sources }, t) => {
          expect(sources).toEqual([
            { held: held.tables[t], accumulators: held.tables[t]!.accumulators.map((_, i) => i) },
          ])
        })
      }),
    )
  })
})

describe('the difference between any two plans', () => {
  it('loses nothing unsaid: what does not go on is dropped by the name of a metric that reads it', () => {
    fc.assert(
      fc.property(jobs, jobs, (before, after) => {
        const held = describeState(plan(before))
        const diff = diffState(held, describeState(plan(after)))
        const goesOn = moved(held, diff)
        held.tables.forEach((table, t) => {
          table.accumulators.forEach((_, i) => {
            if (goesOn[t]![i]) return
            const readers = table.metrics.filter(({ reads }) => reads.includes(i)).map(({ id }) => id)
            const dropped = diff.entries.filter((e) => e.change === 'dropped' && e.within === table.id)
            expect(readers.length).toBeGreaterThan(0)
            for (const id of readers) expect(dropped.map(({ name }) => name)).toContain(id)
          })
        })
        const dropped = diff.entries.filter(({ change }) => change === 'dropped')
        expect(refusal(diff) === null).toBe(dropped.length === 0)
        const names = dropped.filter(({ kind }) => kind === 'metric').map(({ name }) => name)
        expect(refusal(diff, names)).toBeNull()
        expect(needlessNames(diff, [...names, 'no_such'])).toEqual(['no_such'])
        // All names but one are not enough, unless the one is named by its table too.
        for (const one of new Set(names))
          expect(
            refusal(
              diff,
              names.filter((n) => n !== one),
            ),
          ).not.toBeNull()
      }),
      { numRuns: 300 },
    )
  })

  it('gives no metric numbers of another meaning, and none that began at different moments', () => {
    fc.assert(
      fc.property(jobs, jobs, (before, after) => {
        const held = describeState(plan(before))
        const wanted = plan(after)
        const diff = diffState(held, describeState(wanted))
        const aligned = describeState(alignPlan(wanted, diff.tables))
        aligned.tables.forEach((table, t) => {
          const match = diff.tables[t]!
          for (const { held: from, accumulators } of match.sources) {
            expect(tableKey(from)).toBe(tableKey(table))
            accumulators.forEach((into, i) => {
              if (into >= 0) expect(holds(from.accumulators[i]!, table.accumulators[into]!)).toBe(true)
            })
          }
          table.metrics.forEach(({ reads, id }, m) => {
            expect(new Set(reads.map((read) => table.accumulators[read]!.since)).size).toBe(1)
            const filled = reads.map((read) => match.sources.filter((s) => s.accumulators.includes(read)))
            const origin = match.origins[m]!
            // All of what a metric reads comes from one table, or nothing of it from any.
            for (const from of filled) {
              if (origin === null) expect([id, from]).toEqual([id, []])
              else expect(from.map((s) => s.held)).toEqual([held.tables[origin.table]])
            }
          })
        })
      }),
      { numRuns: 300 },
    )
  })

  it('leads to a plan that the next start finds again, and that later changes go on from', () => {
    fc.assert(
      fc.property(jobs, jobs, jobs, (first, second, third) => {
        const wanted = plan(second)
        const aligned = alignPlan(wanted, diffState(describeState(plan(first)), describeState(wanted)).tables)
        const again = diffState(describeState(aligned), describeState(wanted))
        expect(alignPlan(wanted, again.tables)).toEqual(aligned)
        expect(new Set(again.entries.map(({ change }) => change))).toEqual(new Set(['kept']))
        const last = plan(third)
        const next = diffState(describeState(aligned), describeState(last))
        const plain = diffState(describeState(wanted), describeState(last))
        const losses = (diff: StateDiff) => new Set(lines(diff).filter((line) => line.startsWith('dropped')))
        // What came later is state as any other; a metric that could share it before may need its own now.
        for (const loss of losses(plain)) expect([...losses(next)]).toContain(loss)
      }),
      { numRuns: 200 },
    )
  })
})

const byPlatform = 'window: { tumbling: 1m }, by: [platform]'
const views = `  - { id: views, count: {}, where: "name == 'page_view'", ${byPlatform} }\n`
const all = `  - { id: all, count: {}, ${byPlatform} }\n`
const price = `  - { id: price, sum: { field: properties.price }, ${byPlatform} }\n`

describe('what becomes of a metric', () => {
  it('that has another name: it keeps its values', () => {
    const diff = diffState(stateOf(views + all), stateOf(all + views.replace('id: views', 'id: page_views')))
    expect(named(diff, 'metric', 'page_views')).toEqual([
      expect.objectContaining({ change: 'migrated', detail: 'was views' }),
    ])
    expect(refusal(diff)).toBeNull()
  })

  it('that means something else under its old name: dropped, and new, if its name is given', () => {
    const changed = views.replace("'page_view'", "'purchase'")
    const diff = diffState(stateOf(views + all), stateOf(changed + all))
    expect(named(diff, 'metric', 'views').map(({ change }) => change)).toEqual(['new', 'dropped'])
    expect(refusal(diff)!.code).toBe('STATE_INCOMPATIBLE')
    expect(refusal(diff)!.message).toMatch(/^checkpoint 7 of job j does not fit the job: metric views: it means some/)
    expect(refusal(diff)!.message).toMatch(/--drop-state\): views/)
    expect(refusal(diff, ['views'])).toBeNull()
    expect(refusal(diff, ['all'])).not.toBeNull()
    for (const other of [
      views.replace('platform', 'screen'),
      views.replace('1m', '2m'),
      views.replace('count: {}', 'sum: { field: revenue_minor }').replace('page_view', 'purchase'),
    ]) {
      const entries = named(diffState(stateOf(views), stateOf(other)), 'metric', 'views')
      expect(entries.map(({ change }) => change)).toEqual(['new', 'dropped'])
    }
  })

  it('that swaps its name with another: each keeps its values', () => {
    const swapped = (views + all)
      .replace('id: views', 'id: x')
      .replace('id: all', 'id: views')
      .replace('id: x', 'id: all')
    const diff = diffState(stateOf(views + all), stateOf(swapped))
    expect(refusal(diff)).toBeNull()
    expect(diff.tables[0]!.origins.map((origin) => origin!.reads)).toEqual([[0], [1]])
  })

  it('that is added: it begins, with accumulators of its own where equal ones have counted longer', () => {
    const mean = `  - { id: mean, avg: { field: properties.price }, ${byPlatform} }\n`
    const wanted = planOf(price + mean)
    const diff = diffState(stateOf(price), describeState(wanted))
    expect(named(diff, 'metric', 'mean').map(({ change }) => change)).toEqual(['new'])
    expect(named(diff, 'metric', 'price').map(({ change }) => change)).toEqual(['kept'])
    const { tables, metrics } = alignPlan(wanted, diff.tables)
    expect(tables[0]!.accumulators.map(({ kind, since }) => `${kind} ${since ?? 0}`)).toEqual([
      'count 0',
      'count 1',
      'sum 0',
      'sum 1',
      'values 1',
    ])
    expect(metrics.map(({ events, read }) => [events, read])).toEqual([
      [0, { kind: 'value', of: 2 }],
      [1, { kind: 'ratio', of: 3, by: 4 }],
    ])
    expect(diff.tables[0]!.sources.map(({ accumulators }) => accumulators)).toEqual([[0, 2]])
  })

  it('that is added, and finds all it needs: it goes on with what others have gathered', () => {
    const total = `  - { id: total, sum: { field: revenue_minor }, ${byPlatform} }\n`
    const mean = `  - { id: mean, avg: { field: revenue_minor }, ${byPlatform} }\n`
    const diff = diffState(stateOf(total), stateOf(mean + total))
    expect(named(diff, 'metric', 'mean')).toEqual([
      expect.objectContaining({ change: 'migrated', detail: 'goes on with what total has gathered' }),
    ])
  })

  it('that is taken away: its name is asked for, unless others have all of it', () => {
    expect(refusal(diffState(stateOf(views + all), stateOf(all)))!.message).toMatch(/metric views: the job has no such/)
    const twin = views.replace('id: views', 'id: twin')
    expect(refusal(diffState(stateOf(views + twin), stateOf(views)))).toBeNull()
    const diff = diffState(stateOf(views + all), stateOf(price.replace('platform', 'screen')))
    expect(refusal(diff, ['views'])).not.toBeNull()
    expect(refusal(diff, ['platform|tumbling:1m@UTC|late=0s|retain=90d'])).toBeNull()
  })

  it('that reads another quantile of the same sketch: it goes on', () => {
    const median = `  - { id: price, quantile: { field: revenue_minor, q: 0.5 }, ${byPlatform} }\n`
    const diff = diffState(stateOf(median), stateOf(median.replace('0.5', '0.9')))
    expect(named(diff, 'metric', 'price')[0]!.change).toBe('migrated')
    expect(refusal(diff)).toBeNull()
  })
})

describe('what becomes of a table', () => {
  const late = (metric: string, lateness: string) => metric.replace('by:', `allowedLateness: ${lateness}, by:`)

  it('whose lateness or retention changes: it is migrated, and says how', () => {
    const grown = diffState(stateOf(views), stateOf(late(views, '1h')))
    expect(named(grown, 'table', 'platform|tumbling:1m@UTC|late=1h|retain=90d')[0]).toMatchObject({
      change: 'migrated',
      detail: expect.stringMatching(/allowed lateness grows from 0s to 1h; what is closed stays closed/),
    })
    const shrunk = diffState(stateOf(late(views, '1h')), stateOf(views.replace('by:', 'retain: 1d, by:')))
    const [table] = shrunk.entries.filter(({ kind }) => kind === 'table')
    expect(table!.detail).toMatch(/shrinks from 1h to 0s; retention changes from 90d to 1d/)
    expect([refusal(grown), refusal(shrunk)]).toEqual([null, null])
  })

  it('that is made of two, and of which two are made', () => {
    const two = views + late(all, '1h')
    const merged = diffState(stateOf(two), stateOf(late(views, '1h') + late(all, '1h')))
    expect(merged.tables[0]!.sources.length).toBe(2)
    expect(refusal(merged)).toBeNull()
    const split = diffState(stateOf(views + all), stateOf(two))
    expect(split.tables.map(({ sources }) => sources.length)).toEqual([1, 1])
    expect(refusal(split)).toBeNull()
  })

  it('that holds the same question twice, from two tables: both go on', () => {
    const two = views + late(views.replace('id: views', 'id: again'), '1h')
    const wanted = planOf(late(views, '1h') + late(views.replace('id: views', 'id: again'), '1h'))
    const diff = diffState(stateOf(two), describeState(wanted))
    expect(refusal(diff)).toBeNull()
    expect(alignPlan(wanted, diff.tables).tables[0]!.accumulators.length).toBe(2)
  })

  it('of events with another key: its metrics are dropped, with their names; with another time nothing can be done', () => {
    const key = diffState(stateOf(views), stateOf(views, 'event: { key: device }\n'))
    expect(refusal(key)!.message).toMatch(/events have another key/)
    expect(refusal(key, ['views'])).toBeNull()
    const time = diffState(stateOf(views), stateOf(views, 'event: { time: sent_at }\n'))
    expect(refusal(time, ['views', 'event.time'])!.message).toMatch(/job event.time: it was occurred_at and is sent_at/)
    const groups = diffState(stateOf(views), { ...stateOf(views), keyGroups: 64 })
    expect(refusal(groups)!.message).toMatch(/128 in the state, and 64 in the job/)
  })
})

describe('what becomes of fields that widen', () => {
  const held = stateOf(price)
  const change = (part: object): StateDescription => ({
    ...held,
    tables: held.tables.map((table) => ({
      ...table,
      accumulators: table.accumulators.map((a) => (a.field === '' ? a : { ...a, ...part })),
    })),
  })
  const integers = change({ class: 'integer', floating: false, nullable: false })

  it('goes on from whole numbers to others, and to those that may be none; not back', () => {
    const wider = diffState(integers, change({ class: 'floating', floating: true, nullable: true }))
    expect(named(wider, 'metric', 'price')[0]).toMatchObject({
      change: 'migrated',
      detail: 'properties.price widens from integer to floating or none',
    })
    expect(refusal(wider)).toBeNull()
    const narrower = diffState(change({ class: 'floating', floating: true, nullable: true }), integers)
    expect(named(narrower, 'metric', 'price').map((entry) => entry.change)).toEqual(['new', 'dropped'])
  })
})

describe('what becomes of the state of a job in TypeScript', () => {
  const held: StateDescription = {
    keyGroups: 128,
    sources: [{ id: 'events', input: 'kafka topic events' }],
    event: null,
    tables: [],
    operators: [
      { id: 'carts', slots: ['cart:value', 'seen:map'] },
      { id: 'totals', slots: ['sum:value'] },
    ],
  }
  const wanted = (operators: StateDescription['operators']) => diffState(held, { ...held, operators })

  it('goes by the names of operators and their parts', () => {
    expect(lines(diffState(held, held)).every((line) => line.startsWith('kept'))).toBe(true)
    const reordered = wanted([held.operators[1]!, { id: 'carts', slots: ['seen:map', 'cart:value'] }])
    expect(refusal(reordered)).toBeNull()
  })

  it('asks for the name of what would go', () => {
    const gone = wanted([{ id: 'carts', slots: ['cart:value'] }])
    expect(refusal(gone)!.message).toMatch(/drop_state, --drop-state\): carts\/seen, totals/)
    expect(refusal(gone, ['carts/seen', 'totals'])).toBeNull()
    expect(refusal(gone, ['carts', 'totals'])).toBeNull()
    expect(refusal(gone, ['totals'])).not.toBeNull()
    const other = wanted([{ id: 'carts', slots: ['cart:list', 'seen:map'] }, held.operators[1]!])
    expect(named(other, 'slot', 'carts/cart').map(({ change }) => change)).toEqual(['new', 'dropped'])
    expect(refusal(other)!.message).toMatch(/it is stored as value and declared as list/)
  })
})

describe('what becomes of positions', () => {
  const held = stateOf(views)
  const sources = (...all: readonly (readonly [string, string | null])[]): StateDescription => ({
    ...held,
    sources: all.map(([id, input]) => ({ id, input })),
  })

  it('they go by source and topic, wherever the source is in the list', () => {
    const two = sources(['a', 'kafka topic x'], ['b', 'kafka topic y'])
    expect(diffState(two, sources(['b', 'kafka topic y'], ['a', 'kafka topic x'])).sources).toEqual([1, 0])
    expect(diffState(two, sources(['c', 'kafka topic z'], ['a', 'kafka topic x'])).sources).toEqual([-1, 0])
  })

  it('another topic is another source', () => {
    const diff = diffState(sources(['a', 'kafka topic x']), sources(['a', 'kafka topic y']))
    expect(diff.sources).toEqual([-1])
    expect(refusal(diff)!.message).toMatch(/source a: it read kafka topic x and now kafka topic y/)
    expect(refusal(diff, ['a'])).toBeNull()
  })

  it('what a checkpoint does not say is taken for the same', () =>
    expect(diffState(sources(['a', null]), sources(['a', 'kafka topic y'])).sources).toEqual([0]))
})
