/** Who watches sessions hears of those that merged away: what is told, put together, is what is there. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan } from '../../src/job/plan.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { queryTable } from '../../src/operator/view.ts'
import type { Row } from '../exchange/support.ts'
import { GAP_MS, SessionCluster, sessionPlan } from './session-support.ts'
import { accumulator } from './support.ts'

const metric: MetricPlan = {
  id: 'events',
  table: 0,
  predicate: 0,
  events: 0,
  read: { kind: 'value', of: 0 },
  integer: true,
}
const everything = { metric: 0, fromMs: -Infinity, toMs: Infinity, filter: [], sinceChange: [], rowsMax: 10_000 }

/** One who follows changes: a session is known by its group and start, and one without events is forgotten. */
class Watcher {
  readonly seen = new Map<string, readonly number[]>()
  readonly #since: number[] = []
  /** Revision by name, of all that were ever told. */
  readonly #revisions = new Map<string, number>()

  ask(cluster: SessionCluster): void {
    for (const [subtask, { table }] of cluster.subtasks.entries()) {
      const about = { operator: 'window' as const, subtask, watermarkMs: cluster.watermarkMs }
      const answer = queryTable(table, metric, everything, this.#since[subtask] ?? -1, about)
      this.#since[subtask] = answer.change
      nextChange(table)
      for (let i = 0; i < answer.count; i++) {
        const name = `${JSON.stringify(answer.dimensions[i])}|${answer.windowStartMs[i]}`
        const revision = answer.revision[i]!
        expect(revision).toBeGreaterThanOrEqual(this.#revisions.get(name) ?? 0)
        this.#revisions.set(name, revision)
        if (answer.events[i] === 0) this.seen.delete(name)
        else this.seen.set(name, [answer.windowEndMs[i]!, answer.values[i]!])
      }
    }
  }
}

type Step =
  | { readonly rows: readonly Row[] }
  | { readonly watermark: number }
  | { readonly ask: number }
  | { readonly restore: number }

const rows: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  timeMs: fc.integer({ min: 0, max: 12 * GAP_MS }),
  // Some sessions hold only events that the metric does not want.
  mask: fc.constantFrom(1, 1, 1, 2, 3),
  numbers: fc.constant([0, 0]),
  texts: fc.constant(['', '']),
})

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ rows: fc.array(rows, { maxLength: 6 }) }) },
    { weight: 3, arbitrary: fc.record({ watermark: fc.integer({ min: 0, max: 14 * GAP_MS }) }) },
    { weight: 4, arbitrary: fc.record({ ask: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { maxLength: 40, size: 'max' },
)

describe('watches of sessions', () => {
  it('end at what is there, withdrawn sessions gone, whenever they ask and whatever merged meanwhile', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(0, 5, GAP_MS, 1000), (script, allowedLatenessMs) => {
        const plan = sessionPlan([-1], [accumulator('count', 0), accumulator('count', 1)], { allowedLatenessMs })
        let cluster = new SessionCluster(plan, 2)
        let watchers = [new Watcher(), new Watcher()]
        for (const step of [...script, { ask: 0 }, { watermark: Infinity }, { ask: 1 }, { ask: 0 }]) {
          if ('rows' in step) cluster.apply(step.rows)
          else if ('watermark' in step) cluster.advance(Math.max(step.watermark, cluster.watermarkMs), 3)
          else if ('restore' in step) {
            cluster = cluster.restore(step.restore)
            // Numbers mean nothing to another attempt: they ask for all again.
            watchers = [new Watcher(), new Watcher()]
          } else {
            const watcher = watchers[step.ask]!
            watcher.ask(cluster)
            const there = [...cluster.values()].filter(([, [, count]]) => count! > 0)
            const known = there.map(([name, [endMs, count]]) => [name, [endMs, count]] as const)
            expect([...watcher.seen].sort(byName)).toEqual(known.sort(byName))
          }
        }
        cluster.release()
      }),
      { numRuns: 500 },
    )
  })
})

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1)
