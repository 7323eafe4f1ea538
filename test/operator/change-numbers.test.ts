/** Tables whose change numbers run out while they are watched: nobody can tell them from tables that have just begun. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan, TablePlan } from '../../src/job/plan.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { CHANGE_MAX, type ChangingTable, nextChange } from '../../src/operator/change-numbers.ts'
import type { FiringTable } from '../../src/operator/firing-table.ts'
import { LateLedger } from '../../src/operator/late-ledger.ts'
import { SessionLate } from '../../src/operator/session-late.ts'
import { queryTable } from '../../src/operator/view.ts'
import type { Row } from '../exchange/support.ts'
import { rows, tablePlans } from './arbitraries.ts'
import { SessionCluster, sessionPlan } from './session-support.ts'
import { accumulator, Cluster, tablePlan } from './support.ts'

const metric: MetricPlan = {
  id: 'events',
  table: 0,
  predicate: 0,
  events: 0,
  read: { kind: 'value', of: 0 },
  integer: true,
}
const query = { metric: 0, fromMs: -Infinity, toMs: Infinity, filter: [], sinceChange: [], rowsMax: 10_000 }

type Step =
  | { readonly rows: readonly Row[] }
  | { readonly watermark: number }
  | { readonly early: true }
  | { readonly ask: number }
  | { readonly restore: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ rows: fc.array(rows, { maxLength: 8 }) }) },
    { weight: 3, arbitrary: fc.record({ watermark: fc.integer({ min: -150, max: 500 }) }) },
    { weight: 3, arbitrary: fc.constant({ early: true } as const) },
    { weight: 4, arbitrary: fc.record({ ask: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { minLength: 5, maxLength: 40, size: 'max' },
)

/** What two watchers hear of tables. */
class Watchers {
  #since: number[][] = [[], []]

  ask(watcher: number, tables: readonly FiringTable[]): unknown[] {
    const heard = tables.flatMap((table, subtask) => {
      const since = this.#since[watcher]![subtask] ?? -1
      const about = { operator: 'window' as const, subtask, watermarkMs: 0 }
      const answer = queryTable(table, metric, query, since, about)
      expect(answer.change).toBeGreaterThanOrEqual(since)
      this.#since[watcher]![subtask] = answer.change
      nextChange(table)
      return Array.from({ length: answer.count }, (_, i) => [
        ...[answer.windowStartMs[i], answer.windowEndMs[i], answer.dimensions[i]!.join()],
        ...[answer.values[i], answer.revision[i], answer.lateCount[i]],
      ])
    })
    return heard.map((row) => JSON.stringify(row)).sort()
  }

  /** Numbers mean nothing to another attempt. */
  forget(): void {
    this.#since = [[], []]
  }
}

/** One run of a script, with all that can be seen of it. `left`: how many changes there are room for, at first. */
function run(plan: TablePlan, script: readonly Step[], left: number | null): unknown[] {
  const seen: unknown[] = []
  const watchers = new Watchers()
  const merged = !plan.keyed
  let cluster = new Cluster(plan, 2, merged)
  const near = (tables: readonly ChangingTable[]): void => {
    if (left !== null) for (const table of tables) table.change = CHANGE_MAX - left
  }
  near([...cluster.windows, ...cluster.merges].map(({ table }) => table))
  for (const step of [...script, { ask: 0 }, { watermark: Infinity }, { ask: 0 }, { ask: 1 }]) {
    if ('rows' in step) cluster.apply(step.rows)
    else if ('watermark' in step) {
      if (step.watermark > cluster.watermarkMs) cluster.advance(step.watermark)
    } else if ('ask' in step) {
      seen.push(watchers.ask(step.ask, cluster.tables))
    } else if ('restore' in step) {
      cluster = cluster.restore(step.restore)
      watchers.forget()
    } else {
      for (const table of cluster.tables)
        while (table.early(cluster.watermarkMs, 3) < 0) {
          // Goes on where its budget ended.
        }
    }
    seen.push(cluster.takeResults().map((result) => JSON.stringify(result)))
  }
  cluster.release()
  return seen
}

describe('change numbers that run out', () => {
  it('are noticed by no watcher, no early result, no correction and no restore', () => {
    fc.assert(
      fc.property(tablePlans, steps, fc.nat(15), (drawn, script, left) => {
        const plan = { ...drawn, accumulators: [accumulator('count', 0), ...drawn.accumulators] }
        expect(run(plan, script, left)).toEqual(run(plan, script, null))
      }),
      { numRuns: 300 },
    )
  })

  it('of sessions neither, those that vanish included', () => {
    const plan = sessionPlan([-1], [accumulator('count', 0)], { allowedLatenessMs: 1000 })
    fc.assert(
      fc.property(steps, fc.nat(15), (script, left) => {
        const runSessions = (from: number | null): unknown[] => {
          const seen: unknown[] = []
          const watchers = new Watchers()
          const cluster = new SessionCluster(plan, 2)
          const tables = cluster.subtasks.map(({ table }) => table)
          if (from !== null) for (const table of tables) table.change = CHANGE_MAX - from
          for (const step of [...script, { ask: 0 }, { ask: 1 }]) {
            if ('rows' in step) cluster.apply(step.rows)
            else if ('watermark' in step) cluster.advance(Math.max(step.watermark, cluster.watermarkMs), 100)
            else if ('ask' in step) seen.push(watchers.ask(step.ask, tables))
            seen.push(cluster.takeResults().map((result) => JSON.stringify(result)))
          }
          return seen
        }
        expect(runSessions(left)).toEqual(runSessions(null))
      }),
      { numRuns: 300 },
    )
  })

  it('give up those of long ago: who asks from then on hears of all', () => {
    const plan = sessionPlan([-1], [accumulator('count', 0)], {})
    const cluster = new SessionCluster(plan, 1)
    const row = { key: 'a', timeMs: 0, mask: 1, numbers: [0, 0], texts: ['', ''] }
    cluster.apply([row])
    const [table] = cluster.subtasks.map((subtask) => subtask.table)
    const about = { operator: 'window' as const, subtask: 0, watermarkMs: 0 }
    const { change } = queryTable(table!, metric, query, -1, about)
    nextChange(table!)
    table!.change = CHANGE_MAX
    nextChange(table!)
    expect(table!.change).toBeLessThan(CHANGE_MAX)
    expect(queryTable(table!, metric, query, change, about).count).toBe(1)
    const latest = queryTable(table!, metric, query, -1, about).change
    expect(latest).toBeGreaterThan(CHANGE_MAX)
    nextChange(table!)
    expect(queryTable(table!, metric, query, latest, about).count).toBe(0)
  })

  it('in the middle of early results leave none untold', () => {
    const plan = tablePlan([-1], [accumulator('count', 0)], { earlyMs: 1000 })
    const cluster = new Cluster(plan, 1, false)
    const row = (key: string) => ({ key, timeMs: 0, mask: 1, numbers: [0, 0], texts: ['', ''] })
    const table = cluster.tables[0]!
    table.change = CHANGE_MAX - 3
    cluster.apply([row('a'), row('b'), row('c')])
    expect(table.early(-1, 10)).toBeGreaterThanOrEqual(0)
    cluster.takeResults()
    cluster.apply([row('a'), row('b'), row('c')])
    expect(table.early(-1, 1)).toBe(-1)
    // Somebody asks in between, and the numbers go down.
    for (let i = 0; i < 3; i++) nextChange(table)
    expect(table.changeBase).toBeGreaterThan(0)
    for (let i = 0; i < 2; i++) table.early(-1, 10)
    expect(new Set(cluster.takeResults().map(({ group, values }) => `${group[0]} ${values[0]}`))).toEqual(
      new Set(['a 2', 'b 2', 'c 2']),
    )
    expect(table.early(-1, 10)).toBe(10)
    expect(cluster.takeResults()).toEqual([])
  })

  it.each(['windows', 'sessions'])('of late events go down with the others: %s', (kind) => {
    const plan = sessionPlan([-1], [accumulator('count', 0)], {})
    const accumulators = layOutAccumulators(
      plan,
      (column) => column,
      (column) => column,
    )
    const late = kind === 'windows' ? new LateLedger(accumulators) : new SessionLate(accumulators)
    const key = Uint8Array.of(1)
    late.change = 10
    late.addEvents(0, 100, key, 1, 0, 1, 1)
    late.change = 11
    late.shiftChanges(7)
    expect([2, 3].map((since) => late.changedSince(since, 0, 100, key))).toEqual([true, false])
    expect(late.change).toBe(4)
  })
})
