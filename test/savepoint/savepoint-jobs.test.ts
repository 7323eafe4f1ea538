/** Savepoints of whole jobs, with the real data plane in virtual time: what begins from one ends as if nothing had been. */
import { describe, expect, it } from 'vitest'
import { decodeMeta } from '../../src/operator/table-snapshot.ts'
import { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import type { SavepointEntry } from '../../src/savepoint/store.ts'
import type { Simulation } from '../../src/testing/simulation.ts'
import { jobOf, simulate, topicInParts, topicOf, viewsOf } from './support.ts'

const EVENTS = 8000
const from = (savepoint: string) => ({ savepoint, claim: false, dropState: [] })

async function whole(seed: number): Promise<Map<string, number>> {
  const simulation = simulate(seed, topicOf(seed, EVENTS))
  await simulation.submit(jobOf())
  await simulation.runUntilState('shop', 'FINISHED')
  const values = await viewsOf(simulation)
  await simulation.close()
  return values
}

/** A job in the middle of its events: some are counted, some have just come. */
async function started(seed: number, savepoints: MemorySavepoints): Promise<Simulation> {
  const { topic, append } = topicInParts(seed, EVENTS)
  append(0.6)
  const simulation = simulate(seed, topic, savepoints)
  await simulation.submit(jobOf({ bounded: false }))
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.scheduler.runFor(300)
  append(1)
  return simulation
}

describe('savepoints of whole jobs', () => {
  it.each([1, 2, 3])('a job goes on while one is made, and others begin from it (seed %i)', async (seed) => {
    const expected = await whole(seed)
    const savepoints = new MemorySavepoints()
    const first = await started(seed, savepoints)
    const made = await first.settle(first.jobSavepoints.trigger('shop', 'middle'))
    expect(made.savepoint?.checkpoint.counters.read).toBeGreaterThan(0)
    expect(made.savepoint?.checkpoint.counters.read).toBeLessThan(EVENTS)
    await first.scheduler.runFor(1000)
    expect(await viewsOf(first)).toEqual(expected)
    await first.close()
    for (const [name, parallelism, workers] of [
      ['shop', 3, 2],
      ['other', 2, 3],
      ['wide', 5, 2],
    ] as const) {
      const next = simulate(seed + 100, topicOf(seed, EVENTS), savepoints, workers)
      await next.submit(jobOf({ name, parallelism }), from('shop/middle'))
      await next.runUntilState(name, 'FINISHED')
      expect(next.trace.some((line) => /RUNNING: restored from checkpoint 1/.test(line))).toBe(true)
      expect(await viewsOf(next, name)).toEqual(expected)
      await next.close()
    }
  })

  it('a stop with a savepoint ends at it, and it is durable when the stop answers', async () => {
    const savepoints = new MemorySavepoints()
    const first = await started(7, savepoints)
    const stopped = await first.settle(first.jobSavepoints.stop('shop', { savepoint: 'last', drain: false }))
    expect(first.status('shop').state).toBe('SUSPENDED')
    expect(stopped.savepoint).toMatchObject({ job: 'shop', name: 'last', problem: '' })
    expect(stopped.savepoint?.savepoint?.checkpoint.checkpointId).toBe(stopped.checkpointId)
    // The job itself goes on from its own checkpoint too.
    await first.submit(jobOf({ parallelism: 2 }))
    await first.runUntilState('shop', 'FINISHED')
    const expected = await whole(7)
    expect(await viewsOf(first)).toEqual(expected)
    await first.close()
    const next = simulate(8, topicOf(7, EVENTS), savepoints)
    await next.submit(jobOf({ parallelism: 1 }), from('last'))
    await next.runUntilState('shop', 'FINISHED')
    expect(await viewsOf(next)).toEqual(expected)
    await next.close()
  })

  it('leaves out what is named, and nothing else', async () => {
    const savepoints = new MemorySavepoints()
    const first = await started(11, savepoints)
    await first.settle(first.jobSavepoints.stop('shop', { savepoint: 'last', drain: false }))
    await first.close()
    const expected = [...(await whole(11))].filter(([key]) => !key.startsWith('0|'))
    const changed = jobOf()
    const without = { ...changed, metrics: changed.metrics.filter(({ id }) => id !== 'views') }
    const next = simulate(12, topicOf(11, EVENTS), savepoints)
    const wish = (...dropState: string[]) => ({ ...from('last'), dropState })
    await expect(next.submit(without, wish())).rejects.toThrow(
      /savepoint shop\/last does not fit the job: metric views/,
    )
    await expect(next.submit(without, wish('users'))).rejects.toThrow(/nothing would be dropped that is named users/)
    await next.submit(without, wish('views'))
    await next.runUntilState('shop', 'FINISHED')
    const got = [...(await viewsOf(next))].map(
      ([key, value]) => [`${Number(key[0]) + 1}${key.slice(1)}`, value] as const,
    )
    expect(new Map(got)).toEqual(new Map(expected))
    await next.close()
  })

  it('says what tables are by what is deployed, also after a change', async () => {
    const first = await started(13, new MemorySavepoints())
    const changed = jobOf({ bounded: false })
    const views = changed.metrics.find(({ id }) => id === 'views')!
    const more = { ...changed, metrics: [{ ...views, id: 'all', where: null }, ...changed.metrics] }
    const upgrade = (definition: typeof changed) =>
      first.settle(first.manager.upgrade({ definition, text: '', schema: null }, { dropState: [], dryRun: false }))
    expect((await upgrade(more)).record?.outcome).toBe('done')
    const check = ({ savepoint }: SavepointEntry) => {
      const columns = new Map(savepoint!.tables.map((table) => [table.id, table.columns.map(({ kind }) => kind)]))
      for (const { meta, operatorId } of savepoint!.checkpoint.subtasks) {
        if (operatorId === 'events') continue
        for (const [id, { descriptor }] of Object.entries(decodeMeta(meta).tables))
          expect([id, columns.get(id)]).toEqual([id, descriptor!.accumulators.map(({ kind }) => kind)])
      }
      const table = savepoint!.tables.find(({ columns }) => columns.some(({ metrics }) => metrics.includes('all')))
      expect(table?.columns.flatMap(({ metrics }) => metrics)).toContain('views')
    }
    check(await first.settle(first.jobSavepoints.trigger('shop', 'running')))
    await first.settle(first.manager.stop('shop'))
    check(await first.settle(first.jobSavepoints.trigger('shop', 'resting')))
    await upgrade({ ...more, metrics: more.metrics.toReversed() })
    await expect(first.jobSavepoints.trigger('shop', 'changed')).rejects.toThrow(/before the job was changed/)
    await first.close()
  })

  it('draining fires every window, and nothing goes on from there', async () => {
    const savepoints = new MemorySavepoints()
    const first = await started(9, savepoints)
    const { savepoint, checkpointId } = await first.settle(
      first.jobSavepoints.stop('shop', { savepoint: 'end', drain: true }),
    )
    expect(savepoint?.savepoint).toMatchObject({ drained: true, reason: 'drain' })
    const { checkpoint } = savepoint!.savepoint!
    expect(checkpoint.checkpointId).toBe(checkpointId)
    const keyed = checkpoint.subtasks.filter(({ operatorId }) => operatorId !== 'events')
    expect(keyed.map(({ watermarkMs }) => watermarkMs)).toEqual(keyed.map(() => Infinity))
    expect(checkpoint.counters.read).toBeLessThan(EVENTS)
    // Nothing is open any more: all that is left of event-time windows is history.
    const sequences = keyed.flatMap(({ pages }) => pages.tables).filter((table) => !table.startsWith('person|global'))
    expect(sequences.filter((table) => !/\/(history|sessions)\//.test(table))).toEqual([])
    await expect(first.submit(jobOf({ bounded: false }), from('end'))).rejects.toThrow(/made by draining/)
    await first.submit(jobOf({ bounded: false }))
    await first.runUntilState('shop', 'FAILED')
    expect(first.status('shop').error?.code).toBe('STATE_INCOMPATIBLE')
    await first.close()
  })

  it('what has finished or rests can be kept too', async () => {
    const savepoints = new MemorySavepoints()
    const first = await started(5, savepoints)
    await first.settle(first.jobSavepoints.stop('shop', { savepoint: null, drain: false }))
    await first.submit(jobOf())
    await first.runUntilState('shop', 'FINISHED')
    const expected = await viewsOf(first)
    await first.settle(first.jobSavepoints.trigger('shop', 'finished'))
    await first.settle(first.jobSavepoints.stop('shop', { savepoint: 'stopped', drain: true }))
    await first.settle(first.jobSavepoints.trigger('shop', 'resting'))
    await first.close()
    for (const name of ['finished', 'resting']) {
      const next = simulate(6, topicOf(5, EVENTS), savepoints)
      await next.submit(jobOf({ parallelism: 2 }), from(name))
      await next.runUntilState('shop', 'FINISHED')
      expect(await viewsOf(next)).toEqual(expected)
      await next.close()
    }
  })
})
