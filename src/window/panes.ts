/**
 * Panes: the slices of time that overlapping windows are made of.
 *
 * An event is kept once, in its pane, however many windows it is in; a window is the sum of its panes. Panes lie side by
 * side as tumbling windows do. Every window is a whole number of panes in a row.
 *
 * - Sliding: panes of the greatest common divisor of size and slide. In UTC windows are Flink's: they start at each
 *   slide, and one with a slide longer than its size leaves gaps, whose events are in no window.
 * - Cumulating: panes of one step; the windows of one start end with each of its panes.
 *
 * In a time zone, sliding windows of whole days by whole days are calendar days. Others start at each slide counted from
 * local midnight and are `sizeMs` long; where a change of clocks cuts a pane short, one ends with the pane that its last
 * instant is in. Cumulating windows start as tumbling ones of `sizeMs`, and their steps are counted from each local
 * midnight, so that a day of 23 hours has 23 hourly steps.
 */
import { greatestDivisor } from '../core/numbers.ts'
import type { CumulateWindow, SlidingWindow, WindowDefinition } from '../job/definition.ts'
import { DAY_MS, TimeZone } from './time-zone.ts'
import { createTumbling, delayOfParts, PartsOfDay, type WindowAssigner } from './tumbling.ts'

/** A stretch of time, [startMs, endMs). */
export interface Span {
  readonly startMs: number
  readonly endMs: number
}

/** Puts timestamps into panes. A pane that is part of no window has the last end -Infinity. */
export interface PaneAssigner extends WindowAssigner {
  /** The windows that the pane starting at `paneStartMs` is part of, in the order of their start, then end. */
  windowsOf(paneStartMs: number): readonly Span[]
}

/** The panes of these windows; null where each window is a state of its own (tumbling, or a slide as long as the size). */
export function createPanes(window: WindowDefinition): PaneAssigner | null {
  if (window.kind === 'sliding' && window.slideMs !== window.sizeMs) return createSliding(window)
  if (window.kind === 'cumulate' && window.stepMs !== window.sizeMs) return createCumulate(window)
  return null
}

function createSliding(window: SlidingWindow): PaneAssigner {
  const { sizeMs, slideMs, offsetMs, timezone } = window
  const paneMs = greatestDivisor(sizeMs, slideMs)
  const starts = createTumbling(slideMs, window)
  if (timezone === 'UTC') return new Sliding(starts, createTumbling(paneMs, window), (startMs) => startMs + sizeMs)
  if (slideMs % DAY_MS === 0 && sizeMs % DAY_MS === 0) {
    const days = createTumbling(DAY_MS, window)
    return new Sliding(starts, createTumbling(paneMs, window), (startMs) => {
      let endMs = startMs
      for (let day = 0; day < sizeMs / DAY_MS; day++) {
        days.assign(endMs)
        endMs = days.endMs
      }
      return endMs
    })
  }
  const delayMs = delayOfParts(slideMs % DAY_MS === 0 ? DAY_MS : slideMs, offsetMs)
  const panes = new PartsOfDay(new TimeZone(timezone), paneMs, delayMs)
  return new Sliding(starts, panes, (startMs) => {
    panes.assign(startMs + sizeMs - 1)
    return panes.endMs
  })
}

/** Windows that start with each tumbling window of `starts` and end where `endOf` says. */
class Sliding implements PaneAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #starts: WindowAssigner
  readonly #panes: WindowAssigner
  readonly #endOf: (startMs: number) => number

  constructor(starts: WindowAssigner, panes: WindowAssigner, endOf: (startMs: number) => number) {
    this.#starts = starts
    this.#panes = panes
    this.#endOf = endOf
  }

  assign(timestampMs: number): void {
    this.#panes.assign(timestampMs)
    this.startMs = this.#panes.startMs
    this.endMs = this.#panes.endMs
    this.#starts.assign(this.startMs)
    const lastEndMs = this.#endOf(this.#starts.startMs)
    this.lastEndMs = lastEndMs > this.startMs ? lastEndMs : -Infinity
  }

  windowsOf(paneStartMs: number): readonly Span[] {
    const windows: Span[] = []
    let before = paneStartMs
    for (;;) {
      this.#starts.assign(before)
      const { startMs } = this.#starts
      const endMs = this.#endOf(startMs)
      if (endMs <= paneStartMs) return windows.reverse()
      windows.push({ startMs, endMs })
      before = startMs - 1
    }
  }
}

function createCumulate(window: CumulateWindow): PaneAssigner {
  const { sizeMs, stepMs, offsetMs, timezone } = window
  const whole = createTumbling(sizeMs, window)
  if (timezone === 'UTC' || stepMs % DAY_MS === 0) return new Cumulate(whole, createTumbling(stepMs, window))
  // Steps are counted from where the whole windows start, which can be later than a step after midnight.
  const delayMs = delayOfParts(sizeMs % DAY_MS === 0 ? DAY_MS : sizeMs, offsetMs)
  return new Cumulate(whole, new PartsOfDay(new TimeZone(timezone), stepMs, delayMs))
}

class Cumulate implements PaneAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #whole: WindowAssigner
  readonly #panes: WindowAssigner

  constructor(whole: WindowAssigner, panes: WindowAssigner) {
    this.#whole = whole
    this.#panes = panes
  }

  assign(timestampMs: number): void {
    this.#panes.assign(timestampMs)
    this.startMs = this.#panes.startMs
    this.endMs = this.#panes.endMs
    this.#whole.assign(this.startMs)
    this.lastEndMs = this.#whole.endMs
  }

  windowsOf(paneStartMs: number): readonly Span[] {
    this.#whole.assign(paneStartMs)
    const { startMs, endMs: lastEndMs } = this.#whole
    const windows: Span[] = []
    let endMs = paneStartMs
    do {
      this.#panes.assign(endMs)
      endMs = this.#panes.endMs
      windows.push({ startMs, endMs })
    } while (endMs < lastEndMs)
    return windows
  }
}
