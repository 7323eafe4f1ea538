import { describe, expect, it } from 'vitest'
import { chunksOf, decodeManifest } from '../../src/checkpoint/manifest.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { setUpJob, TOTAL } from './support/job.ts'
import { makeDefinition } from './support/world.ts'

describe('JobCoordinator, checkpoints', () => {
  it('fails the job beyond the tolerable failures, and restarts it', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    await t.reach('RESTARTING')
    expect(t.job.status.error?.code).toBe('CHECKPOINT_FAILED')
    t.workers.threads[0]!.script.decline = undefined
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('bears as many failures as the definition says', async () => {
    const checkpoint = { ...makeDefinition().checkpoint, tolerableFailures: 3 }
    const t = setUpJob({ definition: { checkpoint } })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    await t.scheduler.runUntil(() => t.job.history.failed === 3)
    t.workers.threads[0]!.script.decline = undefined
    await t.reach('FINISHED')
    expect(t.job.status.restarts).toBe(0)
  })

  it('times out a checkpoint that is not answered', async () => {
    const t = setUpJob({
      definition: { checkpoint: { everyMs: 100, retain: 1, timeoutMs: 500, tolerableFailures: 0 } },
    })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[1]!.script.dropAcks = true
    await t.reach('RESTARTING')
    expect(t.job.status.reason).toMatch(/expired: no ack from events\/0, window\/0 within 500 ms/)
  })

  it('stays up and serves while the store is away, and checkpoints again when it is back', async () => {
    const t = setUpJob({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const { completed } = t.job.history
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    await t.scheduler.runFor(60_000)
    expect(t.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
    expect(t.job.history.failed).toBeGreaterThan(5)
    expect(t.job.history.completed).toBe(completed)
    t.data.fault = undefined
    await t.scheduler.runUntil(() => t.job.history.completed > completed)
    expect(t.job.status.restarts).toBe(0)
  })

  it('makes one on request, that begins after the request', async () => {
    const t = setUpJob({ definition: { checkpoint: { everyMs: 0, retain: 1, timeoutMs: 5000, tolerableFailures: 0 } } })
    await expect(t.job.checkpoint()).rejects.toMatchObject({ code: 'JOB_STATE' })
    t.job.submit('test')
    await t.reach('RUNNING')
    const ids: number[] = []
    void t.job.checkpoint().then((record) => ids.push(record.id))
    void t.job.checkpoint().then((record) => ids.push(record.id))
    void t.job.checkpoint().then((record) => ids.push(record.id))
    await t.scheduler.runUntil(() => ids.length === 3)
    // The first began at once; the others began later than they were asked for, together.
    expect(ids).toEqual([1, 2, 2])
  })

  it('rejects a request when the job fails meanwhile', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.dropAcks = true
    let error: unknown
    t.job.checkpoint().catch((thrown: unknown) => (error = thrown))
    t.workers.threads[1]?.die('test')
    await t.scheduler.runUntil(() => error !== undefined)
    expect((error as MillraceError).code).toMatch(/CANCELLED|CHECKPOINT_FAILED/)
  })

  it('deletes chunks that no checkpoint refers to any more', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('FINISHED')
    await t.scheduler.runFor(100)
    const held = await t.store.listCheckpoints('engagement')
    expect(held).toHaveLength(2)
    const needed = new Set<string>()
    for (const id of held) {
      const manifest = decodeManifest((await t.store.readManifest('engagement', id))!, 'test')
      for (const chunk of chunksOf(manifest)) needed.add(chunk.key)
    }
    expect([...(await t.store.listChunks('engagement'))].sort()).toEqual([...needed].sort())
  })
})
