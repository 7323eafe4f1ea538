/** What an inspection says is what the views say, of every kind of table. */
import { describe, expect, it } from 'vitest'
import { inspectSavepoint } from '../../src/savepoint/inspect.ts'
import type { TableInspection } from '../../src/savepoint/inspection.ts'
import { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import { jobOf, simulate, topicOf, viewsOf } from './support.ts'

async function inspected(wish: { table?: string; keys?: number } = {}) {
  const savepoints = new MemorySavepoints()
  const simulation = simulate(3, topicOf(3, 4000), savepoints)
  await simulation.submit(jobOf({ bounded: false, persons: true }))
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.scheduler.runFor(1000)
  await simulation.settle(simulation.jobSavepoints.trigger('shop', 'all'))
  const views = await viewsOf(simulation, 'shop', 10)
  await simulation.close()
  const reader = await savepoints.open({ job: 'shop', name: 'all' })
  return { views, inspection: await inspectSavepoint(reader, { table: wish.table ?? null, keys: wish.keys ?? 1e6 }) }
}

/** Rows of results as views name them, for a column. */
function rowsOf(table: TableInspection, metric: number, column: string): Map<string, unknown> {
  const shown = table.samples.filter(({ status, values }) => status !== 'pane' && values[column] !== 0)
  return new Map(shown.map(({ key, startMs, values }) => [`${metric}|${startMs}|${key.join('|')}`, values[column]]))
}

/** A step that nobody has reached has a value, 0. */
const withSomething = (views: ReadonlyMap<string, number>) => new Map([...views].filter(([, value]) => value !== 0))

describe('inspection', () => {
  it('says what the views say', async () => {
    const { views, inspection } = await inspected()
    const table = (operator: string, part: string): TableInspection =>
      inspection.tables.find((one) => one.operator === operator && one.table.includes(part))!
    const ofMetric = (metric: number) => new Map([...views].filter(([key]) => key.startsWith(`${metric}|`)))
    const platform = table('merge', 'platform|tumbling')
    expect(rowsOf(platform, 0, 'views.count')).toEqual(ofMetric(0))
    expect(rowsOf(table('merge', 'total|tumbling'), 1, 'users.distinct')).toEqual(ofMetric(1))
    expect(rowsOf(table('window', 'person+platform|tumbling'), 2, 'spent.sum')).toEqual(ofMetric(2))
    expect(rowsOf(table('window', 'person|session'), 3, 'visits.count')).toEqual(ofMetric(3))
    expect(rowsOf(table('window', 'person|global'), 7, 'ever.count')).toEqual(ofMetric(7))
    expect(
      platform.samples.every(({ values }) => (values['median.quantiles'] as { sketchBytes: number }).sketchBytes > 0),
    ).toBe(true)
    expect(platform.sketchBytes).toBeGreaterThan(0)
    const people = table('window', 'person|global')
    expect(people).toMatchObject({ keys: 200, openRows: 200, kind: 'results', dimensions: ['person'] })
    expect(people.spread).toMatchObject({ groups: 128, mean: 200 / 128 })
    expect(table('window', 'person+platform|tumbling').keys).toBe(400)
    expect(table('window', 'total|tumbling')).toMatchObject({ kind: 'partials' })
    expect(table('window', 'total|tumbling').members).toBeGreaterThan(100)
    // Of metrics about persons: who they are, and their events.
    expect(rowsOf(table('merge', 'platform|funnel'), 8, 'steps.count.3')).toEqual(withSomething(ofMetric(8)))
    expect(table('window', 'platform|funnel')).toMatchObject({ keys: 200, openRows: 200, kind: 'partials' })
    expect(table('window', 'platform|funnel').members).toBeGreaterThan(1000)
    expect(table('window', 'total|lifecycle')).toMatchObject({ keys: 200, openRows: 200 })
  })

  it('says where the job was', async () => {
    const { inspection } = await inspected({ keys: 2 })
    expect(inspection.positions.map(({ partition, offset }) => [partition, offset])).toEqual(
      [0, 1, 2, 3, 4].map((partition) => [partition, 800]),
    )
    expect(inspection.operators.map(({ id, parallelism }) => [id, parallelism])).toEqual([
      ['events', 3],
      ['window', 3],
      ['merge', 3],
    ])
    expect(inspection.savepoint.checkpoint.counters).toMatchObject({ read: 4000, applied: 4000 })
    for (const table of inspection.tables) expect(table.samples.length).toBeLessThanOrEqual(2)
  })

  it('looks at one table where one is named, and refuses one that is not there', async () => {
    const { inspection } = await inspected({ table: 'window' })
    expect(new Set(inspection.tables.map(({ operator }) => operator))).toEqual(new Set(['window']))
    await expect(inspected({ table: 'nothing' })).rejects.toThrow(/no state "nothing"; there is window\//)
  })
})
