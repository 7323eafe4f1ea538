/**
 * The keyed state of one subtask of one operator: an entry a key, in a map a key group.
 *
 * Owns: finding, making and dropping entries, which of them changed since the last checkpoint, and timers as part of
 * entries. Does not own: what slots mean (program/state.ts, operators), pages (program/state-pages.ts), in which order
 * timers fire (program/timer-queue.ts).
 *
 * Invariants
 * - S1 An entry without slots and timers is dropped when it is settled; a key has at most one entry.
 * - S2 Every change goes through `touch`: what was not touched is not in the next checkpoint's changes.
 */
import type { KeyGroupRange } from '../core/key-groups.ts'
import { type Key, type MapKey, mapKeyOf } from './keys.ts'

/** All that is kept of one key. */
export interface Entry {
  readonly key: Key
  readonly mapKey: MapKey
  readonly group: number
  /** State by slot; undefined for none. */
  readonly slots: unknown[]
  /** When a slot's state expires, epoch ms of the wall clock; undefined when no slot has a time to live. */
  expiry: (number | undefined)[] | undefined
  eventTimers: Set<number> | null
  processingTimers: Set<number> | null
  /** In its group's `changed`. */
  changed: boolean
  /** Some page of a checkpoint has it. */
  stored: boolean
  /** False once it was dropped. */
  live: boolean
}

/** The entries of one key group. */
export interface Group {
  readonly number: number
  readonly entries: Map<MapKey, Entry>
  /** Touched since the last checkpoint, dropped ones included. */
  changed: Entry[]
}

/** The entries of a range of key groups. */
export class KeyedStore {
  readonly groups: readonly Group[]
  /** Whose state it is, for messages. */
  readonly operator: string
  readonly #slots: number
  readonly #first: number

  constructor(operator: string, slots: number, range: KeyGroupRange) {
    this.operator = operator
    this.#slots = slots
    this.#first = range.start
    this.groups = Array.from({ length: Math.max(0, range.end - range.start + 1) }, (_, i) => ({
      number: range.start + i,
      entries: new Map(),
      changed: [],
    }))
  }

  /** The group of that number; undefined when another subtask owns it. */
  group(number: number): Group | undefined {
    return this.groups[number - this.#first]
  }

  /** The entry of a key, made when there is none. */
  entry(group: number, key: Key): Entry {
    const { entries } = this.group(group)!
    const mapKey = mapKeyOf(key, this.operator)
    let entry = entries.get(mapKey)
    if (entry === undefined) {
      entry = {
        key,
        mapKey,
        group,
        slots: new Array(this.#slots).fill(undefined),
        expiry: undefined,
        eventTimers: null,
        processingTimers: null,
        changed: false,
        stored: false,
        live: true,
      }
      entries.set(mapKey, entry)
    }
    return entry
  }

  /** The entry of a key, if there is one. */
  find(group: number, key: Key): Entry | undefined {
    return this.group(group)?.entries.get(mapKeyOf(key, this.operator))
  }

  /** The entry has changed. */
  touch(entry: Entry): void {
    if (entry.changed) return
    entry.changed = true
    this.group(entry.group)!.changed.push(entry)
  }

  /** Drops an entry that holds nothing. Called when a record or timer of it is done. */
  settle(entry: Entry): void {
    if (!entry.live || !isEmpty(entry)) return
    entry.live = false
    this.group(entry.group)!.entries.delete(entry.mapKey)
    if (entry.stored) this.touch(entry)
  }

  /** Entries in all. */
  get size(): number {
    let size = 0
    for (const group of this.groups) size += group.entries.size
    return size
  }
}

function isEmpty(entry: Entry): boolean {
  if ((entry.eventTimers?.size ?? 0) > 0 || (entry.processingTimers?.size ?? 0) > 0) return false
  for (const slot of entry.slots) if (slot !== undefined) return false
  return true
}
