import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TablePlan } from '../../src/job/plan.ts'
import { joinTimelines } from '../../src/operator/person-group.ts'
import type { PersonTable } from '../../src/operator/person-table.ts'
import { PersonCluster, type PersonRow, personPlan, WINDOW_MS } from './person-support.ts'
import { adopt, snapshotOf, takeOver } from './support.ts'

const window = { kind: 'sliding', slideMs: WINDOW_MS, offsetMs: 0, timezone: 'UTC', time: 'event' } as const

/** Three tables about the periods in which persons were active. */
function plansOf(lateness: readonly number[]): TablePlan[] {
  return [
    personPlan({ kind: 'actives', active: 0 }, { id: 'three', window: { ...window, sizeMs: 3 * WINDOW_MS } }),
    personPlan({ kind: 'actives', active: 0 }, { id: 'five', window: { ...window, sizeMs: 5 * WINDOW_MS } }),
    personPlan({ kind: 'lifecycle', active: 0, lookbackMs: 40 }, { id: 'lifecycle' }),
  ].map((plan, i) => ({ ...plan, shares: 'periods', allowedLatenessMs: lateness[i]! }))
}

/** Tables that share timelines, each with merges of its own. */
class SharingCluster {
  readonly clusters: readonly PersonCluster[]

  constructor(clusters: readonly PersonCluster[]) {
    this.clusters = clusters
    for (let i = 0; i < clusters[0]!.parallelism; i++) joinTimelines(this.tablesOf(i))
  }

  tablesOf(subtask: number): PersonTable[] {
    return this.clusters.map(({ windows }) => windows[subtask]!.table)
  }

  apply(rows: readonly PersonRow[]): void {
    for (const cluster of this.clusters) cluster.apply(rows)
  }

  advance(watermarkMs: number): void {
    for (const cluster of this.clusters) cluster.advance(watermarkMs)
  }

  /** Of some of the tables, by place, at a parallelism; `plans` are what they are then, -1 for one that begins. */
  restore(parallelism: number, places: readonly number[]): SharingCluster {
    for (const cluster of this.clusters) for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
    const before = this.clusters[0]!.parallelism
    const groups = Array.from({ length: before }, (_, i) => snapshotOf(this.tablesOf(i)))
    return new SharingCluster(
      places.map((place) => {
        const from = this.clusters[place]!
        const next = new PersonCluster(from.plan, parallelism)
        next.watermarkMs = from.watermarkMs
        const merges = from.merges.map(({ table }) => snapshotOf([table]))
        const fill = (table: Parameters<typeof adopt>[0], snapshots: typeof merges, i: number): void => {
          if (parallelism === before) {
            const { meta, pages } = snapshots[i]!
            const own = [...pages].map(
              ([name, all]) => [name, all.map((p) => ({ ...p, bytes: p.bytes.slice() }))] as const,
            )
            adopt(table, { meta, pages: new Map(own) })
          } else for (const snapshot of snapshots) takeOver(table, snapshot, i, parallelism)
        }
        next.windows.forEach(({ table }, i) => {
          fill(table, groups, i)
        })
        next.merges.forEach(({ table }, i) => {
          fill(table, merges, i)
        })
        return next
      }),
    )
  }

  values(): Map<string, readonly number[]>[] {
    for (const cluster of this.clusters) for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
    return this.clusters.map((cluster) => cluster.values())
  }
}

const rows = fc.array(
  fc.record({
    person: fc.constantFrom('anna', 'ben', 'a person with a long name'),
    timeMs: fc.integer({ min: 0, max: 120 }),
    bits: fc.integer({ min: 0, max: 1 }),
    text: fc.constantFrom('', 'x'),
    weight: fc.constantFrom(1, 1, 1, -1),
  }),
  { maxLength: 8 },
)

const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ rows }) },
    { weight: 2, arbitrary: fc.record({ byMs: fc.integer({ min: 0, max: 30 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({ parallelism: fc.integer({ min: 1, max: 3 }), without: fc.integer({ min: 0, max: 8 }) }),
    },
  ),
  { maxLength: 14 },
)

describe('tables that share timelines', () => {
  it('come to what each comes to alone, also when one of them leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 7, 40), { minLength: 3, maxLength: 3 }), steps, (lateness, script) => {
        const plans = plansOf(lateness)
        let alone = plans.map((plan) => new PersonCluster(plan, 2))
        let sharing = new SharingCluster(plans.map((plan) => new PersonCluster(plan, 2)))
        for (const step of script) {
          if ('rows' in step) {
            for (const cluster of alone) cluster.apply(step.rows)
            sharing.apply(step.rows)
          } else if ('byMs' in step) {
            const watermarkMs = Math.max(0, alone[0]!.watermarkMs) + step.byMs
            for (const cluster of alone) cluster.advance(watermarkMs)
            sharing.advance(watermarkMs)
          } else {
            const places = [...alone.keys()].filter((place) => alone.length === 1 || place !== step.without)
            alone = places.map((place) => alone[place]!.restore(step.parallelism))
            sharing = sharing.restore(step.parallelism, places)
          }
          expect(sharing.clusters.map(({ late }) => late > 0)).toHaveLength(alone.length)
        }
        for (const cluster of alone) for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
        const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
        expect(sharing.values().map(sorted)).toEqual(alone.map((cluster) => sorted(cluster.values())))
      }),
      { numRuns: 100 },
    )
  })

  it('keep one row a person and period among them, and hold it for the one that looks back longest', () => {
    const sharing = new SharingCluster(plansOf([0, 0, 0]).map((plan) => new PersonCluster(plan, 1)))
    const row = { bits: 1, text: '', weight: 1 }
    for (let person = 0; person < 10; person++) {
      sharing.apply([1, 2, 3, 14].map((timeMs) => ({ ...row, person: `p${person}`, timeMs })))
    }
    const [first, ...others] = sharing.tablesOf(0)
    for (const table of others) expect(table.timelines).toBe(first!.timelines)
    expect([first!.timelines.persons.live, first!.timelines.events.live]).toEqual([10, 20])
    // Windows of three periods are over at 39, of five at 59, and the lookback of 40 ms goes on.
    sharing.advance(39)
    expect(first!.timelines.events.live).toBe(20)
    sharing.advance(70)
    expect(first!.timelines.events.live).toBe(0)
  })

  it('do not share with one that begins later', () => {
    const plans = plansOf([0, 0, 0])
    const two = new SharingCluster(plans.slice(0, 2).map((plan) => new PersonCluster(plan, 1)))
    two.apply([{ bits: 1, text: '', weight: 1, person: 'a', timeMs: 1 }])
    const restored = two.restore(1, [0, 1]).clusters
    const three = new SharingCluster([...restored, new PersonCluster(plans[2]!, 1)])
    const [first, second, third] = three.tablesOf(0)
    expect(second!.timelines).toBe(first!.timelines)
    expect(third!.timelines).not.toBe(first!.timelines)
    three.apply([{ bits: 1, text: '', weight: 1, person: 'a', timeMs: 12 }])
    expect(three.values()[2]!.get('[10,"","new"]')).toEqual([1])
  })
})
