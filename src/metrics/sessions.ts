/**
 * Sessions: a person's events in stretches without a long pause, each counted whole in the window in which it starts.
 *
 * Owns: where sessions begin and end, what one is, how far one event can matter. The definition, with its sources and edge
 * cases, is in docs/metrics.md. Pure; does not own timelines, windows' life, or adding up.
 *
 * An entry is one session. That what came long ago need not be known, whoever makes no pause for a day (or the greatest
 * duration, where that is longer) before a midnight begins anew there. So sessions from a midnight on follow from the events
 * since so long before it, and a gap.
 */
import type { SessionBounce } from '../job/person/kinds.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline, VisitEvent } from './timeline.ts'

const DAY_MS = 86_400_000

/** What of the plan it needs. */
export interface SessionsShape {
  /** Events so far apart are in one session; ms. */
  readonly gapMs: number
  /** No event of a session is further from its first; ms. */
  readonly maxDurationMs: number
  readonly cutAtMidnight: boolean
  /** Sessions so long are engaged, whatever is in them; ms. */
  readonly engagedAfterMs: number
  readonly bounce: SessionBounce
  /** Bounds of the histogram of durations, ascending; ms. */
  readonly bucketsMs: readonly number[]
}

// Bits of events; each has the first.
const VIEW = 2
const INTERACTION = 4

// Numbers of an entry.
const DURATION = 0
const VIEWS = 1
const BOUNCED = 2
const ENGAGED = 3
/** Whether it is the first session of its person in its window and group. */
const FIRST = 4

// Columns of a row.
const SESSIONS = 0
const SESSION_PERSONS = 1
const SESSION_VIEWS = 2
const SESSION_BOUNCES = 3
const SESSION_ENGAGED = 4
/** Sum, ms. */
const SESSION_DURATION = 5
/** The histogram begins here. */
const SESSION_DURATIONS = 6

/** Sessions as a function of timelines. */
export class Sessions implements PersonFunction {
  readonly width: number
  readonly entryWidth = 5
  readonly labels: readonly string[] = ['']
  readonly copiesMatter = true
  readonly onlyLatestBefore = false
  readonly #shape: SessionsShape
  readonly #windows: WindowAssigner
  /** Days of the zone. */
  readonly #days: WindowAssigner
  /** Who makes no pause for so long before a midnight begins anew there. */
  readonly #horizonMs: number
  // Of a walk: the earliest event that is known to be in one session with the event at hand.
  #reachedMs = Number.NaN
  readonly #visit: VisitEvent = (timeMs) => {
    if (this.#reachedMs - timeMs > this.#shape.gapMs) return false
    this.#reachedMs = timeMs
    return true
  }

  constructor(shape: SessionsShape, windows: WindowAssigner, days: WindowAssigner) {
    this.#shape = shape
    this.#windows = windows
    this.#days = days
    this.width = SESSION_DURATIONS + shape.bucketsMs.length + 1
    this.#horizonMs = Math.max(shape.maxDurationMs, DAY_MS)
  }

  keptTimeMs(timeMs: number): number {
    return timeMs
  }

  keepFromMs(openFromMs: number): number {
    if (!Number.isFinite(openFromMs)) return openFromMs
    this.#days.assign(openFromMs)
    const { startMs } = this.#days
    return this.#shape.cutAtMidnight ? startMs : startMs - this.#horizonMs - this.#shape.gapMs
  }

  /** The window in which the session starts that the event is in, or that it cuts or bridges. */
  changesFromMs(timeMs: number, _bits: number, before: EventsBefore | null): number {
    let earliestMs = timeMs - this.#shape.maxDurationMs
    if (this.#shape.cutAtMidnight) {
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
    const { cutAtMidnight, gapMs } = this.#shape
    this.#days.assign(cutAtMidnight ? timeMs : timeMs + this.#horizonMs + gapMs)
    this.#windows.assign(this.#days.endMs - 1)
    return this.#windows.endMs
  }

  looksToMs(toMs: number): number {
    return toMs + this.#shape.maxDurationMs
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { timeMs, count } = timeline
    const { gapMs, maxDurationMs, cutAtMidnight } = this.#shape
    /** When the person last began after a pause, and when the day of the event before ends. */
    let pausedMs = Number.NEGATIVE_INFINITY
    let dayEndMs = Number.NEGATIVE_INFINITY
    let first = 0
    for (let row = 0; row < count; row++) {
      const atMs = timeMs[row]!
      const newDay = atMs >= dayEndMs
      if (newDay) {
        this.#days.assign(atMs)
        dayEndMs = this.#days.endMs
      }
      const paused = row === 0 || atMs - timeMs[row - 1]! > gapMs || (newDay && cutAtMidnight)
      const restless = newDay && this.#days.startMs - pausedMs > this.#horizonMs
      if (paused) pausedMs = atMs
      else if (!restless && atMs - timeMs[first]! <= maxDurationMs) continue
      if (row > first) this.#give(timeline, first, row, fromMs, toMs, into)
      if (atMs >= toMs) return
      first = row
    }
    if (count > first) this.#give(timeline, first, count, fromMs, toMs, into)
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const { values } = from
    const of = entry * from.width
    const { bucketsMs } = this.#shape
    const durationMs = values[of + DURATION]!
    const at = into.add(0)
    into.values[at + SESSIONS] = 1
    into.values[at + SESSION_PERSONS] = values[of + FIRST]!
    into.values[at + SESSION_VIEWS] = values[of + VIEWS]!
    into.values[at + SESSION_BOUNCES] = values[of + BOUNCED]!
    into.values[at + SESSION_ENGAGED] = values[of + ENGAGED]!
    into.values[at + SESSION_DURATION] = durationMs
    let bucket = 0
    while (bucket < bucketsMs.length && durationMs >= bucketsMs[bucket]!) bucket++
    into.values[at + SESSION_DURATIONS + bucket] = 1
  }

  /** The session of rows [first, end), if it starts in [fromMs, toMs). */
  #give(timeline: Timeline, first: number, end: number, fromMs: number, toMs: number, into: Contributions): void {
    const { timeMs, bits, copies } = timeline
    const startMs = timeMs[first]!
    if (startMs < fromMs || startMs >= toMs) return
    let views = 0
    let interactions = 0
    for (let row = first; row < end; row++) {
      if ((bits[row]! & VIEW) !== 0) views += copies[row]!
      if ((bits[row]! & INTERACTION) !== 0) interactions += copies[row]!
    }
    const durationMs = timeMs[end - 1]! - startMs
    const engaged = durationMs >= this.#shape.engagedAfterMs || interactions > 0 || views >= 2
    // Of the events of the first instant, texts decide whose they are.
    let named = first
    for (let row = first + 1; row < end && timeMs[row] === startMs; row++)
      if (timeline.compareTexts(row, named) < 0) named = row
    this.#windows.assign(startMs)
    const at = into.add(this.#windows.startMs, this.#windows.endMs, timeline, named, 0)
    into.values[at + DURATION] = durationMs
    into.values[at + VIEWS] = views
    into.values[at + BOUNCED] = this.#bounced(durationMs, views, interactions, engaged) ? 1 : 0
    into.values[at + ENGAGED] = engaged ? 1 : 0
    into.values[at + FIRST] = isFirst(into, into.count - 1) ? 1 : 0
  }

  #bounced(durationMs: number, views: number, interactions: number, engaged: boolean): boolean {
    switch (this.#shape.bounce) {
      case 'ga4':
        return !engaged
      case 'posthog':
        return views === 1 && interactions === 0 && durationMs < this.#shape.engagedAfterMs
      case 'plausible':
        return views === 1 && interactions === 0
      case 'matomo':
        return views === 1
    }
  }
}

/** Whether no entry before `entry`, in the order of time, is of its window and texts. */
function isFirst(of: Contributions, entry: number): boolean {
  const { startMs, textsAt, textsLength, bytes } = of
  for (let other = entry - 1; other >= 0 && startMs[other] === startMs[entry]; other--) {
    const length = textsLength[entry]!
    if (textsLength[other] !== length) continue
    let i = 0
    while (i < length && bytes[textsAt[other]! + i] === bytes[textsAt[entry]! + i]) i++
    if (i === length) return false
  }
  return true
}
