/** Who watches sessions hears of those that merged away: what is told, put together, is what is there. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan } from '../../src/job/plan.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { queryTable } from '../../src/operator/view.ts'
import type { Row } from '../exchange/support.ts'
import { GAP_MS, SessionCluster, SessionReference, sessionPlan } from './session-support.ts'
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
        if (answer.events[i] === 0) {
          this.seen.delete(name)
          // One that comes to this start when the other is closed is another session.
          this.#revisions.delete(name)
        } else this.seen.set(name, [answer.windowEndMs[i]!, answer.values[i]!])
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

/** A start that vanished, and that another session has come to since, before anybody asked. */
const again = (() => {
  const event = (timeMs: number): Row => ({ key: 'a', timeMs, mask: 1, numbers: [0, 0], texts: ['', ''] })
  const first = { rows: [event(96), event(86)] }
  return [{ ask: 0 }, first, { watermark: 115 }, { rows: [event(97), event(96)] }] satisfies Step[]
})()

describe('watches of sessions', () => {
  it('end at what is there, withdrawn sessions gone, whenever they ask and whatever merged meanwhile', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(0, 5, GAP_MS, 1000), (script, allowedLatenessMs) => {
        const plan = sessionPlan([-1], [accumulator('count', 0), accumulator('count', 1)], { allowedLatenessMs })
        let cluster = new SessionCluster(plan, 2)
        const reference = new SessionReference(plan)
        let watchers = [new Watcher(), new Watcher()]
        for (const step of [...script, { ask: 0 }, { watermark: Infinity }, { ask: 1 }, { ask: 0 }]) {
          if ('rows' in step) {
            cluster.apply(step.rows)
            reference.apply(step.rows)
            fc.pre(!reference.sharesStart)
          } else if ('watermark' in step) {
            cluster.advance(Math.max(step.watermark, cluster.watermarkMs), 3)
            reference.advance(cluster.watermarkMs)
          } else if ('restore' in step) {
            cluster = cluster.restore(step.restore)
            // Numbers mean nothing to another attempt: they ask for all again.
            watchers = [new Watcher(), new Watcher()]
          } else {
            const watcher = watchers[step.ask]!
            watcher.ask(cluster)
            const there = [...reference.values()].filter(([, [, count]]) => count! > 0)
            const known = there.map(([name, [endMs, count]]) => [name, [endMs, count]] as const)
            expect([...watcher.seen].sort(byName)).toEqual(known.sort(byName))
          }
        }
        cluster.release()
      }),
      { numRuns: 500, examples: [[again, GAP_MS]] },
    )
  })

  it('hear of a session that has the start of a closed one under the same name: it takes that place', () => {
    const cluster = new SessionCluster(sessionPlan([-1], [accumulator('count', 0)]), 1)
    const watcher = new Watcher()
    const event = (timeMs: number): Row => ({ key: 'c', timeMs, mask: 1, numbers: [0, 0], texts: ['', ''] })
    const told = () => cluster.takeResults().map(({ startMs, endMs, revision }) => [startMs, endMs, revision])
    cluster.apply([event(93)])
    cluster.advance(92 + GAP_MS, 10)
    expect(told()).toEqual([[93, 93 + GAP_MS, 1]])
    // The first is closed, so this is another; and an event of the first one's start reaches into it.
    cluster.apply([event(94), event(93)])
    cluster.advance(200, 10)
    expect(told()).toEqual([[93, 94 + GAP_MS, 1]])
    watcher.ask(cluster)
    expect(watcher.seen.size).toBe(1)
  })
})

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1)
