import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TablePlan } from '../../src/job/plan.ts'
import { type Step, steps, tablePlans } from './arbitraries.ts'
import { nameOf } from './reference.ts'
import { Cluster } from './support.ts'

/** What was given out last, by window and group, and whether each correction says it. */
class Ledger {
  corrections = 0
  readonly #last = new Map<string, readonly number[]>()

  /** Takes what has left since the last call. */
  check(cluster: Cluster): void {
    for (const { sink } of [...cluster.windows, ...cluster.merges]) {
      const before = sink.before.splice(0)
      for (const [i, result] of sink.results.splice(0).entries()) {
        const name = nameOf(result)
        const last = this.#last.get(name)
        if (last !== undefined) {
          this.corrections++
          expect(before[i]).toEqual(last)
        }
        this.#last.set(name, result.values)
      }
    }
  }
}

/** Plays a script, with a restore before each step that `restores` says; returns how many corrections there were. */
function follow(
  plan: TablePlan,
  script: readonly Step[],
  restores: readonly boolean[],
  parallelism: number,
  merged: boolean,
): number {
  let cluster = new Cluster(plan, parallelism, merged)
  const ledger = new Ledger()
  for (const [i, step] of script.entries()) {
    if (restores[i] === true) {
      for (let index = 0; index < parallelism; index++) cluster.flush(index)
      ledger.check(cluster)
      // What comes after a restore corrects what was given out before the checkpoint.
      cluster = cluster.restore(parallelism)
    }
    if ('rows' in step) cluster.apply(step.rows)
    else if ('watermark' in step) cluster.advance(step.watermark, step.budget)
    else cluster.flush(step.flush)
    ledger.check(cluster)
  }
  cluster.advance(Infinity)
  ledger.check(cluster)
  cluster.release()
  return ledger.corrections
}

describe('corrections of tables whose sinks retract', () => {
  it.each([
    ['events', false],
    ['partials', true],
  ] as const)('say what was given out before, made of %s', (_, merged) => {
    let corrections = 0
    fc.assert(
      fc.property(
        tablePlans,
        steps,
        fc.array(fc.boolean()),
        fc.integer({ min: 1, max: 3 }),
        (plan, script, restores, parallelism) => {
          const retracting = { ...plan, allowedLatenessMs: 1000, retracts: true, keyed: merged ? false : plan.keyed }
          corrections += follow(retracting, script, restores, merged || plan.keyed ? parallelism : 1, merged)
        },
      ),
      { numRuns: 600 },
    )
    expect(corrections).toBeGreaterThan(100)
  })

  it('say nothing of it where no sink does', () => {
    fc.assert(
      fc.property(tablePlans, steps, (plan, script) => {
        const cluster = new Cluster(plan, 1, false)
        for (const step of script) {
          if ('rows' in step) cluster.apply(step.rows)
          else if ('watermark' in step) cluster.advance(step.watermark, step.budget)
        }
        cluster.advance(Infinity)
        for (const { sink } of cluster.windows) expect(sink.before.filter((one) => one !== null)).toEqual([])
        cluster.release()
      }),
      { numRuns: 50 },
    )
  })
})
