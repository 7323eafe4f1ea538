import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan, PersonPlan } from '../../src/job/plan.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { queryTable } from '../../src/operator/view.ts'
import { localRows, PersonReference, plans, steps, unitOf } from './person-reference.ts'
import { PersonCluster, type PersonResult, personPlan } from './person-support.ts'

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
        const reference = new PersonReference(plan)
        const results: PersonResult[] = []
        const unitMs = unitOf(plan.person!)
        for (const step of script) {
          if ('rows' in step) {
            const whole = (text: string): string => (plan.dimensions.length === 1 ? '' : text)
            const list = step.rows.map((row) => ({ ...row, timeMs: row.timeMs * unitMs, text: whole(row.text) }))
            cluster.apply(list)
            reference.apply(localRows(plan, list))
          } else if ('flush' in step) cluster.flush(step.flush)
          else if ('parallelism' in step) cluster = cluster.restore(step.parallelism)
          else {
            const watermarkMs = Math.max(0, cluster.watermarkMs) + step.byMs * unitMs
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

  it('need not count what is the same, where nothing is taken back', () => {
    const row = fc.record({
      person: fc.constantFrom('anna', 'ben'),
      timeMs: fc.integer({ min: 0, max: 60 }),
      bits: fc.integer({ min: 0, max: 7 }),
      text: fc.constantFrom('', 'x'),
      weight: fc.constant(1),
    })
    fc.assert(
      fc.property(plans, fc.array(fc.array(row, { maxLength: 4 }), { maxLength: 8 }), (plan, batches) => {
        const cluster = new PersonCluster(plan, 1)
        cluster.weighted = false
        const reference = new PersonReference(plan)
        for (const list of batches) {
          const given = list.map((one) => ({
            ...one,
            text: plan.dimensions.length === 1 ? '' : one.text,
            timeMs: one.timeMs * unitOf(plan.person!),
          }))
          cluster.apply(given)
          reference.apply(localRows(plan, given))
        }
        cluster.flush(0)
        expect(sorted(cluster.values())).toEqual(sorted(reference.values()))
        expect(cluster.applied).toBe(reference.applied)
      }),
      { numRuns: 200 },
    )
  })

  it('follow events that come and are taken back one by one, of few instants', () => {
    const row = fc.record({
      person: fc.constant('anna'),
      timeMs: fc.constantFrom(0, 3, 12, 15, 27, 33),
      bits: fc.integer({ min: 1, max: 7 }),
      text: fc.constantFrom('', 'x'),
      weight: fc.constantFrom(1, 1, -1),
    })
    fc.assert(
      fc.property(plans, fc.array(row, { maxLength: 12 }), (plan, list) => {
        const cluster = new PersonCluster(plan, 1)
        const reference = new PersonReference(plan)
        for (const one of list) {
          const own = { ...one, text: plan.dimensions.length === 1 ? '' : one.text }
          const given = { ...own, timeMs: own.timeMs * unitOf(plan.person!) }
          cluster.apply([given])
          reference.apply(localRows(plan, [given]))
          cluster.flush(0)
          expect(sorted(cluster.values())).toEqual(sorted(reference.values()))
        }
      }),
      { numRuns: 2000 },
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
