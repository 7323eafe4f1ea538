/**
 * What a person metric reads and what it gives: one person's events in order, and what they add to which window and group.
 *
 * Owns: the two as columns that are filled anew for each person and never given back. Does not own: where timelines are
 * kept (state/timelines.ts), what metrics make of them (metrics/funnel.ts, …), who adds contributions up.
 *
 * A timeline is a set, whatever the order of arrival: its rows are sorted by time, then bits, then value, then texts, and a
 * row that was met several times has so many copies.
 */

/** One person's events. Row i of each column; times ascend. */
export class Timeline {
  count = 0
  /** Epoch ms. */
  timeMs = new Float64Array(64)
  /** Which conditions of the metric the event meets. */
  bits = new Uint32Array(64)
  /** How many equal events there are; at least 1. */
  copies = new Float64Array(64)
  /** The number that the metric asked of each event, NaN for none. Empty where it asked none. */
  value: Float64Array
  /** The texts of the event's dimensions, each behind its length, are `bytes[textsAt .. textsAt + textsLength)`. */
  textsAt = new Uint32Array(64)
  textsLength = new Uint32Array(64)
  bytes = new Uint8Array(1024)
  readonly #valued: boolean
  #used = 0

  /** `valued`: whether the metric asks a number of events. */
  constructor(valued = false) {
    this.#valued = valued
    this.value = new Float64Array(valued ? 64 : 0)
  }

  clear(): void {
    this.count = 0
    this.#used = 0
  }

  /** Appends a row, with a copy of its texts. */
  add(
    timeMs: number,
    bits: number,
    copies: number,
    texts: Uint8Array,
    start: number,
    end: number,
    value = Number.NaN,
  ): void {
    const row = this.count++
    if (row === this.timeMs.length) this.#grow()
    const at = this.#used
    this.bytes = roomFor(this.bytes, at + end - start)
    for (let i = start; i < end; i++) this.bytes[at + i - start] = texts[i]!
    this.#used = at + end - start
    this.timeMs[row] = timeMs
    this.bits[row] = bits
    this.copies[row] = copies
    this.textsAt[row] = at
    this.textsLength[row] = end - start
    if (this.#valued) this.value[row] = value
  }

  /** Turns the order of the rows around: they are kept with the latest first. */
  reverse(): void {
    for (let a = 0, b = this.count - 1; a < b; a++, b--) {
      swap(this.timeMs, a, b)
      swap(this.bits, a, b)
      swap(this.copies, a, b)
      swap(this.textsAt, a, b)
      swap(this.textsLength, a, b)
      if (this.#valued) swap(this.value, a, b)
    }
  }

  /** The first row at or after `timeMs`; `count` when there is none. */
  firstFrom(timeMs: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timeMs[middle]! < timeMs) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The first row of the events at the time of `row`. */
  tieStart(row: number): number {
    const timeMs = this.timeMs[row]!
    let at = row
    while (at > 0 && this.timeMs[at - 1] === timeMs) at--
    return at
  }

  /** The row behind the events at the time of `row`. */
  tieEnd(row: number): number {
    const timeMs = this.timeMs[row]!
    let at = row + 1
    while (at < this.count && this.timeMs[at] === timeMs) at++
    return at
  }

  /** Whether two rows have the same texts. */
  sameTexts(a: number, b: number): boolean {
    const length = this.textsLength[a]!
    if (this.textsLength[b] !== length) return false
    for (let i = 0; i < length; i++) {
      if (this.bytes[this.textsAt[a]! + i] !== this.bytes[this.textsAt[b]! + i]) return false
    }
    return true
  }

  /** Below 0 where the texts of row `a` come first, above 0 where those of `b` do: byte by byte, lengths included. */
  compareTexts(a: number, b: number): number {
    const { bytes, textsAt, textsLength } = this
    const shared = Math.min(textsLength[a]!, textsLength[b]!)
    for (let i = 0; i < shared; i++) {
      const byte = bytes[textsAt[a]! + i]! - bytes[textsAt[b]! + i]!
      if (byte !== 0) return byte
    }
    return textsLength[a]! - textsLength[b]!
  }

  #grow(): void {
    this.timeMs = grown(this.timeMs, new Float64Array(this.count * 2))
    this.bits = grown(this.bits, new Uint32Array(this.count * 2))
    this.copies = grown(this.copies, new Float64Array(this.count * 2))
    this.textsAt = grown(this.textsAt, new Uint32Array(this.count * 2))
    this.textsLength = grown(this.textsLength, new Uint32Array(this.count * 2))
    if (this.#valued) this.value = grown(this.value, new Float64Array(this.count * 2))
  }
}

/**
 * What one person adds to windows: an entry for each window and group, in the form in which a metric compares them. What it
 * is in rows, the metric says (`PersonFunction.rows`). Entry i of each column.
 */
export class Contributions {
  /** Numbers an entry. */
  readonly width: number
  count = 0
  /** The window, epoch ms. */
  startMs = new Float64Array(16)
  endMs = new Float64Array(16)
  /** The texts of the group, as of events. */
  textsAt = new Uint32Array(16)
  textsLength = new Uint32Array(16)
  bytes = new Uint8Array(256)
  /** Of entry i: `values[i * width ..]`. */
  values: Float64Array
  #used = 0

  constructor(width: number) {
    this.width = width
    this.values = new Float64Array(16 * width)
  }

  clear(): void {
    this.count = 0
    this.#used = 0
  }

  /**
   * Adds an entry for the group of `row`'s texts; for `row` -1 the texts are `noTexts` empty ones. Returns where its
   * numbers begin, which are anything.
   */
  add(startMs: number, endMs: number, timeline: Timeline, row: number, noTexts: number): number {
    const entry = this.count++
    if (entry === this.startMs.length) this.#grow()
    const length = row < 0 ? noTexts : timeline.textsLength[row]!
    const at = this.#used
    this.bytes = roomFor(this.bytes, at + length)
    for (let i = 0; i < length; i++) this.bytes[at + i] = row < 0 ? 0 : timeline.bytes[timeline.textsAt[row]! + i]!
    this.#used = at + length
    this.startMs[entry] = startMs
    this.endMs[entry] = endMs
    this.textsAt[entry] = at
    this.textsLength[entry] = length
    return entry * this.width
  }

  /** Puts `bytes[start .. end)` behind the texts of the entry that was added last. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const at = this.#used
    this.bytes = roomFor(this.bytes, at + end - start)
    for (let i = start; i < end; i++) this.bytes[at + i - start] = bytes[i]!
    this.#used = at + end - start
    this.textsLength[this.count - 1]! += end - start
  }

  /** Below 0 where entry `i` comes before entry `k` of `other`, by window and first number; 0 says nothing of the rest. */
  order(i: number, other: Contributions, k: number): number {
    return this.startMs[i]! - other.startMs[k]! || this.values[i * this.width]! - other.values[k * other.width]!
  }

  /** Whether entry `i` is the same as entry `k` of `other`. */
  same(i: number, other: Contributions, k: number): boolean {
    const length = this.textsLength[i]!
    if (this.startMs[i] !== other.startMs[k] || other.textsLength[k] !== length) return false
    const { width, values } = this
    for (let v = 0; v < width; v++) if (values[i * width + v] !== other.values[k * width + v]) return false
    const at = this.textsAt[i]!
    const otherAt = other.textsAt[k]!
    for (let b = 0; b < length; b++) if (this.bytes[at + b] !== other.bytes[otherAt + b]) return false
    return true
  }

  #grow(): void {
    this.startMs = grown(this.startMs, new Float64Array(this.count * 2))
    this.endMs = grown(this.endMs, new Float64Array(this.count * 2))
    this.textsAt = grown(this.textsAt, new Uint32Array(this.count * 2))
    this.textsLength = grown(this.textsLength, new Uint32Array(this.count * 2))
    this.values = grown(this.values, new Float64Array(this.count * 2 * this.width))
  }
}

/** What an entry is in rows: for each label of its group what is added to each column. */
export class ContributionRows {
  readonly width: number
  count = 0
  readonly label: Uint16Array
  /** Of row i: `values[i * width ..]`. */
  readonly values: Float64Array

  /** `labels`: rows of an entry, at most. */
  constructor(width: number, labels: number) {
    this.width = width
    this.label = new Uint16Array(labels)
    this.values = new Float64Array(labels * width)
  }

  /** Adds a row; returns where its numbers begin, all 0. */
  add(label: number): number {
    const row = this.count++
    this.label[row] = label
    this.values.fill(0, row * this.width, (row + 1) * this.width)
    return row * this.width
  }
}

/** Takes an event of a walk, the latest first; false to end it. */
export type VisitEvent = (timeMs: number, bits: number) => boolean

/** Walks over a person's events at times in [fromMs, toMs], the latest first. */
export type EventsBefore = (fromMs: number, toMs: number, visit: VisitEvent) => void

/**
 * A metric about persons: a pure function from one person's timeline to contributions, and how far it looks. Windows are
 * named by their starts.
 */
export interface PersonFunction {
  /** Columns of a row. */
  readonly width: number
  /** Numbers of an entry. */
  readonly entryWidth: number
  /** The metric's own texts, by label, where it has one dimension of its own. Where it has several, entries have them. */
  readonly labels: readonly string[]
  /** Whether it matters how many copies of an event there are. */
  readonly copiesMatter: boolean
  /** The time that an event is kept under: its own, or the start of its period where that is all that matters. */
  keptTimeMs(timeMs: number): number
  /** The earliest time of which windows from `openFromMs` on must know the events. */
  keepFromMs(openFromMs: number): number
  /** Of the events before the windows at hand, the latest is all that matters where events have no texts. */
  readonly onlyLatestBefore: boolean
  /** Where given, it is the latest with one of these bits that matters, whatever texts there are. */
  readonly latestBeforeBits?: number
  /** Whether an event can change no window from `openFromMs` on, though its time is kept. Absent: none. */
  isTooLate?(timeMs: number, bits: number, openFromMs: number): boolean
  /**
   * The first window that an event at `timeMs` with these bits can change, and the end of the last one. `before` walks
   * over the person's events without it; where several events come at once it is null, and the window is that
   * of any events. Infinity where nothing changes.
   */
  changesFromMs(timeMs: number, bits: number, before: EventsBefore | null): number
  changesToMs(timeMs: number): number
  /** The time up to which windows that start before `toMs` look; Infinity for all there is. */
  looksToMs(toMs: number): number
  /**
   * Adds what windows that start in [fromMs, toMs) get of `timeline`. Both ends are boundaries of windows, or infinite.
   * Entries that follow from events before `sinceMs` alone, whatever comes later, may be left out.
   */
  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions, sinceMs?: number): void
  /** The rows of an entry. */
  rows(from: Contributions, entry: number, into: ContributionRows): void
}

function swap(of: Float64Array | Uint32Array, a: number, b: number): void {
  const value = of[a]!
  of[a] = of[b]!
  of[b] = value
}

function roomFor(bytes: Uint8Array<ArrayBuffer>, needed: number): Uint8Array<ArrayBuffer> {
  return needed <= bytes.length ? bytes : grown(bytes, new Uint8Array(Math.max(bytes.length * 2, needed)))
}

function grown<T extends Float64Array | Uint32Array | Uint16Array | Uint8Array>(from: T, into: T): T {
  into.set(from)
  return into
}
