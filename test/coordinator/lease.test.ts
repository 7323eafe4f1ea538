import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { setUpJob, TOTAL } from './support/job.ts'
import { makeDefinition } from './support/world.ts'

describe('JobCoordinator, leases', () => {
  it('waits for another instance, says for which, and takes over when it is gone', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const other = setUpJob({ beside: t, instanceId: 'b' })
    other.job.submit('test')
    await t.scheduler.runFor(20_000)
    expect(other.job.status).toMatchObject({ state: 'STARTING', reason: 'waiting for the lease, held by a' })
    expect(other.job.heldBy).toBe('a')
    void t.job.close()
    await other.scheduler.runUntil(() => other.job.status.state === 'FINISHED')
    expect(other.workers.counted(1)).toBe(TOTAL)
    expect(other.job.restored).not.toBeNull()
  })

  it('is fenced by a later start of the same instance, and does not fight it', async () => {
    const t = setUpJob({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const later = setUpJob({ beside: t, definition: { source: { ...makeDefinition().source, bounded: false } } })
    later.job.submit('test')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('STORE_FENCED')
    expect(t.workers.hostedAttempts()).toEqual([])
    await t.scheduler.runFor(20_000)
    expect(later.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
  })

  it('writes everything again when the store has lost its data under it', async () => {
    const t = setUpJob({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    await t.store.swapJob('engagement', undefined, new Uint8Array([1]))
    const before = t.job.lastCheckpointId
    t.data.clear()
    await t.scheduler.runUntil(() => t.job.lastCheckpointId > before && t.data.jobs.has('engagement'))
    expect(t.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
    expect(await t.store.readJob('engagement')).toBeDefined()
    expect((await t.store.listCheckpoints('engagement')).every((id) => id > before)).toBe(true)
    // And a restart goes on from what was written.
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    expect(t.job.restored?.checkpointId).toBeGreaterThan(before)
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
  })

  it('fails when the store has lost its data while nothing was deployed', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    t.data.clear()
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('STORE_LOST')
  })
})
