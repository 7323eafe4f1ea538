import { describe, expect, it } from 'vitest'
import { QueryRouter } from '../../src/coordinator/query-router.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import type { ToWorker } from '../../src/runtime/messages.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

const query: ViewQuery = { metric: 0, fromMs: 0, toMs: 1, filter: [], sinceChange: [], rowsMax: 10 }
const rows = (subtask: number) => ({ subtask }) as unknown as ViewRows

function make() {
  const scheduler = new ManualScheduler(new ManualClock())
  const sent: { thread: number; message: ToWorker }[] = []
  const router = new QueryRouter(scheduler, (thread, message) => sent.push({ thread, message }))
  const answer = (thread: number, request: number, subtasks: readonly number[]) =>
    router.answer({ type: 'queryResult', job: 1, attempt: 3, thread, request, rows: subtasks.map(rows) })
  const target = { job: 1, attempt: 3, threads: [0, 2] }
  return { scheduler, sent, router, answer, target }
}

describe('QueryRouter', () => {
  it('asks every thread once and puts the answers together by subtask', async () => {
    const { router, sent, answer, target } = make()
    const asked = router.ask(target, query, 1000)
    expect(sent.map(({ thread, message }) => [thread, message.type])).toEqual([
      [0, 'query'],
      [2, 'query'],
    ])
    answer(2, 1, [1])
    answer(2, 1, [9])
    answer(0, 1, [0, 2])
    expect((await asked).map((row) => row.subtask)).toEqual([0, 1, 2])
  })

  it('keeps requests apart', async () => {
    const { router, answer, target } = make()
    const first = router.ask(target, query, 1000)
    const second = router.ask({ ...target, threads: [0] }, query, 1000)
    answer(0, 2, [7])
    answer(0, 1, [0])
    answer(2, 1, [1])
    expect((await second).map((row) => row.subtask)).toEqual([7])
    expect((await first).map((row) => row.subtask)).toEqual([0, 1])
  })

  it('names the threads that did not answer in time', async () => {
    const { scheduler, router, answer, target } = make()
    let error: unknown
    router.ask(target, query, 1000).catch((thrown: unknown) => (error = thrown))
    answer(0, 1, [0])
    await scheduler.runFor(1001)
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: expect.stringContaining('worker thread 2 ') })
    answer(2, 1, [1])
  })

  it('ends what waits when the attempt is over, and its deadlines', async () => {
    const { scheduler, router, target } = make()
    const asked = router.ask(target, query, 1000)
    router.failAll(new MillraceError('UNAVAILABLE', 'restarting'))
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(scheduler.pending).toBe(0)
  })
})
