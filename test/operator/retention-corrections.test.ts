/** Cohorts that change when earlier events come late, or first ones are taken back. */
import { describe, expect, it } from 'vitest'
import type { PersonPlan } from '../../src/job/plan.ts'
import { PersonCluster, type PersonRow, personPlan } from './person-support.ts'

const retention: PersonPlan = {
  ...{ kind: 'retention', start: 0, return: 1, periods: 2, mode: 'on', cohort: 'first', clock: 'calendar' },
  lookbackMs: 60,
}

const row = (person: string, timeMs: number, weight = 1): PersonRow => ({ person, timeMs, bits: 3, text: '', weight })

/** Persons by window and period. */
function personsOf(cluster: PersonCluster): Record<string, number> {
  cluster.flush(0)
  const all = [...cluster.values()].map(([name, values]): [string, number] => {
    const [startMs, , period] = JSON.parse(name) as [number, string, string]
    return [`${startMs}+${period}`, values[2]!]
  })
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe.each([{ dimensions: [0, -2] }, { dimensions: [-2] }])('cohorts of a table by %o', (change) => {
  it('R10 lose a person to an earlier cohort when an earlier start comes late, and only what changes is corrected', () => {
    const cluster = new PersonCluster(personPlan(retention, { allowedLatenessMs: 100, ...change }), 1)
    cluster.apply([row('a', 21), row('b', 22), row('a', 35)])
    cluster.advance(80)
    expect(personsOf(cluster)).toEqual({ '20+0': 2, '20+1': 1, '20+2': 0 })
    cluster.takeResults()
    cluster.apply([row('a', 12)])
    expect(personsOf(cluster)).toEqual({ '10+0': 1, '10+1': 1, '10+2': 1, '20+0': 1, '20+1': 0, '20+2': 0 })
    expect(cluster.takeResults().map(({ name }) => (JSON.parse(name) as [number])[0])).toEqual([
      ...[20, 20, 20, 10, 10, 10],
    ])
  })

  it('R10 give a person to the next cohort when the first start is taken back', () => {
    const cluster = new PersonCluster(personPlan(retention, { allowedLatenessMs: 100, ...change }), 1)
    cluster.apply([row('a', 12), row('a', 21), row('a', 35)])
    expect(personsOf(cluster)).toEqual({ '10+0': 1, '10+1': 1, '10+2': 1 })
    cluster.apply([row('a', 12, -1)])
    expect(personsOf(cluster)).toEqual({ '20+0': 1, '20+1': 1, '20+2': 0 })
  })

  it('R11 take a late start for as long as a cohort may look back to it, and no return alone', () => {
    const cluster = new PersonCluster(personPlan(retention, change), 1)
    cluster.apply([row('a', 41)])
    cluster.advance(59)
    // Open from 40 on: the cohort of 30 is settled at 59.
    cluster.apply([{ ...row('a', 12), bits: 2 }])
    expect(cluster.late).toBe(1)
    cluster.apply([{ ...row('a', 12), bits: 1 }])
    expect([cluster.late, cluster.applied]).toEqual([1, 2])
    expect(personsOf(cluster)).toEqual({})
  })
})
