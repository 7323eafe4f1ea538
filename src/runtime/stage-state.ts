/** The state of one keyed stage of a program in one subtask: keyed and broadcast entries, their pages, and timers. */
import { MillraceError } from '../core/errors.ts'
import { BroadcastStore } from '../program/broadcast-store.ts'
import type { KeyedNode } from '../program/graph.ts'
import { KeyedStore } from '../program/keyed-store.ts'
import type { Key } from '../program/keys.ts'
import { StatePages } from '../program/state-pages.ts'
import { TimerQueue } from '../program/timer-queue.ts'

/** State of one stage's subtask: made first, filled by a restore, then run. */
export class StageState {
  readonly store: KeyedStore
  readonly broadcast = new BroadcastStore()
  readonly pages: StatePages
  readonly eventTimers = new TimerQueue('event')
  readonly processingTimers = new TimerQueue('processing')

  readonly #node: KeyedNode

  constructor(node: KeyedNode, range: { readonly start: number; readonly end: number }) {
    this.#node = node
    this.store = new KeyedStore(node.id, node.slots.length, range)
    this.pages = new StatePages(this.store, this.broadcast)
  }

  /** Throws STATE_LIMIT when there is more stored than `limitBytes`. */
  checkLimit(limitBytes: number): void {
    const { storedBytes } = this.pages
    if (storedBytes <= limitBytes) return
    throw new MillraceError(
      'STATE_LIMIT',
      `operator ${this.#node.id} holds ${storedBytes} bytes of state in one subtask, above its share of the job's ` +
        `stateLimit (${limitBytes}): raise stateLimit, or give state a time to live`,
    )
  }

  /** What is kept of a key, by the names of its parts and of its timers; undefined when nothing is. */
  describe(key: Key): Readonly<Record<string, unknown>> | undefined {
    for (const { number } of this.store.groups) {
      const entry = this.store.find(number, key)
      if (entry === undefined) continue
      const slots = this.#node.slots.map((slot, i) => [slot.slice(0, slot.lastIndexOf(':')), entry.slots[i]])
      const timers = (times: ReadonlySet<number> | null): number[] => [...(times ?? [])].sort((a, b) => a - b)
      return {
        ...Object.fromEntries(slots),
        eventTimers: timers(entry.eventTimers),
        processingTimers: timers(entry.processingTimers),
      }
    }
    return undefined
  }

  /** Puts the timers of restored entries into their order. */
  enqueueTimers(): void {
    for (const { entries } of this.store.groups) {
      for (const entry of entries.values()) {
        for (const timeMs of entry.eventTimers ?? []) this.eventTimers.enqueue(entry, timeMs)
        for (const timeMs of entry.processingTimers ?? []) this.processingTimers.enqueue(entry, timeMs)
      }
    }
  }
}
