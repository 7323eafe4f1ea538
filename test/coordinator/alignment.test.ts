import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Alignment, WatermarkGroup } from '../../src/coordinator/alignment.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

function make(subtasks: number, driftMs: number) {
  const scheduler = new ManualScheduler(new ManualClock())
  const sent: number[] = []
  const alignment = new Alignment(subtasks, driftMs, scheduler, (limit) => sent.push(limit), 200)
  return { scheduler, sent, alignment }
}

describe('Alignment', () => {
  it('sends the slowest watermark plus the drift, once all have spoken', async () => {
    const { scheduler, sent, alignment } = make(2, 1000)
    alignment.report(0, 5000, false)
    await scheduler.runFor(1000)
    expect(sent).toEqual([])
    alignment.report(1, 2000, false)
    expect(sent).toEqual([3000])
  })

  it('does not wait for idle subtasks, and lifts the limit when all are idle or at their end', async () => {
    const { scheduler, sent, alignment } = make(2, 1000)
    alignment.report(1, -Infinity, true)
    alignment.report(0, 5000, false)
    expect(sent).toEqual([6000])
    alignment.report(0, 5000, true)
    await scheduler.runFor(300)
    expect(sent).toEqual([6000, Infinity])
    alignment.report(1, 1000, false)
    await scheduler.runFor(300)
    expect(sent.at(-1)).toBe(2000)
  })

  it('sends at most once an interval, and always the latest in the end', async () => {
    const { scheduler, sent, alignment } = make(1, 10)
    for (let ms = 0; ms < 1000; ms += 10) {
      alignment.report(0, ms, false)
      await scheduler.runFor(10)
    }
    await scheduler.runFor(500)
    expect(sent.length).toBeLessThanOrEqual(7)
    expect(sent.at(-1)).toBe(1000)
  })

  it('is silent without a drift bound, and after stop', async () => {
    const off = make(1, 0)
    off.alignment.report(0, 5, false)
    expect(off.sent).toEqual([])
    const stopped = make(1, 10)
    stopped.alignment.report(0, 5, false)
    stopped.alignment.report(0, 6, false)
    stopped.alignment.stop()
    await stopped.scheduler.runFor(1000)
    expect(stopped.sent).toEqual([15])
  })

  it('7.11: the minimum is over those that are not idle, and never goes back while the same are active', () => {
    const report = fc.record({ subtask: fc.nat(3), watermark: fc.integer({ min: 0, max: 100 }), idle: fc.boolean() })
    fc.assert(
      fc.property(fc.array(report, { maxLength: 50 }), (reports) => {
        const group = new WatermarkGroup(4)
        const watermarks = [-Infinity, -Infinity, -Infinity, -Infinity]
        const idle = [false, false, false, false]
        for (const { subtask, watermark, idle: isIdle } of reports) {
          group.report(subtask, watermark, isIdle)
          watermarks[subtask] = Math.max(watermarks[subtask]!, watermark)
          idle[subtask] = isIdle
          const active = watermarks.filter((_, i) => !idle[i])
          expect(group.minimum()).toBe(Math.min(Infinity, ...active))
        }
      }),
    )
  })
})
