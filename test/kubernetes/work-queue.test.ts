import { describe, expect, it } from 'vitest'
import type { Scheduler } from '../../src/core/clock.ts'
import { WorkQueue, type WorkResult } from '../../src/kubernetes/work-queue.ts'

/** Time that a test moves. */
class Hand implements Scheduler {
  readonly delays: number[] = []
  #tasks: (() => void)[] = []

  after(delayMs: number, task: () => void) {
    this.delays.push(delayMs)
    this.#tasks.push(task)
    return () => {
      this.#tasks = this.#tasks.filter((one) => one !== task)
    }
  }

  soon(task: () => void) {
    return this.after(0, task)
  }

  /** Runs what waits; how many there were. */
  async turn(): Promise<number> {
    const tasks = this.#tasks.splice(0)
    for (const task of tasks) task()
    await settle()
    return tasks.length
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('a queue of names', () => {
  it('works on a name once at a time, and once more for what was added meanwhile', async () => {
    const begun: string[] = []
    const ends: (() => void)[] = []
    const work = (name: string) => {
      begun.push(name)
      return new Promise<WorkResult>((resolve) => ends.push(() => resolve({ againAfterMs: null })))
    }
    const queue = new WorkQueue(new Hand(), work, 100)
    queue.add('a')
    queue.add('a')
    queue.add('a')
    queue.add('b')
    expect(begun).toEqual(['a', 'b'])
    ends[0]?.()
    await settle()
    expect(begun).toEqual(['a', 'b', 'a'])
    ends[2]?.()
    await settle()
    expect(begun).toHaveLength(3)
  })

  it('waits twice as long after each failure, a minute at most, and begins anew after a success', async () => {
    const hand = new Hand()
    let fails = true
    const work = async (): Promise<WorkResult> => {
      if (fails) throw new Error('no')
      return { againAfterMs: 5 }
    }
    new WorkQueue(hand, work, 1000).add('a')
    await settle()
    for (let i = 0; i < 8; i++) await hand.turn()
    expect(hand.delays).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
    fails = false
    await hand.turn()
    fails = true
    await hand.turn()
    expect(hand.delays.slice(-2)).toEqual([5, 1000])
  })

  it('looks at once when a name is added that waits, and waits no more for it', async () => {
    const hand = new Hand()
    let works = 0
    const queue = new WorkQueue(hand, async () => ({ againAfterMs: ++works > 0 ? 10 : null }), 100)
    queue.add('a')
    await settle()
    queue.add('a')
    await settle()
    expect(works).toBe(2)
    expect(await hand.turn()).toBe(1)
  })

  it('takes nothing more once it is closed, and ends after what is under way', async () => {
    let end: () => void = () => {}
    const work = () => new Promise<WorkResult>((resolve) => (end = () => resolve({ againAfterMs: 1 })))
    const hand = new Hand()
    const queue = new WorkQueue(hand, work, 100)
    queue.add('a')
    let closed = false
    const closing = queue.close().then(() => (closed = true))
    queue.add('b')
    await settle()
    expect(closed).toBe(false)
    end()
    await closing
    expect(await hand.turn()).toBe(0)
  })
})
