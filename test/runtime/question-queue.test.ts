import { describe, expect, it } from 'vitest'
import { QuestionQueue } from '../../src/runtime/question-queue.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

describe('questions', () => {
  it('have a fifth of the time of a busy thread, in their order', () => {
    const clock = new ManualClock()
    const queue = new QuestionQueue(clock)
    const answered: number[] = []
    let askedMs = 0
    for (let i = 0; i < 10; i++) {
      queue.add(() => {
        answered.push(i)
        askedMs += 20
        clock.advance(20)
      })
    }
    let inputMs = 0
    while (answered.length < 10) {
      queue.worked()
      queue.serve()
      clock.advance(4)
      inputMs += 4
    }
    expect(answered).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    // The last one has no pause behind it.
    expect(askedMs - 20).toBeLessThanOrEqual(inputMs / 4)
  })

  it('are answered at once by a thread that has nothing else to do', () => {
    const clock = new ManualClock()
    const queue = new QuestionQueue(clock)
    queue.worked()
    for (let i = 0; i < 5; i++) queue.add(() => clock.advance(20))
    const startMs = clock.monotonicMs()
    while (queue.due) queue.serve()
    expect(clock.monotonicMs() - startMs).toBe(100)
  })

  it('small ones are answered many at a time', () => {
    const clock = new ManualClock()
    const queue = new QuestionQueue(clock)
    let answered = 0
    for (let i = 0; i < 100; i++) queue.add(() => answered++)
    queue.worked()
    queue.serve()
    expect(answered).toBe(100)
  })
})
