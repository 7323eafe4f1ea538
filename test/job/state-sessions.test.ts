/** State of sessions under another definition. */
import { describe, expect, it } from 'vitest'
import { diffState, refusalOf, type StateDiff } from '../../src/job/state-diff.ts'
import { describeState } from '../../src/job/state-identity.ts'
import { type MetricText, metricYaml, planOf } from './state-support.ts'

const plan = (metrics: readonly MetricText[]) => planOf(metrics.map(metricYaml).join(''))
const refusal = (diff: StateDiff, names: readonly string[] = []) => refusalOf(diff, names, 'checkpoint 7 of job j')

describe('sessions', () => {
  const session = (id: string, kind: string, retain: string): MetricText => {
    return { id, kind, where: '', by: 'person', window: '{ session: 5m }', late: '', retain }
  }
  const count = (retain: string) => session('visits', 'count: {}', retain)
  const sum = (retain: string) => session('spent', 'sum: { field: revenue_minor }', retain)

  it('go on from one table: those of two of the same keys would overlap', () => {
    // That of spent has what both metrics need.
    const held = describeState(plan([count('90d'), sum('1d')]))
    expect(held.tables).toHaveLength(2)
    const diff = diffState(held, describeState(plan([count('90d'), sum('90d')])))
    expect(diff.tables.map(({ sources }) => sources.length)).toEqual([1])
    expect(refusal(diff)?.message).toMatch(/metric visits: .*sessions/)
    expect(refusal(diff, ['visits'])).toBeNull()
  })
})
