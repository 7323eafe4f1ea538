import { describe, expect, it } from 'vitest'
import type { MetricDefinition, WindowDefinition } from '../../src/job/definition.ts'
import { validateWindow } from '../../src/job/validate-window.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const

/** The mistakes of a metric with this window, as `path: message`. */
function mistakesOf(window: WindowDefinition, change: Partial<MetricDefinition> = {}): string[] {
  const found: string[] = []
  const metric: MetricDefinition = {
    id: 'metric',
    description: '',
    kind: { kind: 'count' },
    where: null,
    by: [],
    window,
    trigger: null,
    earlyMs: 0,
    allowedLatenessMs: 0,
    retainMs: DAY_MS,
    ...change,
  }
  validateWindow(metric, 'person', [], (path, message) => found.push(`${path.join('.')}: ${message}`))
  return found
}

describe('sliding windows', () => {
  const sliding = (sizeMs: number, slideMs: number, change: object = {}): WindowDefinition => ({
    ...calendar,
    kind: 'sliding',
    sizeMs,
    slideMs,
    ...change,
  })

  it.each([
    [sliding(60_000, 5000)],
    [sliding(60_000, 90_000, { offsetMs: -89_999 })],
    [sliding(7 * DAY_MS, DAY_MS, { timezone: 'Europe/Berlin' })],
    [sliding(DAY_MS, HOUR_MS, { timezone: 'Europe/Berlin' })],
    [sliding(36 * HOUR_MS, DAY_MS, { timezone: 'Europe/Berlin' })],
  ])('%j makes sense', (window) => {
    expect(mistakesOf(window)).toEqual([])
  })

  it.each([
    [sliding(60_000, 5000, { offsetMs: 5000 }), 'window.offset: must be shorter than the slide (5s)'],
    [sliding(60_000, 5), 'window.slide: each event would be in more than 10000 windows: use a longer slide'],
    [sliding(60_001, 60_000), 'window.slide: a window would have more than 10000 parts of 1ms'],
    [sliding(7 * HOUR_MS, 5 * HOUR_MS, { timezone: 'Europe/Berlin' }), 'window.slide: in a time zone'],
    [sliding(54 * HOUR_MS, 3 * DAY_MS, { timezone: 'Europe/Berlin' }), 'window.sliding: in a time zone'],
  ])('%j makes none', (window, mistake) => {
    expect(mistakesOf(window)).toEqual([expect.stringContaining(mistake)])
  })
})

describe('cumulating windows', () => {
  const cumulate = (sizeMs: number, stepMs: number, change: object = {}): WindowDefinition => ({
    ...calendar,
    kind: 'cumulate',
    sizeMs,
    stepMs,
    ...change,
  })

  it('make sense in whole steps', () => {
    expect(mistakesOf(cumulate(DAY_MS, HOUR_MS, { timezone: 'Europe/Berlin', offsetMs: 2 * HOUR_MS }))).toEqual([])
    expect(mistakesOf(cumulate(DAY_MS, 7 * HOUR_MS))).toEqual(['window.step: must divide the window (1d) evenly'])
    expect(mistakesOf(cumulate(DAY_MS, 1000))).toEqual([
      'window.step: makes more than 10000 windows of each event: use a longer step',
    ])
  })
})

describe('processing time and early results', () => {
  const tumbling = (sizeMs: number): WindowDefinition => ({ ...calendar, kind: 'tumbling', sizeMs, time: 'processing' })

  it('have bounds, and no lateness', () => {
    expect(mistakesOf(tumbling(10), { earlyMs: 100 })).toEqual([])
    expect(mistakesOf(tumbling(5))).toEqual([
      'window.tumbling: in processing time, windows and their steps are at least 10ms',
    ])
    expect(mistakesOf(tumbling(1000), { allowedLatenessMs: 1 })).toEqual([expect.stringMatching(/^allowedLateness: /)])
    expect(mistakesOf(tumbling(1000), { earlyMs: 99 })).toEqual([
      'early: must be at least 100ms, or 0 for no early results',
    ])
  })
})

describe('global windows', () => {
  const window = { kind: 'global', timezone: 'UTC', time: 'event' } as const
  const count = { count: 10, purge: false }

  it('make sense without a trigger, and with one by key', () => {
    expect(mistakesOf(window)).toEqual([])
    expect(mistakesOf(window, { earlyMs: 1000 })).toEqual([])
    expect(mistakesOf(window, { trigger: count, by: ['person', 'screen'] })).toEqual([])
  })

  it.each([
    [{ trigger: count }, 'by: a trigger counts the events of one key: add it to the dimensions, as by: [person]'],
    [{ trigger: count, by: ['person'], earlyMs: 1000 }, 'early: a trigger says when there are results'],
    [{ allowedLatenessMs: 1 }, 'allowedLateness: has no meaning in a global window'],
    [
      { trigger: { ...count, purge: true }, by: ['person'], kind: { kind: 'distinct', field: 'screen' } },
      'trigger.purge: exact distincts are not purged in this version',
    ],
  ] as const)('%j makes none', (change, mistake) => {
    expect(mistakesOf(window, change)).toEqual([expect.stringContaining(mistake)])
  })

  it('have no clock and no zone', () => {
    expect(mistakesOf({ ...window, time: 'processing' })).toEqual([expect.stringContaining('window.time: a global')])
    expect(mistakesOf({ ...window, timezone: 'Europe/Berlin' })).toEqual([
      expect.stringContaining('window.timezone: a global'),
    ])
  })

  it('alone have triggers', () => {
    const tumbling = { kind: 'tumbling', sizeMs: 60_000, offsetMs: 0, timezone: 'UTC', time: 'event' } as const
    expect(mistakesOf(tumbling, { trigger: count })).toEqual([
      expect.stringContaining('trigger: only global windows have a trigger'),
    ])
  })
})
