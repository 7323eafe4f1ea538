import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyedStore } from '../../src/program/keyed-store.ts'
import { TimerQueue } from '../../src/program/timer-queue.ts'

const DAY_MS = 86_400_000

function storeForTest(): KeyedStore {
  return new KeyedStore('watch', 1, { start: 0, end: 0 })
}

describe('timers', () => {
  it('that are moved with every record hold no memory for the times that they had', () => {
    const store = storeForTest()
    const queue = new TimerQueue('event')
    const entry = store.entry(0, 'ada')
    for (let timeMs = 0; timeMs < 100_000; timeMs++) {
      queue.delete(entry, timeMs - 1 + DAY_MS)
      queue.add(entry, timeMs + DAY_MS)
    }
    expect(queue.held).toBeLessThan(5000)
    expect(queue.take(Infinity)).toMatchObject({ timeMs: 99_999 + DAY_MS })
    expect(queue.take(Infinity)).toBeUndefined()
  })

  it('fire by time, then key, whatever was set and deleted before', () => {
    const step = fc.record({
      key: fc.nat(4),
      timeMs: fc.nat(30),
      times: fc.integer({ min: 1, max: 800 }),
      set: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const store = storeForTest()
        const queue = new TimerQueue('event')
        const wanted = new Set<string>()
        for (const { key, timeMs, times, set } of steps) {
          const entry = store.entry(0, key)
          const name = `${String(timeMs).padStart(3, '0')}/${key}`
          for (let i = 0; i < times; i++) {
            queue.add(entry, timeMs)
            if (i < times - 1 || !set) queue.delete(entry, timeMs)
          }
          if (set) wanted.add(name)
          else wanted.delete(name)
        }
        const fired: string[] = []
        for (let due = queue.take(1000); due !== undefined; due = queue.take(1000))
          fired.push(`${String(due.timeMs).padStart(3, '0')}/${due.entry.key}`)
        expect(fired).toEqual([...wanted].sort())
      }),
      { numRuns: 50 },
    )
  })
})
