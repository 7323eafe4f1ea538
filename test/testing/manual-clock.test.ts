import { describe, expect, it } from 'vitest'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

function make(seed = 1) {
  const clock = new ManualClock(1000)
  return { clock, scheduler: new ManualScheduler(clock, seed) }
}

describe('ManualScheduler', () => {
  it('runs tasks at their time and moves time only then', async () => {
    const { clock, scheduler } = make()
    const ran: string[] = []
    scheduler.after(20, () => ran.push(`b@${clock.monotonicMs()}`))
    scheduler.after(10, () => ran.push(`a@${clock.monotonicMs()}`))
    await scheduler.runFor(15)
    expect(ran).toEqual(['a@10'])
    expect(clock.nowMs()).toBe(1015)
    await scheduler.runFor(15)
    expect(ran).toEqual(['a@10', 'b@20'])
  })

  it('orders tasks that are due together by its seed, and repeats the order', () => {
    const order = (seed: number) => {
      const { scheduler } = make(seed)
      const ran: number[] = []
      for (let i = 0; i < 6; i++) scheduler.soon(() => ran.push(i))
      while (scheduler.step());
      return ran.join('')
    }
    expect(order(3)).toBe(order(3))
    expect(new Set([1, 2, 3, 4, 5].map(order)).size).toBeGreaterThan(1)
  })

  it('never runs a task inside the call that asked, and none that was cancelled', () => {
    const { scheduler } = make()
    const ran: string[] = []
    scheduler.soon(() => ran.push('x'))
    const cancel = scheduler.soon(() => ran.push('y'))
    expect(ran).toEqual([])
    cancel()
    cancel()
    while (scheduler.step());
    expect(ran).toEqual(['x'])
    expect(scheduler.pending).toBe(0)
  })

  it('lets chains of promises finish between tasks', async () => {
    const { scheduler } = make()
    let done = false
    const chain = async () => {
      for (let i = 0; i < 100; i++) await Promise.resolve()
      scheduler.after(5, () => {
        done = true
      })
    }
    void chain()
    await scheduler.runUntil(() => done, 'the chain')
    expect(done).toBe(true)
  })

  it('gives up with seed and reason', async () => {
    const { scheduler } = make(42)
    await expect(scheduler.runUntil(() => false, 'rain')).rejects.toThrow(/waited for rain: nothing .*seed 42/)
    const again = () => {
      scheduler.after(100, again)
    }
    again()
    await expect(scheduler.runUntil(() => false, 'rain', { virtualMs: 1000 })).rejects.toThrow(/1000 virtual ms/)
    const busy = () => {
      scheduler.soon(busy)
    }
    busy()
    await expect(scheduler.runUntil(() => false, 'rain', { tasks: 100 })).rejects.toThrow(/100 tasks/)
  })
})

describe('ManualClock', () => {
  it('jumps its wall clock alone', () => {
    const { clock } = make()
    clock.advance(5)
    clock.jumpWall(-100)
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([905, 5])
    expect(() => clock.advance(-1)).toThrow()
  })
})
