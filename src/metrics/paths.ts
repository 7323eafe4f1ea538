/**
 * Paths: from what to what persons go, step by step, within a session.
 *
 * Owns: what the steps of a session are. The definition, with its sources and edge cases, is in docs/metrics.md. Pure; does
 * not own where sessions begin and end (metrics/session-cuts.ts), timelines, windows' life, or adding up.
 *
 * An event's texts are those of its dimensions, and behind them the value that paths are of, each behind its length. An
 * entry is one transition; its group has the texts of the dimensions of the session's first event, then its own three.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import { SessionCuts, type SessionLimits } from './session-cuts.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline } from './timeline.ts'

/** What of the plan it needs. */
export interface PathsShape extends SessionLimits {
  /** Transitions of a session, at most. */
  readonly steps: number
  /** Whether equal values in a row are one. */
  readonly collapse: boolean
}

/** Paths as a function of timelines. */
export class Paths implements PersonFunction {
  readonly width = 1
  readonly entryWidth = 1
  readonly labels: readonly string[] = ['']
  readonly copiesMatter: boolean
  readonly onlyLatestBefore = false
  readonly #shape: PathsShape
  readonly #windows: WindowAssigner
  readonly #cuts: SessionCuts
  /** Dimensions of events. */
  readonly #dimensions: number
  /** The texts of the steps, each behind its length. */
  readonly #steps: readonly Uint8Array[]
  /** Rows of one instant, in the order of a path. */
  #tied = new Uint32Array(16)

  constructor(shape: PathsShape, windows: WindowAssigner, days: WindowAssigner, dimensions: number) {
    this.#shape = shape
    this.#windows = windows
    this.#cuts = new SessionCuts(shape, windows, days)
    this.#dimensions = dimensions
    // Where equal values are one, so are equal events.
    this.copiesMatter = !shape.collapse
    this.#steps = Array.from({ length: shape.steps }, (_, i) => {
      const text = new TextEncoder().encode(String(i + 1))
      return Uint8Array.from([text.length, ...text])
    })
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

  rows(_from: Contributions, _entry: number, into: ContributionRows): void {
    into.values[into.add(0)] = 1
  }

  /** The transitions of the session of rows [first, end). */
  #give(timeline: Timeline, first: number, end: number, into: Contributions): void {
    const { steps, collapse } = this.#shape
    this.#windows.assign(timeline.timeMs[first]!)
    let head = -1
    let before = -1
    let step = 0
    for (let row = first; row < end; ) {
      const tied = this.#orderTied(timeline, row)
      for (let i = 0; i < tied; i++) {
        const at = this.#tied[i]!
        if (before < 0) head = at
        const again = before >= 0 && this.#compareValues(timeline, before, at) === 0
        // Of so many copies, the first may be where the path begins.
        const times = collapse ? Number(before >= 0 && !again) : timeline.copies[at]! - Number(before < 0)
        for (let copy = 0; copy < times; copy++) {
          this.#add(timeline, head, step++, copy === 0 && before >= 0 ? before : at, at, into)
          if (step === steps) return
        }
        before = at
      }
      row += tied
    }
  }

  #add(timeline: Timeline, head: number, step: number, from: number, to: number, into: Contributions): void {
    const { bytes, textsAt, textsLength } = timeline
    const { startMs, endMs } = this.#windows
    // An entry is told from others by its instant: what happens before a late event stays what it is.
    into.values[into.add(startMs, endMs, timeline, -1, 0)] = timeline.timeMs[to]!
    into.append(bytes, textsAt[head]!, this.#valueAt(timeline, head))
    into.append(this.#steps[step]!, 0, this.#steps[step]!.length)
    for (const row of [from, to]) into.append(bytes, this.#valueAt(timeline, row), textsAt[row]! + textsLength[row]!)
  }

  /** Puts the rows at the instant of `row`, which is the first, in the order of a path; returns how many there are. */
  #orderTied(timeline: Timeline, row: number): number {
    const count = timeline.tieEnd(row) - row
    if (this.#tied.length < count) this.#tied = new Uint32Array(count * 2)
    const tied = this.#tied
    for (let i = 0; i < count; i++) {
      let at = i
      for (; at > 0 && this.#compare(timeline, row + i, tied[at - 1]!) < 0; at--) tied[at] = tied[at - 1]!
      tied[at] = row + i
    }
    return count
  }

  /** Below 0 where row `a` comes first of two at one instant: by value, then by dimensions. */
  #compare(timeline: Timeline, a: number, b: number): number {
    let order = this.#compareValues(timeline, a, b)
    for (let i = 0; i < this.#dimensions && order === 0; i++)
      order = compareTexts(timeline.bytes, behindTexts(timeline, a, i), behindTexts(timeline, b, i))
    return order
  }

  #compareValues(timeline: Timeline, a: number, b: number): number {
    return compareTexts(timeline.bytes, this.#valueAt(timeline, a), this.#valueAt(timeline, b))
  }

  /** Where the length of a row's value is. */
  #valueAt(timeline: Timeline, row: number): number {
    return behindTexts(timeline, row, this.#dimensions)
  }
}

/** Where the length of the text behind the first `texts` of a row is. */
function behindTexts({ bytes, textsAt }: Timeline, row: number, texts: number): number {
  let at = textsAt[row]!
  for (let i = 0; i < texts; i++) at = textStart(bytes, at) + lengthAt(bytes, at)
  return at
}

/** Below 0 where the text whose length is at `a` comes first in the order of bytes, above 0 where that of `b` does. */
function compareTexts(bytes: Uint8Array, a: number, b: number): number {
  const lengthA = lengthAt(bytes, a)
  const lengthB = lengthAt(bytes, b)
  const startA = textStart(bytes, a)
  const startB = textStart(bytes, b)
  for (let i = 0; i < lengthA && i < lengthB; i++) {
    const byte = bytes[startA + i]! - bytes[startB + i]!
    if (byte !== 0) return byte
  }
  return lengthA - lengthB
}

/** The length that is at `at` (operator/group-key.ts). */
function lengthAt(bytes: Uint8Array, at: number): number {
  let length = 0
  for (let i = at, shift = 0; ; i++, shift += 7) {
    length |= (bytes[i]! & 127) << shift
    if (bytes[i]! < 128) return length
  }
}

/** Where the text begins whose length is at `at`. */
function textStart(bytes: Uint8Array, at: number): number {
  let start = at
  while (bytes[start]! > 127) start++
  return start + 1
}
