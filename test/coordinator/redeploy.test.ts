/** Rescaling and upgrading jobs: in whatever state they are, whoever owns them, and over crashes. */
import { describe, expect, it } from 'vitest'
import { JobManager } from '../../src/coordinator/job-manager.ts'
import { decodeStoredJob } from '../../src/coordinator/stored-job.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type WorldOptions } from './support/world.ts'

const unbounded = { ...makeDefinition().source, bounded: false }
const job = makeDefinition({ source: unbounded })

async function server(options: WorldOptions = {}) {
  const world = makeWorld(options)
  const manager = new JobManager({ ports: world.ports, planJob: (d) => makePlan(d), settings: quickSettings })
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false
    const mark = (): void => {
      done = true
    }
    promise.then(mark, mark)
    await world.scheduler.runUntil(() => done, 'a promise')
    return promise
  }
  const coordinator = () => manager.job('engagement').coordinator
  const reach = (state: string) => world.scheduler.runUntil(() => coordinator().status.state === state, state)
  const stored = async () => decodeStoredJob('engagement', (await world.store.readJob('engagement'))!)
  await settle(manager.recover())
  return { ...world, manager, settle, coordinator, reach, stored }
}

async function running(definition = job) {
  const t = await server()
  await t.settle(t.manager.submit(definition, ''))
  await t.reach('RUNNING')
  await t.scheduler.runUntil(() => t.coordinator().history.completed >= 1)
  return t
}

describe('a job that is rescaled', () => {
  it('goes on from a last checkpoint, with nothing lost or twice, and says how it went', async () => {
    const t = await running()
    const before = t.coordinator().lastCheckpointId
    const record = await t.settle(t.manager.rescale('engagement', 3))
    expect(record).toMatchObject({ kind: 'rescale', from: 2, to: 3, outcome: 'done', detail: '' })
    expect(record!.checkpointId).toBeGreaterThan(before)
    expect(t.coordinator().restored?.checkpointId).toBe(record!.checkpointId)
    expect(record!.runningAtMs).toBeGreaterThanOrEqual(record!.stoppedAtMs)
    expect(record!.stoppedAtMs).toBeGreaterThanOrEqual(record!.barrierAtMs)
    await t.settle(t.manager.rescale('engagement', 1))
    await t.scheduler.runUntil(() => t.workers.counted(1) === 3200, 'all counted')
    expect(t.coordinator().plan.parallelism).toBe(1)
    await t.settle(t.manager.checkpoint('engagement'))
    expect((await t.stored()).redeploys?.map(({ from, to, outcome }) => [from, to, outcome])).toEqual([
      [3, 1, 'done'],
      [2, 3, 'done'],
    ])
  })

  it('is left alone when it has that parallelism, and refused above its key groups', async () => {
    const t = await running()
    const { attempt } = t.coordinator().status
    expect(await t.settle(t.manager.rescale('engagement', 2))).toBeNull()
    for (const n of [0, 129, 1.5]) {
      await expect(t.settle(t.manager.rescale('engagement', n))).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringMatching(/1 to 128 subtasks of each operator, one for each of its key groups/),
      })
    }
    expect(t.coordinator().status.attempt).toBe(attempt)
    expect((await t.stored()).redeploys).toBeUndefined()
  })

  it('is rescaled to the last of two that are asked for', async () => {
    const t = await running()
    const [first, second] = await t.settle(
      Promise.all([t.manager.rescale('engagement', 3), t.manager.rescale('engagement', 4)]),
    )
    expect([first?.outcome, second?.outcome]).toEqual(['superseded', 'done'])
    expect(t.coordinator().plan.parallelism).toBe(4)
    await t.settle(t.manager.stop('engagement'))
    expect((await t.stored()).redeploys?.map(({ outcome }) => outcome)).toEqual(['done', 'superseded'])
  })

  it('goes on so when it next starts, where it is stopped or being restarted', async () => {
    const t = await running()
    await t.settle(t.manager.stop('engagement'))
    expect(await t.settle(t.manager.rescale('engagement', 3))).toMatchObject({ outcome: 'pending' })
    expect(t.coordinator().status.state).toBe('SUSPENDED')
    await t.settle(t.manager.submit(job, ''))
    await t.reach('RUNNING')
    expect(t.coordinator().plan.parallelism).toBe(3)
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    t.workers.threads[1]?.die('test')
    await t.reach('RESTARTING')
    const asked = t.manager.rescale('engagement', 1)
    t.topic.failure = undefined
    expect(await t.settle(asked)).toMatchObject({ from: 3, to: 1, outcome: 'done', checkpointId: 0 })
    expect(t.coordinator().plan.parallelism).toBe(1)
  })

  it('is refused when it has finished, is stopping or cancelled', async () => {
    const t = await server()
    await t.settle(t.manager.submit(makeDefinition(), ''))
    await t.reach('FINISHED')
    await expect(t.settle(t.manager.rescale('engagement', 3))).rejects.toMatchObject({ code: 'JOB_STATE' })
    await t.settle(t.manager.cancel('engagement'))
    await expect(t.settle(t.manager.rescale('engagement', 3))).rejects.toMatchObject({ code: 'JOB_STATE' })
    await expect(t.settle(t.manager.rescale('nobody', 3))).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
  })

  it('is stopped by a stop, which the history says', async () => {
    const t = await running()
    const asked = t.manager.rescale('engagement', 3)
    const stop = t.manager.stop('engagement')
    await t.settle(Promise.allSettled([asked, stop]))
    expect(t.coordinator().status.state).toBe('SUSPENDED')
    expect(await asked).toMatchObject({ outcome: 'stopped' })
    await t.settle(t.manager.submit(job, ''))
    await t.reach('RUNNING')
    expect(t.coordinator().plan.parallelism).toBe(3)
  })

  it('is done by the next process when this one ends in between', async () => {
    const a = await running()
    const asked = a.manager.rescale('engagement', 3).catch(() => null)
    await a.reach('REDEPLOYING')
    const b = await server({ beside: a })
    await b.reach('RUNNING')
    expect(b.coordinator().plan.parallelism).toBe(3)
    await b.scheduler.runUntil(() => b.coordinator().redeploys.ended !== null)
    await b.settle(b.manager.checkpoint('engagement'))
    expect((await b.stored()).redeploys?.[0]).toMatchObject({ from: 2, to: 3, outcome: 'done' })
    void asked
  })

  it('is refused by a server that does not own it', async () => {
    const a = await running()
    const b = await server({ beside: a, instanceId: 'b' })
    await b.scheduler.runUntil(() => b.coordinator().heldBy !== '', 'waiting for the lease')
    await expect(b.settle(b.manager.rescale('engagement', 3))).rejects.toMatchObject({
      code: 'JOB_STATE',
      message: expect.stringMatching(/owns job engagement now: rescale it there/),
    })
  })
})

describe('a job that is upgraded', () => {
  const upgrade = (definition: typeof job) => ({ definition, schema: null, text: 'new text' })

  it('is compared without being changed, when only that is asked for', async () => {
    const t = await running()
    const other = { ...job, source: { ...unbounded, id: 'others' } }
    const { refusal, record, diff } = await t.settle(t.manager.upgrade(upgrade(other), { dropState: [], dryRun: true }))
    expect([refusal?.code, record]).toEqual(['STATE_INCOMPATIBLE', null])
    expect(diff.entries.map(({ change, name }) => `${change} ${name}`)).toEqual(['new others', 'dropped events'])
    expect(t.coordinator().status.state).toBe('RUNNING')
    await expect(t.settle(t.manager.upgrade(upgrade(other), { dropState: [], dryRun: false }))).rejects.toMatchObject({
      code: 'STATE_INCOMPATIBLE',
    })
    await expect(
      t.settle(t.manager.upgrade(upgrade(other), { dropState: ['events', 'evnts'], dryRun: false })),
    ).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringMatching(/named evnts/) })
    expect((await t.stored()).definition.source.id).toBe('events')
  })

  it('goes on with the definition, which is what it is from then on', async () => {
    const t = await running()
    const changed = { ...job, checkpoint: { ...job.checkpoint, everyMs: 50 }, parallelism: 3 }
    const { record } = await t.settle(t.manager.upgrade(upgrade(changed), { dropState: [], dryRun: false }))
    expect(record).toMatchObject({ kind: 'upgrade', from: 2, to: 3, outcome: 'done' })
    expect(await t.stored()).toMatchObject({ text: 'new text', definition: { parallelism: 3 }, wanted: 'running' })
    const again = await t.settle(t.manager.upgrade(upgrade(changed), { dropState: [], dryRun: false }))
    expect(again.record).toBeNull()
    expect(await t.settle(t.manager.submit(changed, ''))).toBe(t.manager.job('engagement'))
  })
})
