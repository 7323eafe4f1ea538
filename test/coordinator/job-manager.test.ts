import { describe, expect, it } from 'vitest'
import { JobManager } from '../../src/coordinator/job-manager.ts'
import { decodeStoredJob } from '../../src/coordinator/stored-job.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type WorldOptions } from './support/world.ts'

const TOTAL = 3200
const unbounded = { ...makeDefinition().source, bounded: false }

function setUp(options: WorldOptions = {}) {
  const world = makeWorld(options)
  const planJob = (definition: JobDefinition) => {
    if (definition.name === 'unplannable') throw new MillraceError('JOB_INVALID', 'no longer fits')
    // As a server does that fills in its own settings.
    return makePlan({ ...definition, stateLimitBytes: definition.stateLimitBytes + 1 })
  }
  const manager = new JobManager({ ports: world.ports, planJob, settings: quickSettings })
  /** Drives virtual time until a promise settles. */
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    await world.scheduler.runUntil(() => settled, 'a promise')
    return promise
  }
  const reach = (name: string, state: string) =>
    world.scheduler.runUntil(() => manager.job(name).coordinator.status.state === state, `${name} to be ${state}`)
  const stored = async (name: string) => decodeStoredJob(name, (await world.store.readJob(name))!)
  return { ...world, manager, settle, reach, stored }
}

async function started(options: WorldOptions = {}) {
  const t = setUp(options)
  await t.settle(t.manager.recover())
  return t
}

describe('JobManager', () => {
  it('stores a job before it runs it', async () => {
    const t = await started()
    const job = await t.settle(t.manager.submit(makeDefinition(), 'text of the job'))
    expect(await t.stored('engagement')).toMatchObject({
      wanted: 'running',
      text: 'text of the job',
      jobId: job.stored.jobId,
    })
    await t.reach('engagement', 'FINISHED')
    expect(t.manager.jobs().map((one) => one.coordinator.name)).toEqual(['engagement'])
  })

  it('does not run what it cannot store', async () => {
    const t = await started()
    t.data.fault = (operation) => {
      if (operation === 'swapJob') throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    await expect(t.settle(t.manager.submit(makeDefinition(), ''))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect(t.manager.jobs()).toEqual([])
  })

  it('takes the same definition again, and refuses another one while the job runs', async () => {
    const t = await started()
    const [first, second] = await t.settle(
      Promise.all([t.manager.submit(makeDefinition(), ''), t.manager.submit(makeDefinition(), '')]),
    )
    expect(second).toBe(first)
    const reordered = Object.fromEntries(Object.entries(makeDefinition()).reverse()) as unknown as JobDefinition
    expect(await t.settle(t.manager.submit(reordered, ''))).toBe(first)
    const other = makeDefinition({ parallelism: 1 })
    await expect(t.settle(t.manager.submit(other, ''))).rejects.toMatchObject({ code: 'JOB_EXISTS' })
    await t.settle(t.manager.stop('engagement'))
    await t.settle(t.manager.submit(other, ''))
    await t.reach('engagement', 'FINISHED')
    expect(t.manager.job('engagement').coordinator.plan.parallelism).toBe(1)
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('names the jobs that there are when asked for one that is not', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition(), ''))
    await expect(t.manager.checkpoint('engagment')).rejects.toThrow(/no job "engagment": there are engagement/)
    await expect(t.manager.cancel('nobody')).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
  })

  it('stops with a checkpoint that the job goes on from', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), ''))
    await t.reach('engagement', 'RUNNING')
    const { checkpointId } = await t.settle(t.manager.stop('engagement'))
    expect(checkpointId).toBeGreaterThan(0)
    expect((await t.stored('engagement')).wanted).toBe('suspended')
    const listed = await t.settle(t.manager.checkpoints('engagement'))
    expect(listed[0]).toMatchObject({ id: checkpointId, failure: '' })
    await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), ''))
    await t.reach('engagement', 'RUNNING')
    expect(t.manager.job('engagement').coordinator.restored?.checkpointId).toBe(checkpointId)
  })

  it('says when it had to stop without a last checkpoint', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), ''))
    await t.reach('engagement', 'RUNNING')
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    await expect(t.settle(t.manager.stop('engagement'))).rejects.toMatchObject({
      code: 'CHECKPOINT_FAILED',
      message: expect.stringMatching(/has stopped without a last checkpoint and will go on (afresh|from checkpoint)/),
    })
    expect(t.manager.job('engagement').coordinator.status.state).toBe('SUSPENDED')
  })

  it('cancels for good: nothing of the state is left, and a new submission begins afresh', async () => {
    const t = await started()
    const first = (await t.settle(t.manager.submit(makeDefinition(), ''))).stored.jobId
    await t.scheduler.runUntil(() => t.manager.job('engagement').coordinator.history.completed >= 2)
    await t.settle(t.manager.cancel('engagement'))
    expect(await t.store.listCheckpoints('engagement')).toEqual([])
    expect((await t.stored('engagement')).wanted).toBe('cancelled')
    await expect(t.settle(t.manager.stop('engagement'))).rejects.toMatchObject({ code: 'JOB_STATE' })
    expect((await t.stored('engagement')).wanted).toBe('cancelled')
    const again = await t.settle(t.manager.submit(makeDefinition(), ''))
    expect(again.stored.jobId).not.toBe(first)
    await t.reach('engagement', 'FINISHED')
    expect(again.coordinator.restored).toBeNull()
  })

  it('brings jobs back as they were wanted', async () => {
    const t = await started()
    for (const name of ['finished', 'running', 'stopped', 'cancelled', 'failed']) {
      const source = name === 'finished' ? makeDefinition().source : unbounded
      await t.settle(t.manager.submit(makeDefinition({ name, source }), name))
    }
    await t.reach('finished', 'FINISHED')
    await t.reach('running', 'RUNNING')
    await t.settle(t.manager.stop('stopped'))
    await t.settle(t.manager.cancel('cancelled'))
    const failing = t.manager.job('failed').coordinator.number
    const at = t.workers.threads.find((thread) =>
      [...thread.hosted.keys()].some((key) => key.startsWith(`${failing}/`)),
    )
    const error = new MillraceError('STATE_LIMIT', 'too much state').toData()
    at?.say({ type: 'failed', job: failing, attempt: 1, thread: at.thread, operator: 'window', subtask: 0, error })
    await t.reach('failed', 'FAILED')
    await t.scheduler.runUntil(() => t.manager.job('failed').stored.wanted === 'failed')
    await t.settle(t.manager.close())

    const next = await started({ beside: t })
    const states = () => next.manager.jobs().map(({ coordinator }) => [coordinator.name, coordinator.status.state])
    await next.scheduler.runUntil(() => states().some(([name, state]) => name === 'finished' && state === 'FINISHED'))
    await next.reach('running', 'RUNNING')
    expect(Object.fromEntries(states())).toEqual({
      cancelled: 'CANCELLED',
      failed: 'FAILED',
      finished: 'FINISHED',
      running: 'RUNNING',
      stopped: 'SUSPENDED',
    })
    expect(next.manager.job('failed').coordinator.status.error?.code).toBe('STATE_LIMIT')
    expect(next.manager.job('running').coordinator.restored).not.toBeNull()
    // A failed job may be tried again.
    await next.settle(next.manager.submit(makeDefinition({ name: 'failed', source: unbounded }), 'failed'))
    await next.reach('failed', 'RUNNING')
  })

  it('waits for a store that is away at process start, and says so meanwhile', async () => {
    const t = setUp()
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store at all')
    }
    const recovery = t.manager.recover()
    await t.scheduler.runFor(5000)
    await expect(t.settle(t.manager.submit(makeDefinition(), ''))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('no store at all'),
    })
    expect(t.manager.recovered).toBe(false)
    t.data.fault = undefined
    await t.settle(recovery)
    expect(t.manager.recovered).toBe(true)
    await t.settle(t.manager.submit(makeDefinition(), ''))
  })

  it('recovers the others when one job cannot be read or planned', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition(), ''))
    await t.settle(t.manager.close())
    await t.store.swapJob('damaged', undefined, new TextEncoder().encode('{'))
    await t.store.swapJob('future', undefined, new TextEncoder().encode('{"version":2}'))
    const bytes = new TextDecoder().decode(await t.store.readJob('engagement'))
    await t.store.swapJob(
      'unplannable',
      undefined,
      new TextEncoder().encode(bytes.replaceAll('engagement', 'unplannable')),
    )
    const next = await started({ beside: t })
    await next.reach('engagement', 'FINISHED')
    expect(next.manager.jobs()).toHaveLength(1)
    expect(next.lines.filter((line) => line.includes('cannot be recovered'))).toHaveLength(3)
  })

  it('keeps jobs apart: one fails for good, the other goes on', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition({ name: 'a', source: unbounded }), ''))
    await t.settle(t.manager.submit(makeDefinition({ name: 'b', source: unbounded }), ''))
    await t.reach('a', 'RUNNING')
    await t.reach('b', 'RUNNING')
    const { number } = t.manager.job('a').coordinator
    const error = new MillraceError('STATE_LIMIT', 'too much state').toData()
    t.workers.threads[0]?.say({
      type: 'failed',
      job: number,
      attempt: 1,
      thread: 0,
      operator: 'window',
      subtask: 0,
      error,
    })
    await t.reach('a', 'FAILED')
    await t.scheduler.runUntil(() => t.workers.counted(t.manager.job('b').coordinator.number) === TOTAL)
    expect(t.manager.job('b').coordinator.status).toMatchObject({ state: 'RUNNING', restarts: 0, attempt: 1 })
  })

  it('restarts all jobs of a thread that is lost, each by itself', async () => {
    const t = await started()
    for (const name of ['a', 'b']) await t.settle(t.manager.submit(makeDefinition({ name, source: unbounded }), ''))
    await t.reach('a', 'RUNNING')
    await t.reach('b', 'RUNNING')
    t.workers.threads[1]?.die('test')
    await t.scheduler.runUntil(() => t.manager.jobs().every((job) => job.coordinator.status.attempt === 2))
    await t.reach('a', 'RUNNING')
    await t.reach('b', 'RUNNING')
    for (const name of ['a', 'b']) {
      const { number } = t.manager.job(name).coordinator
      await t.scheduler.runUntil(() => t.workers.counted(number) === TOTAL)
    }
  })

  it('does not touch what another process owns', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), ''))
    await t.reach('engagement', 'RUNNING')
    const other = await started({ beside: t, instanceId: 'b' })
    await other.scheduler.runUntil(() => other.manager.job('engagement').coordinator.heldBy === 'a')
    await expect(other.settle(other.manager.cancel('engagement'))).rejects.toThrow(
      /a owns job engagement now: cancel it there/,
    )
    expect((await t.stored('engagement')).wanted).toBe('running')
    await t.scheduler.runFor(5000)
    expect(t.manager.job('engagement').coordinator.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
  })

  it('stores its jobs again when the store has lost them', async () => {
    const t = await started()
    await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), 'text'))
    await t.scheduler.runUntil(() => t.manager.job('engagement').coordinator.history.completed >= 2)
    t.data.clear()
    await t.scheduler.runUntil(() => t.data.jobs.get('engagement')?.definition !== undefined)
    expect(await t.stored('engagement')).toMatchObject({ wanted: 'running', text: 'text' })
    expect(t.manager.job('engagement').coordinator.status.state).toBe('RUNNING')
  })

  it('collects statistics by the poll', async () => {
    const t = await started()
    const job = await t.settle(t.manager.submit(makeDefinition({ source: unbounded }), ''))
    await t.scheduler.runUntil(() => t.manager.statsOf(job).reduce((sum, one) => sum + one.stats.read, 0) === TOTAL)
    expect(t.manager.statsOf(job).map((one) => one.stats.subtask)).toEqual([0, 1])
  })
})
