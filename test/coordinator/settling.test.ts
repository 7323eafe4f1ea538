/** Waiting for sinks: it ends with the attempt, and leaves no timer that would keep a process from ending. */
import { expect, it } from 'vitest'
import type { CheckpointRecord } from '../../src/coordinator/job-history.ts'
import { newOutboxStatus } from '../../src/coordinator/outbox-status.ts'
import { Settling } from '../../src/coordinator/settling.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

it('limits those who come to wait long after it was told to, as a job that drains does', async () => {
  const scheduler = new ManualScheduler(new ManualClock())
  const status = newOutboxStatus()
  const settling = new Settling(scheduler, status)
  settling.limit(30_000)
  await scheduler.runFor(100_000)
  const waiting = expect(settling.wait(1)).rejects.toThrow(/sinks have not applied .* within 30000 ms/)
  settling.completed({ id: 1 } as CheckpointRecord)
  await scheduler.runFor(60_000)
  await waiting
  settling.rejectAll(new MillraceError('CANCELLED', 'the attempt is over'))
})

it('lets go of its timer when the attempt is over', async () => {
  const timers = new Set<() => void>()
  const scheduler = {
    after: (_: number, task: () => void) => {
      timers.add(task)
      return () => void timers.delete(task)
    },
    soon: () => () => {},
  }
  const settling = new Settling(scheduler, { owed: [], held: false } as never)
  const waiting = settling.wait(1)
  settling.limit(30_000)
  settling.limit(10_000)
  expect(timers.size).toBe(1)
  settling.rejectAll(new MillraceError('CANCELLED', 'the attempt is over'))
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(timers.size).toBe(0)
})
