import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WindowDefinition } from '../../src/job/definition.ts'
import { createPanes, type PaneAssigner, type Span } from '../../src/window/panes.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const

function panesOf(window: WindowDefinition): PaneAssigner {
  const panes = createPanes(window)
  if (panes === null) throw new Error('no panes')
  return panes
}

const sliding = fc
  .record({
    sizeMs: fc.integer({ min: 1, max: 200 }),
    slideMs: fc.integer({ min: 1, max: 200 }),
    shift: fc.integer({ min: -199, max: 199 }),
  })
  .filter(({ sizeMs, slideMs }) => sizeMs !== slideMs)
  .map(({ sizeMs, slideMs, shift }) => ({
    ...calendar,
    kind: 'sliding' as const,
    sizeMs,
    slideMs,
    offsetMs: shift % slideMs,
  }))

const cumulating = fc
  .record({ stepMs: fc.integer({ min: 1, max: 40 }), steps: fc.integer({ min: 2, max: 12 }), shift: fc.nat(30) })
  .map(({ stepMs, steps, shift }) => ({
    ...calendar,
    kind: 'cumulate' as const,
    sizeMs: stepMs * steps,
    stepMs,
    offsetMs: shift % stepMs,
  }))

const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Africa/Cairo']
const zoned: fc.Arbitrary<WindowDefinition> = fc
  .record({
    timezone: fc.constantFrom(...zones),
    shape: fc.constantFrom<readonly ['sliding' | 'cumulate', number, number, number]>(
      ['sliding', 7 * DAY_MS, DAY_MS, 0],
      ['sliding', 3 * DAY_MS, 2 * DAY_MS, 5 * HOUR_MS],
      ['sliding', DAY_MS, HOUR_MS, 0],
      ['sliding', 36 * HOUR_MS, DAY_MS, 0],
      ['sliding', 2 * HOUR_MS, 6 * HOUR_MS, HOUR_MS],
      ['cumulate', DAY_MS, HOUR_MS, 0],
      ['cumulate', DAY_MS, 6 * HOUR_MS, 8 * HOUR_MS],
      ['cumulate', 7 * DAY_MS, DAY_MS, DAY_MS],
      ['cumulate', 12 * HOUR_MS, HOUR_MS, 0],
      ['cumulate', 2 * DAY_MS, 6 * HOUR_MS, 0],
    ),
  })
  .map(({ timezone, shape: [kind, sizeMs, stepMs, offsetMs] }) => {
    const rest = { ...calendar, sizeMs, offsetMs, timezone }
    return kind === 'sliding' ? { kind, slideMs: stepMs, ...rest } : { kind, stepMs, ...rest }
  })

/** Around both changes of clocks of 2024 and 2025, in all these zones. */
const instants = fc.integer({ min: Date.UTC(2024, 2, 1) / 60_000, max: Date.UTC(2025, 11, 1) / 60_000 })

const contains = ({ startMs, endMs }: Span, timeMs: number): boolean => startMs <= timeMs && timeMs < endMs

describe('panes', () => {
  it('of sliding windows in UTC have the windows of the definition', () => {
    fc.assert(
      fc.property(sliding, fc.integer({ min: -1000, max: 1000 }), (window, timeMs) => {
        const panes = panesOf(window)
        panes.assign(timeMs)
        const expected: Span[] = []
        for (let k = -400; k <= 400; k++) {
          const startMs = (Math.floor(timeMs / window.slideMs) + k) * window.slideMs + window.offsetMs
          const span = { startMs, endMs: startMs + window.sizeMs }
          if (contains(span, timeMs)) expected.push(span)
        }
        expect(panes.windowsOf(panes.startMs)).toEqual(expected)
        expect(panes.lastEndMs).toBe(expected.at(-1)?.endMs ?? -Infinity)
      }),
    )
  })

  it('of cumulating windows in UTC have the windows of the definition', () => {
    fc.assert(
      fc.property(cumulating, fc.integer({ min: -1000, max: 1000 }), (window, timeMs) => {
        const { sizeMs, stepMs, offsetMs } = window
        const panes = panesOf(window)
        panes.assign(timeMs)
        const startMs = Math.floor((timeMs - offsetMs) / sizeMs) * sizeMs + offsetMs
        const expected: Span[] = []
        for (let endMs = startMs + stepMs; endMs <= startMs + sizeMs; endMs += stepMs)
          if (endMs > timeMs) expected.push({ startMs, endMs })
        expect(panes.windowsOf(panes.startMs)).toEqual(expected)
        expect(panes.lastEndMs).toBe(startMs + sizeMs)
      }),
    )
  })

  it('lie side by side in every zone, in whole windows, which come in order and end last where the pane says', () => {
    fc.assert(
      fc.property(zoned, instants, (window, minutes) => {
        const timeMs = minutes * 60_000
        const panes = panesOf(window)
        panes.assign(timeMs)
        const pane = { startMs: panes.startMs, endMs: panes.endMs }
        const { lastEndMs } = panes
        expect(contains(pane, timeMs)).toBe(true)
        const windows = panes.windowsOf(pane.startMs)
        expect(windows.at(-1)?.endMs ?? -Infinity).toBe(lastEndMs)
        windows.forEach((span, i) => {
          expect(span.startMs <= pane.startMs && pane.endMs <= span.endMs).toBe(true)
          const before = windows[i - 1] ?? { startMs: -Infinity, endMs: -Infinity }
          expect(before.startMs < span.startMs || (before.startMs === span.startMs && before.endMs < span.endMs)).toBe(
            true,
          )
          expect(before.endMs <= span.endMs).toBe(true)
          // Both ends are boundaries of panes.
          for (const boundaryMs of [span.startMs, span.endMs]) {
            panes.assign(boundaryMs)
            expect(panes.startMs).toBe(boundaryMs)
          }
        })
        panes.assign(pane.endMs)
        expect(panes.startMs).toBe(pane.endMs)
        panes.assign(pane.startMs - 1)
        expect(panes.endMs).toBe(pane.startMs)
      }),
      { numRuns: 300 },
    )
  })

  it('count a Berlin day of 23 hours in 23 steps', () => {
    const panes = panesOf({ ...calendar, kind: 'cumulate', sizeMs: DAY_MS, stepMs: HOUR_MS, timezone: 'Europe/Berlin' })
    const startMs = Date.UTC(2024, 2, 30, 23)
    expect(panes.windowsOf(startMs).map(({ endMs }) => (endMs - startMs) / HOUR_MS)).toEqual(
      Array.from({ length: 23 }, (_, i) => i + 1),
    )
  })

  it('are none where a window is a state of its own', () => {
    expect(createPanes({ ...calendar, kind: 'tumbling', sizeMs: 5 })).toBeNull()
    expect(createPanes({ ...calendar, kind: 'sliding', sizeMs: 5, slideMs: 5 })).toBeNull()
    expect(createPanes({ ...calendar, kind: 'cumulate', sizeMs: 5, stepMs: 5 })).toBeNull()
  })
})
