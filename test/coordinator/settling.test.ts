/** Waiting for sinks: it ends with the attempt, and leaves no timer that would keep a process from ending. */
import { expect, it } from 'vitest'
import { Settling } from '../../src/coordinator/settling.ts'
import { MillraceError } from '../../src/core/errors.ts'

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
