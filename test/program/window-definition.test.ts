/** Which windows there are, where they lie in a time zone, and which definitions are refused. */
import { describe, expect, it } from 'vitest'
import { count } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import type { Stream } from '../../src/program/streams.ts'
import { planWindows } from '../../src/program/windows.ts'
import { createPanes } from '../../src/window/panes.ts'
import type { Click } from './reference.ts'
import { clickJob } from './support.ts'

const HOUR_MS = 3_600_000
const merged = count()
const { merge: _none, ...unmerged } = merged

describe('the definition of windows', () => {
  it.each([
    [{ session: 5 }, { trigger: { onRecord: () => 'fire' } }, 'merge'],
    [{ session: 5 }, { aggregate: unmerged }, 'merge'],
    [{ global: true }, {}, 'trigger'],
    [{ tumbling: 5, time: 'processing' }, { allowedLateness: '1s' }, 'nothing is late'],
  ] as const)('%j with %o is refused', (spec, more, word) => {
    const build = (clicks: Stream<Click>) => {
      clicks
        .keyBy((one) => one.key)
        .window(spec)
        .aggregate<number, number>({ id: 'sums', aggregate: merged, ...more })
    }
    expect(() => defineJob({ ...clickJob, build })).toThrow(word)
  })

  it.each([
    [{ tumbling: '0s' }, 'tumbling'],
    [{ tumbling: 'soon' }, 'tumbling'],
    [{ tumbling: '1h', offset: '1h' }, 'offset'],
    [{ tumbling: '1d', timezone: 'Europe/Nowhere' }, 'time zone'],
    [{ sliding: '1h', every: '-1m' }, 'every'],
    [{ sliding: '1d', every: 1 }, '10,000'],
    [{ sliding: 20_001, every: 20_000 }, 'parts'],
    [{ sliding: '2d', every: '1d', timezone: 'Europe/Nowhere' }, 'time zone'],
    [{ sliding: '10h', every: '5h', timezone: 'Europe/Berlin' }, 'whole days'],
    [{ cumulate: '1d', step: '16h', timezone: 'Europe/Berlin' }, 'multiple'],
    [{ tumbling: '5h', timezone: 'Europe/Berlin' }, 'whole days'],
    [{ cumulate: '1h', step: '7m' }, 'multiple'],
    [{ session: 0 }, 'session'],
  ] as const)('%j is refused', (spec, word) => {
    expect(() => planWindows(spec, 'sums')).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
    expect(() => planWindows(spec, 'sums')).toThrow(word)
  })

  it('follows the calendar of a zone', () => {
    const hours: number[] = []
    const { assign } = planWindows({ sliding: '2d', every: '1d', timezone: 'Europe/Berlin' }, 'days')
    for (const at of ['2024-03-31T12:00Z', '2024-10-27T12:00Z', '2024-07-01T12:00Z'])
      assign(Date.parse(at), (startMs, endMs) => hours.push((endMs - startMs) / 3_600_000))
    expect(hours).toEqual([47, 47, 49, 49, 48, 48])
  })

  it.each([
    { kind: 'sliding', sizeMs: 12 * HOUR_MS, slideMs: 6 * HOUR_MS },
    { kind: 'cumulate', sizeMs: 24 * HOUR_MS, stepMs: 6 * HOUR_MS },
  ] as const)('is that of declarative jobs when clocks change: $kind', (window) => {
    const panes = createPanes({ ...window, offsetMs: 0, timezone: 'Europe/Berlin', time: 'event' })!
    const { assign } = planWindows(
      window.kind === 'sliding'
        ? { sliding: window.sizeMs, every: window.slideMs, timezone: 'Europe/Berlin' }
        : { cumulate: window.sizeMs, step: window.stepMs, timezone: 'Europe/Berlin' },
      'days',
    )
    for (let at = Date.parse('2024-10-26T00:00Z'); at < Date.parse('2024-10-29T00:00Z'); at += HOUR_MS / 2) {
      const found: string[] = []
      assign(at, (startMs, endMs) => found.push(`${startMs} ${endMs}`))
      panes.assign(at)
      expect(found.sort()).toEqual(
        panes
          .windowsOf(panes.startMs)
          .map((w) => `${w.startMs} ${w.endMs}`)
          .sort(),
      )
      expect(found.length).toBeGreaterThan(0)
    }
  })

  it('takes days of 23 and 25 hours', () => {
    const windows: number[] = []
    const { assign } = planWindows({ tumbling: '1d', timezone: 'Europe/Berlin' }, 'days')
    for (const at of ['2024-03-31T12:00Z', '2024-10-27T12:00Z', '2024-07-01T12:00Z'])
      assign(Date.parse(at), (startMs, endMs) => windows.push((endMs - startMs) / 3_600_000))
    expect(windows).toEqual([23, 25, 24])
  })
})
