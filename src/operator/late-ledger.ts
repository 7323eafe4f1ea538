/**
 * Counts events that came too late, by table, window and group, so that every value can say how many it misses.
 *
 * Owns: the counts, bounded. Lateness is the exception, so this is an ordinary map. Beyond LATE_GROUPS_MAX entries
 * further groups are counted in `overflow` only; the job's own late counter has them all in any case.
 */
import type { Accumulators } from './accumulators.ts'
import { COUNT } from './accumulators.ts'

/** Most (window, group) pairs with late events that are told apart, a table and subtask. */
const LATE_GROUPS_MAX = 65_536

/** Late events of one group in one window: a count an accumulator of kind count, 0 for the others. */
export interface LateEntry {
  readonly startMs: number
  readonly endMs: number
  readonly group: Uint8Array
  readonly hash: number
  readonly counts: Float64Array
  /** Change number of the last event counted here. */
  change: number
}

/** Late counts of one table. */
export class LateLedger {
  /** Late events beyond the bound, not told apart. */
  overflow = 0
  /** Change number of what is being counted; the owner sets it before it counts. */
  change = 0
  readonly #entries = new Map<string, LateEntry>()
  readonly #accumulators: Accumulators

  constructor(accumulators: Accumulators) {
    this.#accumulators = accumulators
  }

  /** Number of (window, group) pairs. */
  get size(): number {
    return this.#entries.size
  }

  /** `events` with these mask bits were late for a window and group. Copies the key when it is new. */
  addEvents(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    length: number,
    hash: number,
    bits: number,
    events: number,
  ): void {
    const entry = this.#entryOf(startMs, endMs, key.subarray(0, length), hash)
    if (entry === null) return
    entry.change = this.change
    const { kinds, predicates } = this.#accumulators
    for (let i = 0; i < kinds.length; i++)
      if (kinds[i] === COUNT && (bits & (1 << predicates[i]!)) !== 0) entry.counts[i]! += events
  }

  /** Adds counts that another subtask made. */
  addCounts(startMs: number, endMs: number, key: Uint8Array, hash: number, counts: Float64Array, at: number): void {
    const entry = this.#entryOf(startMs, endMs, key, hash)
    if (entry === null) return
    entry.change = this.change
    for (let i = 0; i < entry.counts.length; i++) entry.counts[i]! += counts[at + i]!
  }

  /** Late events of accumulator `accumulator` (a count) in a window and group. */
  count(startMs: number, endMs: number, key: Uint8Array, accumulator: number): number {
    return this.#entries.size === 0 ? 0 : (this.#entries.get(nameOf(startMs, endMs, key))?.counts[accumulator] ?? 0)
  }

  /** Whether a window and group have got late events after change number `since`. */
  changedSince(since: number, startMs: number, endMs: number, key: Uint8Array): boolean {
    // Nothing is looked up for as long as nothing has been late at all since then.
    if (this.#entries.size === 0 || this.change <= since) return false
    return (this.#entries.get(nameOf(startMs, endMs, key))?.change ?? -1) > since
  }

  shiftChanges(by: number): void {
    this.change -= by
    for (const entry of this.#entries.values()) entry.change -= by
  }

  /** All entries. */
  entries(): Iterable<LateEntry> {
    return this.#entries.values()
  }

  /** Forgets windows that ended at or before `endMs`. */
  dropUntil(endMs: number): void {
    for (const [name, entry] of this.#entries) if (entry.endMs <= endMs) this.#entries.delete(name)
  }

  /** Forgets one entry that `entries` gave; allowed while walking them. */
  delete(entry: LateEntry): void {
    this.#entries.delete(nameOf(entry.startMs, entry.endMs, entry.group))
  }

  #entryOf(startMs: number, endMs: number, key: Uint8Array, hash: number): LateEntry | null {
    const name = nameOf(startMs, endMs, key)
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    if (this.#entries.size >= LATE_GROUPS_MAX) {
      this.overflow++
      return null
    }
    const counts = new Float64Array(this.#accumulators.count)
    const fresh = { startMs, endMs, group: key.slice(), hash, counts, change: this.change }
    this.#entries.set(name, fresh)
    return fresh
  }
}

function nameOf(startMs: number, endMs: number, key: Uint8Array): string {
  return `${startMs}/${endMs}/${String.fromCharCode(...key)}`
}
