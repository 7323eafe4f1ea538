/** The work and the memory of questions about open overlapping windows. */
import { describe, expect, it } from 'vitest'
import type { TablePlan } from '../../src/job/plan.ts'
import { visitSums } from '../../src/operator/pane-sums.ts'
import { openWindows } from '../../src/operator/pane-view.ts'
import { queryTable } from '../../src/operator/view.ts'
import { TooMuchWork } from '../../src/operator/view-filter.ts'
import { accumulator, Cluster, NUMBERS, tablePlan } from './support.ts'

const window: TablePlan['window'] = {
  kind: 'sliding',
  sizeMs: 1000,
  slideMs: 100,
  offsetMs: 0,
  timezone: 'UTC',
  time: 'event',
}
const plan = tablePlan(
  [NUMBERS, -1],
  [accumulator('count', 0), accumulator('max', 0, 0), { ...accumulator('topK', 0, NUMBERS), k: 2 }],
  { window },
)

/** Ten panes with three groups each; 19 windows are open, and the older ones each lose a pane of the one before. */
function sample() {
  const cluster = new Cluster(plan, 1, false)
  for (let pane = 0; pane < 10; pane++) {
    cluster.apply(
      ['a', 'b', 'c'].map((key) => ({ key, timeMs: pane * 100, mask: 1, numbers: [pane, 0], texts: ['web', ''] })),
    )
  }
  const { table, pool } = cluster.windows[0]!
  if (!('history' in table)) throw new Error('the results are made here')
  return { table, pool, used: () => [pool.bytesInUse, table.accumulators.cells!.count] }
}

describe('sums of panes', () => {
  it('are refused where they would take too long, and leave no memory behind', () => {
    const { table, pool, used } = sample()
    const before = used()
    const { slices } = table.slices
    const windows = openWindows(window, slices, () => true)
    expect(windows).toHaveLength(19)
    const seen: number[] = []
    const ask = (rowsMax: number) =>
      visitSums(
        table.accumulators,
        pool,
        'table',
        null,
        slices,
        windows,
        (sum, { startMs }) => {
          expect(sum.groups.count).toBe(3)
          seen.push(startMs)
          return true
        },
        rowsMax,
      )
    ask(1e6)
    expect(seen).toEqual(windows.map(({ startMs }) => startMs))
    expect(used()).toEqual(before)
    expect(() => ask(3000)).toThrow(TooMuchWork)
    expect(used()).toEqual(before)
  })

  it('leave no memory behind where the tests of a question are too many', () => {
    const { table, used } = sample()
    const before = used()
    let left = 100
    const passes = () => {
      if (left-- === 0) throw new TooMuchWork()
      return true
    }
    expect(() => table.visitOpen(-Infinity, Infinity, passes, () => true)).toThrow(TooMuchWork)
    expect(used()).toEqual(before)
  })

  it('answer as before where they are few', () => {
    const { table } = sample()
    const metric = {
      id: 'm',
      table: 0,
      predicate: 0,
      events: 0,
      read: { kind: 'value', of: 1 },
      integer: true,
    } as const
    const query = { metric: 0, fromMs: 900, toMs: 901, filter: [null, 'b'], sinceChange: [], rowsMax: 100 }
    const about = { operator: 'window', subtask: 0, watermarkMs: 0 } as const
    const answer = queryTable(table, metric, query, -1, about)
    expect(answer.truncated).toBe(false)
    expect(Array.from(answer.values)).toEqual(Array.from({ length: 10 }, () => 9))
  })
})
