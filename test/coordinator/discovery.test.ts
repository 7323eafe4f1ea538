import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { setUpJob, TOTAL } from './support/job.ts'
import { makeDefinition } from './support/world.ts'

describe('JobCoordinator, partition discovery', () => {
  const unbounded = { source: { ...makeDefinition().source, bounded: false } }

  it('reads partitions that are added, from their first record, also after a restart', async () => {
    const t = setUpJob({ definition: unbounded })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
    t.workers.ends.set(3, 500)
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL + 500)
    expect(t.job.status.restarts).toBe(0)
    await t.scheduler.runFor(500)
    t.workers.ends.set(4, 50)
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL + 550)
  })

  it('reads partitions that a topic of the embedded log gains', async () => {
    const input = { kind: 'log', path: '/log', topic: 'events' } as const
    const t = setUpJob({ definition: { source: { ...unbounded.source, input } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
    t.workers.ends.set(3, 500)
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL + 500)
    expect(t.job.status.restarts).toBe(0)
  })

  it('stops when the topic is re-created, and not when the broker is away', async () => {
    const t = setUpJob({ definition: unbounded })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    await t.scheduler.runFor(30_000)
    expect(t.job.status.state).toBe('RUNNING')
    t.topic.failure = undefined
    t.topic.topicId = 'topic-2'
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('TOPIC_RECREATED')
  })
})
