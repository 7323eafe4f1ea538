import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KnownWindows } from '../../src/window/known-windows.ts'
import { createMonths, createTumbling } from '../../src/window/tumbling.ts'

it('windows that are known are those that would be found', () => {
  const times = fc.array(fc.integer({ min: -20_000, max: 20_000 }), { maxLength: 200 })
  fc.assert(
    fc.property(times, (list) => {
      const windows = () => createTumbling(7, { offsetMs: 3, timezone: 'UTC', time: 'event' })
      const [known, found] = [new KnownWindows(windows()), windows()]
      for (const timeMs of list) {
        known.assign(timeMs)
        found.assign(timeMs)
        expect([known.startMs, known.endMs, known.lastEndMs]).toEqual([found.startMs, found.endMs, found.lastEndMs])
      }
    }),
  )
})

it('are forgotten when there are too many, and found again', () => {
  const known = new KnownWindows(createTumbling(1, { offsetMs: 0, timezone: 'UTC', time: 'event' }))
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 10_000; i++) {
      const timeMs = (i * 7919) % 10_007
      known.assign(timeMs)
      expect([known.startMs, known.endMs]).toEqual([timeMs, timeMs + 1])
    }
  }
})

it('of a calendar are asked for once', () => {
  const months = createMonths('Europe/Berlin')
  let asked = 0
  const known = new KnownWindows({
    startMs: 0,
    endMs: 0,
    lastEndMs: 0,
    assign(timeMs: number) {
      asked++
      months.assign(timeMs)
      this.startMs = months.startMs
      this.endMs = months.endMs
    },
  })
  for (let i = 0; i < 1000; i++) known.assign(Date.UTC(2024, i % 12, 15))
  expect(asked).toBe(12)
})
