/**
 * The timers of one subtask in the order in which they fire: by time, then key group, then key.
 *
 * Owns: the order. Which timers there are is said by entries (Entry.eventTimers): a deleted timer stays here until its
 * time and is passed over, or until there are more of them than of the others. The order among equal times does not depend on when timers were set, so it is the same after
 * a restore.
 */
import type { Entry } from './keyed-store.ts'
import type { TimeDomain } from './keys.ts'

interface Timer {
  readonly timeMs: number
  readonly entry: Entry
}

/** Deleted timers that are never too many to stay. */
const DELETED_LEAST = 1024

/** A binary heap of timers of one domain. */
export class TimerQueue {
  readonly #domain: TimeDomain
  #heap: Timer[] = []
  /** Timers in the heap that were deleted, at most: some may have left it, or be set again. */
  #deleted = 0

  constructor(domain: TimeDomain) {
    this.#domain = domain
  }

  /** Registers a timer; twice the same is once. */
  add(entry: Entry, timeMs: number): boolean {
    const timers = timersOf(entry, this.#domain)
    if (timers?.has(timeMs)) return false
    if (timers !== null) timers.add(timeMs)
    else if (this.#domain === 'event') entry.eventTimers = new Set([timeMs])
    else entry.processingTimers = new Set([timeMs])
    this.enqueue(entry, timeMs)
    return true
  }

  /** Takes a timer back; false when there is none. */
  delete(entry: Entry, timeMs: number): boolean {
    const deleted = timersOf(entry, this.#domain)?.delete(timeMs) ?? false
    if (deleted && ++this.#deleted > Math.max(DELETED_LEAST, this.#heap.length / 2)) this.#dropDeleted()
    return deleted
  }

  /** Timers that are held, deleted ones included. */
  get held(): number {
    return this.#heap.length
  }

  /** Puts a timer that its entry has already into the order: after a restore. */
  enqueue(entry: Entry, timeMs: number): void {
    const heap = this.#heap
    const timer = { timeMs, entry }
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(timer, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  /** Time of the next timer; Infinity when there is none. */
  get nextMs(): number {
    this.#dropDead()
    return this.#heap[0]?.timeMs ?? Number.POSITIVE_INFINITY
  }

  /** Takes the next timer at or before `timeMs` out of the order and out of its entry. */
  take(timeMs: number): { readonly entry: Entry; readonly timeMs: number } | undefined {
    this.#dropDead()
    const first = this.#heap[0]
    if (first === undefined || first.timeMs > timeMs) return undefined
    this.#pop()
    timersOf(first.entry, this.#domain)!.delete(first.timeMs)
    return first
  }

  /** Builds the heap anew of the timers that there are, each once. */
  #dropDeleted(): void {
    const former = this.#heap
    const kept = new Map<Entry, Set<number>>()
    this.#heap = []
    this.#deleted = 0
    for (const { entry, timeMs } of former) {
      if (!entry.live || timersOf(entry, this.#domain)?.has(timeMs) !== true) continue
      const times = kept.get(entry) ?? new Set()
      if (times.has(timeMs)) continue
      kept.set(entry, times.add(timeMs))
      this.enqueue(entry, timeMs)
    }
  }

  #dropDead(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.entry.live && timersOf(first.entry, this.#domain)?.has(first.timeMs) === true) return
      this.#pop()
    }
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    const count = heap.length
    if (count === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= count) break
      if (child + 1 < count && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function timersOf(entry: Entry, domain: TimeDomain): Set<number> | null {
  return domain === 'event' ? entry.eventTimers : entry.processingTimers
}

function isBefore(a: Timer, b: Timer): boolean {
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs
  if (a.entry.group !== b.entry.group) return a.entry.group < b.entry.group
  const left = String(a.entry.mapKey)
  const right = String(b.entry.mapKey)
  return left < right || (left === right && typeof a.entry.mapKey < typeof b.entry.mapKey)
}
