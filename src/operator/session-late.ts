/**
 * Late events of session windows: which session would have had them.
 *
 * A late event touches no session that is still kept, so it belongs to one that is closed, or would have made one of its
 * own. Owns: what came too late as stretches of time a group, merged as sessions are; a session misses the events of the
 * stretches that it touches. Bounded like operator/late-ledger.
 */
import { touches } from '../window/session.ts'
import { type Accumulators, COUNT } from './accumulators.ts'
import type { LateCounts } from './late-counts.ts'
import type { LateEntry } from './late-ledger.ts'

/** Most stretches that are told apart, a table and subtask. */
const STRETCHES_MAX = 65_536

interface Stretch {
  startMs: number
  endMs: number
  readonly group: Uint8Array
  readonly hash: number
  readonly counts: Float64Array
  change: number
}

/** Late counts of one table of sessions. */
export class SessionLate implements LateCounts {
  change = 0
  size = 0
  /** Late events beyond the bound, not told apart. */
  overflow = 0
  readonly #groups = new Map<string, Stretch[]>()
  readonly #accumulators: Accumulators

  constructor(accumulators: Accumulators) {
    this.#accumulators = accumulators
  }

  addEvents(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    length: number,
    hash: number,
    bits: number,
    events: number,
  ): void {
    const stretch = this.#stretchOf(startMs, endMs, key.subarray(0, length), hash)
    if (stretch === null) return
    const { kinds, predicates } = this.#accumulators
    for (let i = 0; i < kinds.length; i++)
      if (kinds[i] === COUNT && (bits & (1 << predicates[i]!)) !== 0) stretch.counts[i]! += events
  }

  addCounts(startMs: number, endMs: number, key: Uint8Array, hash: number, counts: Float64Array, at: number): void {
    const stretch = this.#stretchOf(startMs, endMs, key, hash)
    if (stretch !== null) for (let i = 0; i < stretch.counts.length; i++) stretch.counts[i]! += counts[at + i]!
  }

  count(startMs: number, endMs: number, key: Uint8Array, accumulator: number): number {
    if (this.size === 0) return 0
    let sum = 0
    for (const stretch of this.#groups.get(nameOf(key)) ?? []) {
      if (touches(startMs, endMs, stretch.startMs, stretch.endMs)) sum += stretch.counts[accumulator]!
    }
    return sum
  }

  changedSince(since: number, startMs: number, endMs: number, key: Uint8Array): boolean {
    if (this.size === 0 || this.change <= since) return false
    return (this.#groups.get(nameOf(key)) ?? []).some(
      (stretch) => stretch.change > since && touches(startMs, endMs, stretch.startMs, stretch.endMs),
    )
  }

  shiftChanges(by: number): void {
    this.change -= by
    for (const stretches of this.#groups.values()) for (const stretch of stretches) stretch.change -= by
  }

  *entries(): Iterable<LateEntry> {
    for (const stretches of this.#groups.values()) yield* stretches
  }

  dropUntil(endMs: number): void {
    for (const [name, stretches] of this.#groups) {
      const kept = stretches.filter((stretch) => stretch.endMs > endMs)
      if (kept.length === stretches.length) continue
      this.size -= stretches.length - kept.length
      if (kept.length === 0) this.#groups.delete(name)
      else this.#groups.set(name, kept)
    }
  }

  #stretchOf(startMs: number, endMs: number, key: Uint8Array, hash: number): Stretch | null {
    const name = nameOf(key)
    let stretches = this.#groups.get(name)
    const touching = stretches?.filter((stretch) => touches(startMs, endMs, stretch.startMs, stretch.endMs)) ?? []
    const [known, ...bridged] = touching
    if (known !== undefined) {
      known.startMs = Math.min(startMs, ...touching.map((stretch) => stretch.startMs))
      known.endMs = Math.max(endMs, ...touching.map((stretch) => stretch.endMs))
      known.change = this.change
      // Stretches never touch: what is restored one by one is then what it was.
      for (const other of bridged) {
        for (let i = 0; i < known.counts.length; i++) known.counts[i]! += other.counts[i]!
        stretches!.splice(stretches!.indexOf(other), 1)
        this.size--
      }
      return known
    }
    if (this.size >= STRETCHES_MAX) {
      this.overflow++
      return null
    }
    const counts = new Float64Array(this.#accumulators.count)
    const fresh = { startMs, endMs, group: key.slice(), hash, counts, change: this.change }
    if (stretches === undefined) this.#groups.set(name, (stretches = []))
    stretches.push(fresh)
    this.size++
    return fresh
  }
}

function nameOf(key: Uint8Array): string {
  let name = ''
  for (let i = 0; i < key.length; i++) name += String.fromCharCode(key[i]!)
  return name
}
