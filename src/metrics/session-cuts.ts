/**
 * Where a person's sessions begin and end, and how far one event can matter to them.
 *
 * Owns: the cuts. The definition, with its sources and edge cases, is in docs/metrics.md (N1 to N5). Pure; does not own what
 * is made of a session (metrics/sessions.ts, metrics/paths.ts).
 *
 * That what came long ago need not be known, whoever makes no pause for a day (or the greatest duration, where that is
 * longer) before a midnight begins anew there. So sessions from a midnight on follow from the events since so long before
 * it, and a gap.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { EventsBefore, Timeline, VisitEvent } from './timeline.ts'

const DAY_MS = 86_400_000

/** What ends a session. */
export interface SessionLimits {
  /** Events so far apart are in one session; ms. */
  readonly gapMs: number
  /** No event of a session is further from its first; ms. */
  readonly maxDurationMs: number
  readonly cutAtMidnight: boolean
}

/** Cuts timelines into sessions. Instants and windows are as in `PersonFunction`. */
export class SessionCuts {
  readonly #limits: SessionLimits
  readonly #windows: WindowAssigner
  /** Days of the zone. */
  readonly #days: WindowAssigner
  /** Who makes no pause for so long before a midnight begins anew there. */
  readonly #horizonMs: number
  // Of the timeline that is cut: when the person last began after a pause, and when the day of the last event ends.
  #pausedMs = Number.NaN
  #dayEndMs = Number.NaN
  // Of a walk: the earliest event that is known to be in one session with the event at hand.
  #reachedMs = Number.NaN
  readonly #visit: VisitEvent = (timeMs) => {
    if (this.#reachedMs - timeMs > this.#limits.gapMs) return false
    this.#reachedMs = timeMs
    return true
  }

  constructor(limits: SessionLimits, windows: WindowAssigner, days: WindowAssigner) {
    this.#limits = limits
    this.#windows = windows
    this.#days = days
    this.#horizonMs = Math.max(limits.maxDurationMs, DAY_MS)
  }

  keepFromMs(openFromMs: number): number {
    if (!Number.isFinite(openFromMs)) return openFromMs
    this.#days.assign(openFromMs)
    const { startMs } = this.#days
    return this.#limits.cutAtMidnight ? startMs : startMs - this.#horizonMs - this.#limits.gapMs
  }

  /** The window in which the session starts that the event is in, or that it cuts or bridges. */
  changesFromMs(timeMs: number, before: EventsBefore | null): number {
    let earliestMs = timeMs - this.#limits.maxDurationMs
    if (this.#limits.cutAtMidnight) {
      this.#days.assign(timeMs)
      earliestMs = Math.max(earliestMs, this.#days.startMs)
    }
    if (before !== null) {
      this.#reachedMs = timeMs
      before(earliestMs, timeMs, this.#visit)
      earliestMs = this.#reachedMs
    }
    this.#windows.assign(earliestMs)
    return this.#windows.startMs
  }

  /** From the first midnight on that does not look back to the event, sessions are the same. */
  changesToMs(timeMs: number): number {
    const { cutAtMidnight, gapMs } = this.#limits
    this.#days.assign(cutAtMidnight ? timeMs : timeMs + this.#horizonMs + gapMs)
    this.#windows.assign(this.#days.endMs - 1)
    return this.#windows.endMs
  }

  looksToMs(toMs: number): number {
    return toMs + this.#limits.maxDurationMs
  }

  /** The row behind the session that begins with row `first`: 0, then what the call before has returned. */
  endOf({ timeMs, count }: Timeline, first: number): number {
    const { gapMs, maxDurationMs, cutAtMidnight } = this.#limits
    const startMs = timeMs[first]!
    if (first === 0) {
      this.#days.assign(startMs)
      this.#dayEndMs = this.#days.endMs
      this.#pausedMs = startMs
    }
    for (let row = first + 1; row < count; row++) {
      const atMs = timeMs[row]!
      const newDay = atMs >= this.#dayEndMs
      if (newDay) {
        this.#days.assign(atMs)
        this.#dayEndMs = this.#days.endMs
      }
      const restless = newDay && this.#days.startMs - this.#pausedMs > this.#horizonMs
      if (atMs - timeMs[row - 1]! > gapMs || (newDay && cutAtMidnight)) this.#pausedMs = atMs
      else if (!restless && atMs - startMs <= maxDurationMs) continue
      return row
    }
    return count
  }
}
