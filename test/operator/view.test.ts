import { describe, expect, it } from 'vitest'
import type { MetricPlan } from '../../src/job/plan.ts'
import { dimensionTexts } from '../../src/operator/group-key.ts'
import { queryTable } from '../../src/operator/view.ts'
import type { ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import { ROW_CHANGE } from '../../src/state/keyed-table.ts'
import type { Row } from '../exchange/support.ts'
import { accumulator, Cluster, NUMBERS, tablePlan } from './support.ts'

// Views of platform `web` and others, and what they cost on average.
const plan = tablePlan([NUMBERS, -1], [accumulator('count', 0), accumulator('count', 1), accumulator('sum', 1, 0)], {
  allowedLatenessMs: 50,
})
const events: MetricPlan = {
  id: 'events',
  table: 0,
  predicate: 0,
  events: 0,
  read: { kind: 'value', of: 0 },
  integer: true,
}
const average: MetricPlan = {
  id: 'average',
  table: 0,
  predicate: 1,
  events: 1,
  read: { kind: 'ratio', of: 2, by: 1 },
  integer: false,
}
const everything: ViewQuery = {
  metric: 0,
  fromMs: -Infinity,
  toMs: Infinity,
  filter: [],
  sinceChange: [],
  rowsMax: 1000,
}

const row = (timeMs: number, platform: string, key: string, mask: number, cost = 0): Row => ({
  key,
  timeMs,
  mask,
  numbers: [cost, 0],
  texts: [platform, ''],
})

function ask(cluster: Cluster, metric: MetricPlan, query: Partial<ViewQuery> = {}, since = -1): ViewRows {
  const about = { operator: 'window' as const, subtask: 0, watermarkMs: cluster.watermarkMs }
  return queryTable(cluster.tables[0]!, metric, { ...everything, ...query }, since, about)
}

const brief = (rows: ViewRows) =>
  Array.from({ length: rows.count }, (_, i) => [
    rows.windowStartMs[i],
    ...rows.dimensions[i]!,
    rows.values[i],
    rows.revision[i],
  ])

function sample(): Cluster {
  const cluster = new Cluster(plan, 1, false)
  cluster.apply([row(1, 'web', 'a', 3, 10), row(2, 'web', 'a', 3, 20), row(3, 'ios', 'b', 1), row(120, 'web', 'a', 1)])
  cluster.advance(160)
  cluster.apply([row(5, 'ios', 'b', 3), row(130, 'web', 'c', 2, 7)])
  return cluster
}

describe('a view', () => {
  it('has closed and open windows, with what is provisional marked as revision 0', () => {
    const rows = ask(sample(), events)
    expect(brief(rows)).toEqual([
      [0, 'web', 'a', 2, 1],
      [0, 'ios', 'b', 1, 1],
      [100, 'web', 'a', 1, 0],
    ])
    expect(Array.from(rows.windowEndMs)).toEqual([100, 100, 200])
    expect(Array.from(rows.events)).toEqual([2, 1, 1])
    expect([rows.operator, rows.subtask, rows.watermarkMs, rows.truncated]).toEqual(['window', 0, 160, false])
    // The late event is told with the value that misses it.
    expect(Array.from(rows.lateCount)).toEqual([0, 1, 0])
  })

  it('has a ratio where the metric is one, and no row where the metric had no events', () => {
    const rows = ask(sample(), average)
    expect(brief(rows)).toEqual([
      [0, 'web', 'a', 15, 1],
      [100, 'web', 'c', 7, 0],
    ])
    expect(Array.from(rows.events)).toEqual([2, 1])
  })

  it('is cut to the windows that overlap, and to the groups that are asked for', () => {
    const cluster = sample()
    expect(brief(ask(cluster, events, { fromMs: 100 }))).toEqual([[100, 'web', 'a', 1, 0]])
    expect(ask(cluster, events, { fromMs: 99, toMs: 101 }).count).toBe(3)
    expect(ask(cluster, events, { toMs: 100 }).count).toBe(2)
    expect(brief(ask(cluster, events, { filter: ['ios', null] }))).toEqual([[0, 'ios', 'b', 1, 1]])
    expect(brief(ask(cluster, events, { filter: [null, 'a'], fromMs: 100 }))).toEqual([[100, 'web', 'a', 1, 0]])
    expect(ask(cluster, events, { filter: ['web', 'b'] }).count).toBe(0)
  })

  it('says when it was cut short', () => {
    for (const rowsMax of [0, 1, 2, 3]) {
      const rows = ask(sample(), events, { rowsMax })
      expect([rows.count, rows.truncated]).toEqual([rowsMax, rowsMax < 3])
    }
  })

  it('late events of a group without a value are told by no value, and by the first that it gets', () => {
    const cluster = sample()
    cluster.apply([row(7, 'tv', 'z', 3, 5)])
    expect(cluster.lateEvents).toBe(2)
    expect(ask(cluster, events, { filter: ['tv', null] }).count).toBe(0)
    // A total over all groups says those of the groups that it adds up.
    const total = ask(cluster, events, { keep: [], toMs: 100 })
    expect([total.count, total.values[0], total.lateCount[0]]).toEqual([1, 3, 1])
    // What came too late for one subtask may be told before the first event that another had in time.
    const { late } = cluster.tables[0]!
    const lateKey = [...late.entries()].find(({ group }) => dimensionTexts(group, 2)[0] === 'tv')!
    late.addCounts(100, 200, lateKey.group, lateKey.hash, Float64Array.of(2, 1, 0), 0)
    expect(ask(cluster, events, { filter: ['tv', null] }).count).toBe(0)
    cluster.apply([row(150, 'tv', 'z', 1)])
    const rows = ask(cluster, events, { filter: ['tv', null] })
    expect([brief(rows), Array.from(rows.lateCount)]).toEqual([[[100, 'tv', 'z', 1, 0]], [2]])
  })

  it('tells a watcher what has changed since it last asked, and nothing else', () => {
    const cluster = sample()
    const table = cluster.tables[0]!
    const first = ask(cluster, events)
    table.change++
    expect(ask(cluster, events, {}, first.change).count).toBe(0)
    cluster.apply([row(140, 'web', 'a', 1), row(141, 'web', 'd', 1)])
    const second = ask(cluster, events, {}, first.change)
    expect(brief(second)).toEqual([
      [100, 'web', 'a', 2, 0],
      [100, 'web', 'd', 1, 0],
    ])
    table.change++
    // A row touched under the very number of an answer was in that answer.
    const touched = cluster.tables[0]!.slices.slices[0]!.groups.rows.pages[0]!.u32[ROW_CHANGE]!
    expect(ask(cluster, events, {}, touched).count).toBe(0)
    expect(ask(cluster, events, {}, touched - 1).count).toBeGreaterThan(0)
    // Firing changes a row too: what was provisional is final now.
    cluster.advance(199)
    expect(brief(ask(cluster, events, {}, second.change))).toEqual([
      [100, 'web', 'a', 2, 1],
      [100, 'web', 'd', 1, 1],
    ])
  })
})
