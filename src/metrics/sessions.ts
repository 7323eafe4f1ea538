/**
 * Sessions: a person's events in stretches without a long pause, each counted whole in the window in which it starts.
 *
 * Owns: what a session is. The definition, with its sources and edge cases, is in docs/metrics.md. Pure; does not own where
 * sessions begin and end (metrics/session-cuts.ts), timelines, windows' life, or adding up.
 *
 * An entry is one session.
 */
import type { SessionBounce } from '../job/person/kinds.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import { SessionCuts, type SessionLimits } from './session-cuts.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline } from './timeline.ts'

/** What of the plan it needs. */
export interface SessionsShape extends SessionLimits {
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
  readonly #cuts: SessionCuts

  constructor(shape: SessionsShape, windows: WindowAssigner, days: WindowAssigner) {
    this.#shape = shape
    this.#windows = windows
    this.#cuts = new SessionCuts(shape, windows, days)
    this.width = SESSION_DURATIONS + shape.bucketsMs.length + 1
  }

  keptTimeMs(timeMs: number): number {
    return timeMs
  }

  keepFromMs(openFromMs: number): number {
    return this.#cuts.keepFromMs(openFromMs)
  }

  changesFromMs(timeMs: number, _bits: number, before: EventsBefore | null): number {
    return this.#cuts.changesFromMs(timeMs, before)
  }

  changesToMs(timeMs: number): number {
    return this.#cuts.changesToMs(timeMs)
  }

  looksToMs(toMs: number): number {
    return this.#cuts.looksToMs(toMs)
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { timeMs, count } = timeline
    for (let first = 0; first < count && timeMs[first]! < toMs; ) {
      const end = this.#cuts.endOf(timeline, first)
      if (timeMs[first]! >= fromMs) this.#give(timeline, first, end, into)
      first = end
    }
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

  /** The session of rows [first, end). */
  #give(timeline: Timeline, first: number, end: number, into: Contributions): void {
    const { timeMs, bits, copies } = timeline
    const startMs = timeMs[first]!
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
