import { describe, expect, it } from 'vitest'
import { setUpJob, TOTAL } from './support/job.ts'
import { makeDefinition } from './support/world.ts'

describe('JobCoordinator, when things go wrong and when it is left', () => {
  it('fails for good when its restart strategy allows no more, and says which', async () => {
    const t = setUpJob({ definition: { restart: { kind: 'fixedDelay', attempts: 1, delayMs: 100 } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.workers.threads[1]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    t.workers.threads[1]?.fail('BROKER_ERROR')
    await t.reach('FAILED')
    expect(t.job.status.reason).toMatch(/^BROKER_ERROR: .*; not started again: its restart strategy allows 1 attempts/)
    // Somebody has looked at it: the count begins anew.
    t.job.submit('again')
    await t.reach('RUNNING')
    t.workers.threads[1]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('hands records that it has failed on too often to the next attempt, until a checkpoint has passed them', async () => {
    const t = setUpJob({
      definition: { poison: { afterFailures: 2 }, source: { ...makeDefinition().source, bounded: false } },
    })
    const record = { partition: 1, offset: 5000 }
    const poison = () =>
      t.workers.threads.flatMap((thread) => [...thread.hosted.values()]).map((hosted) => hosted.deploy.poison)
    t.job.submit('test')
    for (const expected of [[], [], [record]]) {
      await t.reach('RUNNING')
      expect(poison().every((list) => list.length === expected.length)).toBe(true)
      expect(poison()[0]).toMatchObject(expected)
      if (expected.length > 0) break
      t.workers.threads[1]?.fail('JOB_CODE_FAILED', 'window', record)
      await t.reach('RESTARTING')
    }
    expect(t.lines.filter((line) => line.includes('has failed 2 times on one record'))).toHaveLength(1)
    t.workers.ends.set(1, 6000)
    await t.scheduler.runUntil(() => t.topic.commits.some(({ offsets }) => offsets[1] === 6000))
    t.workers.threads[1]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    expect(poison()[0]).toEqual([])
  })

  it('left for another process with time to spare, it makes a last checkpoint first', async () => {
    const t = setUpJob({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
    const closing = t.job.close(1000)
    await t.scheduler.runUntil(() => t.job.ownsLease === false)
    await closing
    expect(t.lines.at(-1)).toBe(`info job engagement is left with checkpoint ${t.job.lastCheckpointId}`)
    const next = setUpJob({ beside: t, definition: { source: { ...makeDefinition().source, bounded: false } } })
    next.job.submit('again')
    await next.reach('RUNNING')
    expect(next.job.restored?.checkpointId).toBe(t.job.lastCheckpointId)
  })

  it('left while its store is away, it is given up in time, and says so', async () => {
    const t = setUpJob({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.reach('RUNNING')
    for (const thread of t.workers.threads) if (thread !== undefined) thread.script.silent = true
    let closed = false
    void t.job.close(1000).then(() => {
      closed = true
    })
    await t.scheduler.runFor(900)
    expect(closed).toBe(false)
    await t.scheduler.runFor(100_000)
    expect(closed).toBe(true)
    expect(t.lines.some((line) => line.includes('is left without a last checkpoint'))).toBe(true)
  })
})
