/**
 * Funnels and lifecycles over the sample clickstream against DuckDB, table by table: every event sent one to three times
 * and the surplus taken back, any set of events taken back, and late events, which correct exactly what they change.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nextBelow, nextFraction, SeededRandom } from '../../src/core/clock.ts'
import type { PersonPlan, TablePlan } from '../../src/job/plan.ts'
import { PersonCluster, type PersonRow, personPlan } from '../operator/person-support.ts'
import { type EcomRow, readEcom } from '../support/ecom.ts'
import { type ConversionRow, funnelRows, lifecycleRows } from './conversion-oracle.ts'
import { type Oracle, openOracle } from './engagement-oracle.ts'

const DAY = 86_400_000
const timezone = 'Europe/Berlin'
const steps = ['product_view', 'add_to_cart', 'cart', 'payment_details', 'purchase']
const errors = ['error_page', 'payment_error', 'checkout_bug']
const bucketsMs = [60_000, 3_600_000, DAY]
const window: TablePlan['window'] = { kind: 'tumbling', sizeMs: DAY, offsetMs: 0, timezone, time: 'event' }

const funnel: PersonPlan = {
  ...{ kind: 'funnel', steps: [0, 1, 2, 3, 4], order: 'sequential', every: -1, withinMs: 2 * DAY },
  ...{ exclude: [{ predicate: 5, from: 1, to: 5 }], attribution: 'first', bucketsMs },
}
const lifecycle: PersonPlan = { kind: 'lifecycle', active: 6, lookbackMs: 20 * DAY }

type Metric = 'funnel' | 'lifecycle'

const plans: Record<Metric, TablePlan> = {
  funnel: personPlan(funnel, { window, allowedLatenessMs: 1000 * DAY }),
  lifecycle: personPlan(lifecycle, { window, allowedLatenessMs: 1000 * DAY }),
}

/** What DuckDB says, by metric, of all events, and of those whose row number is no multiple of 7. */
const all = {} as Record<Metric, ReadonlyMap<string, readonly number[]>>
const some = {} as typeof all
const isLeftOut = ({ row }: Pick<EcomRow, 'row'>): boolean => row % 7 === 0

let oracle: Oracle

beforeAll(async () => {
  oracle = await openOracle()
  Object.assign(all, await expected())
  await oracle.sql('DELETE FROM events WHERE row % 7 = 0')
  Object.assign(some, await expected())
})

afterAll(() => oracle?.close())

async function expected(): Promise<typeof all> {
  const byName = (rows: readonly ConversionRow[]) =>
    new Map(rows.map(({ startMs, by, label, values }) => [JSON.stringify([startMs, by, label]), values]))
  const period = { period: 'day', timezone, by: 'platform' } as const
  const rows = await funnelRows(oracle, {
    ...{ ...period, steps: steps.map((step) => `name = '${step}'`), order: 'sequential', withinMs: 2 * DAY },
    ...{ exclude: `name IN ('${errors.join("', '")}')`, attribution: 'first', bucketsMs },
  })
  const lives = await lifecycleRows(oracle, { ...period, lookbackMs: 20 * DAY, where: 'true' })
  return { funnel: byName(rows), lifecycle: byName(lives) }
}

function rowOf({ user, timestampMs, event, platform }: EcomRow, weight = 1): PersonRow {
  const step = steps.indexOf(event)
  const bits = (step < 0 ? 0 : 1 << step) | (errors.includes(event) ? 1 << 5 : 0) | (1 << 6)
  return { person: user, timeMs: timestampMs, bits, text: platform, weight }
}

function shuffled(rows: readonly PersonRow[], seed: number): PersonRow[] {
  const random = new SeededRandom(seed)
  return rows
    .map((row) => ({ row, at: nextFraction(random) }))
    .sort((a, b) => a.at - b.at)
    .map(({ row }) => row)
}

function feed(cluster: PersonCluster, rows: readonly PersonRow[]): void {
  for (let at = 0; at < rows.length; at += 500) {
    cluster.apply(rows.slice(at, at + 500))
    cluster.flush(at / 500)
  }
  for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
}

const sorted = (map: ReadonlyMap<string, readonly number[]>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

describe.each<Metric>(['funnel', 'lifecycle'])('a %s of the sample', (metric) => {
  it.each([1, 2])('comes to the same with every event one to three times and the surplus taken back (%i)', (seed) => {
    const random = new SeededRandom(seed)
    const copies = readEcom().flatMap((row) => {
      const surplus = nextBelow(random, 3)
      const given = Array.from({ length: 1 + surplus }, () => rowOf(row))
      return [...given, ...Array.from({ length: surplus }, () => rowOf(row, -1))]
    })
    const cluster = new PersonCluster(plans[metric], 3)
    feed(cluster, shuffled(copies, seed))
    expect(sorted(cluster.values())).toEqual(sorted(all[metric]))
  })

  it('is the same after events are taken back as if they had never been sent', () => {
    const cluster = new PersonCluster(plans[metric], 2)
    const events = readEcom()
    feed(
      cluster,
      shuffled(
        events.map((row) => rowOf(row)),
        3,
      ),
    )
    expect(sorted(cluster.values())).toEqual(sorted(all[metric]))
    feed(
      cluster,
      shuffled(
        events.filter(isLeftOut).map((row) => rowOf(row, -1)),
        4,
      ),
    )
    expect(sorted(cluster.values())).toEqual(sorted(some[metric]))
  })

  it('corrects exactly the values that late events change, over a restart at another parallelism', () => {
    let cluster = new PersonCluster(plans[metric], 2)
    const events = readEcom()
    feed(
      cluster,
      events.filter((row) => !isLeftOut(row)).map((row) => rowOf(row)),
    )
    cluster.advance(events.at(-1)!.timestampMs + 100 * DAY)
    expect(sorted(cluster.values())).toEqual(sorted(some[metric]))
    cluster.takeResults()
    cluster = cluster.restore(1)
    cluster.takeResults()
    // In one flush of one thread: of two, one may take a person out of a number that the other puts one into.
    const late = events.filter(isLeftOut).map((row) => rowOf(row))
    const byPerson = Map.groupBy(late, ({ person }) => person)
    for (const rows of byPerson.values()) cluster.apply(rows)
    for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
    expect(sorted(cluster.values())).toEqual(sorted(all[metric]))
    const differs = (name: string) => all[metric].get(name)?.join() !== some[metric].get(name)?.join()
    const names = new Set([...all[metric].keys(), ...some[metric].keys()])
    const changed = [...names].filter(differs)
    expect(changed.length).toBeGreaterThan(50)
    expect(new Set(cluster.takeResults().map(({ name }) => name))).toEqual(new Set(changed))
    expect([cluster.applied, cluster.late]).toEqual([eventsOf(metric), 0])
  })
})

/** Events that some condition of the metric takes. */
function eventsOf(metric: Metric): number {
  const conditions = metric === 'funnel' ? 0b11_1111 : 0b100_0000
  return readEcom().filter((row) => (rowOf(row).bits & conditions) !== 0).length
}
