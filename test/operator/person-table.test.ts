import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan, PersonPlan, TablePlan } from '../../src/job/plan.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { queryTable } from '../../src/operator/view.ts'
import { funnelReference } from '../metrics/funnel-reference.ts'
import { lifecycleReference } from '../metrics/lifecycle-reference.ts'
import type { Given, TestEvent } from '../metrics/support.ts'
import { PersonCluster, type PersonResult, type PersonRow, personPlan, WINDOW_MS } from './person-support.ts'

/** What a table must say, by the definition, person by person. Windows that are closed stay as they were. */
class Reference {
  readonly plan: TablePlan
  applied = 0
  late = 0
  #watermarkMs = Number.NEGATIVE_INFINITY
  readonly #events = new Map<string, { row: PersonRow; copies: number }>()
  #values = new Map<string, readonly number[]>()

  constructor(plan: TablePlan) {
    this.plan = plan
  }

  apply(rows: readonly PersonRow[]): void {
    for (const row of rows) {
      if (row.bits === 0) continue
      if (this.#isLate(row.timeMs)) {
        this.late++
        continue
      }
      this.applied++
      const { person, bits, text } = row
      // Of a period's events only their number is known: one that is taken back before it comes is another's meanwhile.
      const timeMs = this.plan.person!.kind === 'lifecycle' ? periodOf(row.timeMs).startMs : row.timeMs
      const name = JSON.stringify([person, timeMs, bits, text])
      const event = this.#events.get(name)
      if (event === undefined) this.#events.set(name, { row, copies: row.weight })
      else event.copies += row.weight
    }
    const values = new Map([...this.#values].filter(([name]) => !this.#isOpen(startOf(name))))
    const persons = Map.groupBy(this.#events.values(), ({ row }) => row.person)
    for (const events of persons.values()) {
      const own = events.flatMap(({ row, copies }) => new Array<TestEvent>(Math.max(0, copies)).fill(row))
      for (const { startMs, label, text, values: more } of this.#given(own)) {
        if (!this.#isOpen(startMs)) continue
        const name = JSON.stringify([startMs, text, label])
        values.set(name, values.get(name)?.map((value, i) => value + more[i]!) ?? more)
      }
    }
    this.#values = values
  }

  advance(watermarkMs: number): void {
    this.#watermarkMs = watermarkMs
  }

  values(): Map<string, readonly number[]> {
    return this.#values
  }

  #given(events: readonly TestEvent[]): Given[] {
    const person = this.plan.person!
    if (person.kind === 'funnel') return funnelReference({ ...person, steps: person.steps.length }, WINDOW_MS, events)
    return lifecycleReference(periodOf, person.lookbackMs, events)
  }

  #isOpen(startMs: number): boolean {
    const { settleMs = 0, allowedLatenessMs } = this.plan
    return startMs + WINDOW_MS - 1 + settleMs + allowedLatenessMs > this.#watermarkMs
  }

  /** Late: no window that the event could change is open. */
  #isLate(timeMs: number): boolean {
    const { startMs, endMs } = periodOf(timeMs)
    const person = this.plan.person!
    const lastMs = person.kind === 'funnel' ? startMs : Math.max(endMs, periodOf(startMs + person.lookbackMs).startMs)
    return !this.#isOpen(lastMs)
  }
}

const periodOf = (timeMs: number) => {
  const startMs = Math.floor(timeMs / WINDOW_MS) * WINDOW_MS
  return { startMs, endMs: startMs + WINDOW_MS }
}

const startOf = (name: string): number => (JSON.parse(name) as [number])[0]

const funnels: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('funnel'),
  steps: fc.constantFrom([0, 1], [0, 1, 2], [0, 1, 1]),
  order: fc.constantFrom('sequential', 'strict', 'any'),
  every: fc.constant(-1),
  withinMs: fc.integer({ min: 0, max: 25 }),
  exclude: fc.constant([]),
  attribution: fc.constantFrom<'first' | 'last'>('first', 'last'),
  bucketsMs: fc.constant([5]),
})

const lifecycles: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('lifecycle'),
  active: fc.constant(0),
  lookbackMs: fc.constantFrom(10, 25, 60),
})

const plans = fc
  .tuple(fc.oneof(funnels, lifecycles), fc.constantFrom(0, 7, 40))
  .map(([person, allowedLatenessMs]) => personPlan(person, { allowedLatenessMs }))

const rows = fc.array(
  fc.record({
    person: fc.constantFrom('anna', 'ben', 'a person with a long name'),
    timeMs: fc.integer({ min: 0, max: 90 }),
    bits: fc.integer({ min: 0, max: 7 }),
    text: fc.constantFrom('', 'x'),
    weight: fc.constantFrom(1, 1, 1, -1),
  }),
  { maxLength: 8 },
)

type Step =
  | { readonly rows: readonly PersonRow[] }
  | { readonly flush: number }
  | { readonly byMs: number }
  | { readonly parallelism: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ rows }) },
    { weight: 2, arbitrary: fc.record({ flush: fc.integer({ min: 0, max: 2 }) }) },
    { weight: 2, arbitrary: fc.record({ byMs: fc.integer({ min: 0, max: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ parallelism: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { maxLength: 14 },
)

/** Local bits of a table are the places of its conditions: here the reference must see them too. */
function localRows(plan: TablePlan, list: readonly PersonRow[]): PersonRow[] {
  const person = plan.person!
  const conditions = person.kind === 'funnel' ? person.steps : [person.active]
  return list.map((row) => {
    const bits = conditions.reduce((all, condition, i) => all | (((row.bits >> condition) & 1) << i), 0)
    return { ...row, bits }
  })
}

/** Revisions in a row, each with another value than the one before; returns the last value of each. */
function checkHistory(results: readonly PersonResult[]): Map<string, readonly number[]> {
  const last = new Map<string, PersonResult>()
  for (const result of results) {
    const before = last.get(result.name)
    expect(result.revision, result.name).toBe((before?.revision ?? 0) + 1)
    expect(result.values, 'a correction that corrects nothing').not.toEqual(before?.values)
    last.set(result.name, result)
  }
  return new Map([...last].map(([name, { values }]) => [name, values]))
}

const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

describe('tables about persons', () => {
  it('come to what the definition gives, whatever is late, taken back, crashes and is rescaled', () => {
    fc.assert(
      fc.property(plans, steps, (plan, script) => {
        let cluster = new PersonCluster(plan, 2)
        const reference = new Reference(plan)
        const results: PersonResult[] = []
        for (const step of script) {
          if ('rows' in step) {
            cluster.apply(step.rows)
            reference.apply(localRows(plan, step.rows))
          } else if ('flush' in step) cluster.flush(step.flush)
          else if ('parallelism' in step) cluster = cluster.restore(step.parallelism)
          else {
            const watermarkMs = Math.max(0, cluster.watermarkMs) + step.byMs
            cluster.advance(watermarkMs)
            reference.advance(watermarkMs)
          }
          results.push(...cluster.takeResults())
        }
        for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
        expect(sorted(cluster.values())).toEqual(sorted(reference.values()))
        expect([cluster.applied, cluster.late]).toEqual([reference.applied, reference.late])
        cluster.advance(Number.POSITIVE_INFINITY)
        results.push(...cluster.takeResults())
        // What has nothing in it any more may have left, and has left as nothing.
        const left = new Map([...checkHistory(results)].filter(([, values]) => values.some((value) => value !== 0)))
        expect(sorted(left)).toEqual(sorted(reference.values()))
      }),
      { numRuns: 600 },
    )
  })

  it('see no event that was taken back before it came, and see it when it has come and come again', () => {
    const cluster = new PersonCluster(
      personPlan({
        ...{ kind: 'funnel', steps: [0, 1], order: 'sequential', every: -1, withinMs: 5 },
        ...{ exclude: [], attribution: 'first', bucketsMs: [5] },
      }),
      1,
    )
    const row = (timeMs: number, bits: number, weight = 1) => ({ person: 'a', timeMs, bits, text: '', weight })
    const persons = () => {
      cluster.flush(0)
      return cluster.values().get('[0,"","2"]')?.[2]
    }
    cluster.apply([row(1, 2, -1), row(0, 1)])
    expect(persons()).toBe(0)
    cluster.apply([row(3, 2)])
    expect(persons()).toBe(1)
    cluster.apply([row(3, 2, -1)])
    expect(persons()).toBe(0)
    cluster.apply([row(1, 2)])
    expect(persons()).toBe(0)
    cluster.apply([row(1, 2)])
    expect(persons()).toBe(1)
  })

  it('forget what no open window can see', () => {
    const plan = personPlan({
      ...{ kind: 'funnel', steps: [0, 1], order: 'sequential', every: -1, withinMs: 20 },
      ...{ exclude: [], attribution: 'first', bucketsMs: [5] },
    })
    const cluster = new PersonCluster(plan, 1)
    for (let person = 0; person < 100; person++) {
      const row = { person: `p${person}`, bits: 1, text: '', weight: 1 }
      cluster.apply([0, 5, 12].map((timeMs) => ({ ...row, timeMs })))
    }
    expect(cluster.state).toEqual({ persons: 100, events: 300 })
    cluster.flush(0)
    const [{ table: results }] = cluster.merges as [(typeof cluster.merges)[0]]
    expect(results.nextDueMs).toBe(29)
    // The window [0, 10) is settled at 29.
    cluster.advance(28)
    expect(cluster.state).toEqual({ persons: 100, events: 300 })
    cluster.advance(29)
    expect(cluster.state).toEqual({ persons: 100, events: 100 })
    cluster.advance(39)
    expect(cluster.state).toEqual({ persons: 0, events: 0 })
    // What was used is used again.
    const [{ pool, table }] = cluster.windows as [(typeof cluster.windows)[0]]
    const { bytesInUse } = pool
    for (let person = 0; person < 100; person++) {
      cluster.apply([{ person: `q${person}`, bits: 1, text: '', weight: 1, timeMs: 45 }])
    }
    expect(cluster.state).toEqual({ persons: 100, events: 100 })
    expect(pool.bytesInUse - bytesInUse).toBeLessThan(1000)
    expect(table.indexBytes).toBeGreaterThanOrEqual(table.slices.indexBytes + 100 * 8)
    // At the end of the input nothing can change any more.
    cluster.advance(Number.POSITIVE_INFINITY)
    expect([cluster.state, pool.bytesInUse]).toEqual([{ persons: 0, events: 0 }, 0])
  })

  it('correct what changes, and nothing else', () => {
    const funnel: PersonPlan = {
      ...{ kind: 'funnel', steps: [0, 1], order: 'sequential', every: -1, withinMs: 5 },
      ...{ exclude: [], attribution: 'first', bucketsMs: [5] },
    }
    const cluster = new PersonCluster(personPlan(funnel, { allowedLatenessMs: 100 }), 1)
    const row = (person: string, timeMs: number, bits: number) => ({ person, timeMs, bits, text: '', weight: 1 })
    cluster.apply([row('a', 1, 1), row('b', 1, 1), row('b', 3, 2), row('c', 30, 1)])
    cluster.advance(50)
    expect(sorted(new Map(cluster.takeResults().map(({ name, values }) => [name, values[2]])))).toEqual([
      ['[0,"","1"]', 2],
      ['[0,"","2"]', 1],
      ['[30,"","1"]', 1],
      ['[30,"","2"]', 0],
    ])
    // Changes nothing: the step was reached before, or too long ago.
    cluster.apply([row('b', 4, 2), row('a', 7, 2), row('d', 2, 2)])
    cluster.flush(0)
    expect(cluster.takeResults()).toEqual([])
    // A late event that is the missing step: one value.
    cluster.apply([row('a', 6, 2)])
    cluster.flush(0)
    expect(cluster.takeResults()).toEqual([{ name: '[0,"","2"]', values: [2, 2, 2, 7, 1, 1], revision: 2 }])
  })

  it('tell those who follow changes, and sinks, that nobody is in a number any more', () => {
    const cluster = new PersonCluster(
      personPlan({ kind: 'lifecycle', active: 0, lookbackMs: 60 }, { allowedLatenessMs: 99 }),
      1,
    )
    const [{ table }] = cluster.merges as [(typeof cluster.merges)[0]]
    const metric: MetricPlan = {
      ...{ id: 'm', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 0 }, integer: true },
    }
    const ask = (since: number) => {
      const query = { metric: 0, fromMs: -Infinity, toMs: Infinity, filter: [], sinceChange: [], rowsMax: 99 }
      const rows = queryTable(table, metric, query, since, { operator: 'merge', subtask: 0, watermarkMs: 0 })
      nextChange(table)
      const told = Array.from({ length: rows.count }, (_, i) => [
        rows.windowStartMs[i],
        rows.dimensions[i]![1],
        rows.values[i],
      ])
      return { told, change: rows.change }
    }
    const row = (timeMs: number, weight = 1) => ({ person: 'a', timeMs, bits: 1, text: '', weight })
    cluster.apply([row(1)])
    cluster.advance(25)
    cluster.takeResults()
    const { told, change } = ask(-1)
    expect(told).toEqual([
      [0, 'new', 1],
      [10, 'dormant', 1],
    ])
    cluster.apply([row(11)])
    cluster.flush(0)
    expect(new Set(ask(change).told.map(String))).toEqual(new Set(['10,dormant,0', '10,returning,1', '20,dormant,1']))
    expect(ask(-1).told.map(String)).not.toContain('10,dormant,0')
    const left = cluster.takeResults().find(({ name }) => name === '[10,"","dormant"]')
    expect(left).toEqual({ name: '[10,"","dormant"]', values: [0], revision: 2 })
  })

  it('tell dormant persons of a period as soon as the one before has them, and fewer as they come', () => {
    const cluster = new PersonCluster(personPlan({ kind: 'lifecycle', active: 0, lookbackMs: 60 }), 1)
    const row = (person: string, timeMs: number) => ({ person, timeMs, bits: 1, text: '', weight: 1 })
    cluster.apply([row('a', 1), row('b', 2)])
    cluster.flush(0)
    expect(Object.fromEntries(cluster.values())).toEqual({ '[0,"","new"]': [2], '[10,"","dormant"]': [2] })
    cluster.apply([row('a', 11)])
    cluster.flush(0)
    expect(Object.fromEntries(cluster.values())).toEqual({
      '[0,"","new"]': [2],
      '[10,"","dormant"]': [1],
      '[10,"","returning"]': [1],
      '[20,"","dormant"]': [1],
    })
  })
})
