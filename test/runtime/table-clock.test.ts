import { describe, expect, it } from 'vitest'
import type { TablePlan } from '../../src/job/plan.ts'
import { TableClock } from '../../src/runtime/table-clock.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

const plan = (change: Partial<TablePlan> = {}): TablePlan => ({
  id: 'table',
  dimensions: [],
  dimensionNames: [],
  keyed: false,
  window: { kind: 'tumbling', sizeMs: 1000, offsetMs: 0, timezone: 'UTC', time: 'processing' },
  trigger: null,
  earlyMs: 0,
  allowedLatenessMs: 0,
  retainMs: 1e9,
  accumulators: [],
  ...change,
})

describe('the clock of tables', () => {
  it('says once that a pane of processing time has ended, and never goes back', () => {
    const clock = new ManualClock(10_300)
    const time = new TableClock(clock, [plan()], [])
    // The first reading counts as the end of what was before.
    expect([time.tick(), time.tick(), time.nowMs]).toEqual([true, false, 10_300])
    clock.advance(699)
    expect(time.tick()).toBe(false)
    clock.advance(1)
    expect([time.tick(), time.tick()]).toEqual([true, false])
    clock.jumpWall(-5000)
    expect([time.tick(), time.nowMs]).toEqual([false, 11_000])
  })

  it('does not read the clock for tables of event time', () => {
    const clock = new ManualClock(10_300)
    const event = plan({ window: { kind: 'tumbling', sizeMs: 1000, offsetMs: 0, timezone: 'UTC', time: 'event' } })
    const time = new TableClock(clock, [event], [])
    expect([time.tick(), time.nowMs]).toEqual([false, Number.NEGATIVE_INFINITY])
    expect(time.timeOf(event, 42, 7)).toBe(42)
  })

  it('gives processing time as passed up to the instant before, by what senders say where there are any', () => {
    const clock = new ManualClock(10_300)
    const time = new TableClock(clock, [plan()], [])
    time.tick()
    expect(time.timeOf(plan(), 42, undefined)).toBe(10_299)
    expect(time.timeOf(plan(), 42, 7)).toBe(7)
    expect(time.timeOf(plan(), Number.POSITIVE_INFINITY, 7)).toBe(Number.POSITIVE_INFINITY)
  })

  it('tells each table by itself when its early results are due', () => {
    const clock = new ManualClock()
    const time = new TableClock(
      clock,
      [],
      [
        { index: 0, plan: plan({ earlyMs: 100 }) },
        { index: 1, plan: plan() },
        { index: 2, plan: plan({ earlyMs: 250 }) },
      ],
    )
    const due = [100, 100, 100].map((ms) => {
      clock.advance(ms)
      return [...time.earlyDue()]
    })
    expect(due).toEqual([[0], [0], [0, 2]])
    expect(time.earlyDue()).toEqual([])
  })
})
