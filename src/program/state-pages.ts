/**
 * The state of a keyed operator as pages of a checkpoint, and back.
 *
 * Owns: what is in a page, and which pages a key group has. Does not own: chunks (checkpoint/chunk-writer.ts), which
 * checkpoint is restored.
 *
 * A key group has pages in order: first the group as it was once, then what changed since, page by page. A later row of
 * a key replaces an earlier one. When the changes have come to as many rows as the group has keys, or to too many pages,
 * or when pages can no longer be kept where they are, the group is written anew as a whole.
 *
 *   row = u8 PUT | key | slots | expiry | event timers | processing timers, each a value      or  u8 DROP | key
 *
 * Rows of a page share the names of object keys (see program/value-writer.ts).
 */
import type { PagePack, PageWriter } from '../checkpoint/chunk-writer.ts'
import { MillraceError } from '../core/errors.ts'
import type { PageLocation } from '../state/pages.ts'
import type { BroadcastStore } from './broadcast-store.ts'
import type { Entry, Group, KeyedStore } from './keyed-store.ts'
import type { Key, MapKey } from './keys.ts'
import { ValueReader } from './value-reader.ts'
import { ValueWriter } from './value-writer.ts'

const DROP = 0
const PUT = 1

/** Bytes at which a page is full: a chunk then holds several. */
const PAGE_BYTES = 128 * 1024
/** Pages of changes after which a group is written anew. */
const CHANGE_PAGES_MAX = 16

/** Table id of keyed pages. */
export const STATE_TABLE = 'state'
/** Table id of broadcast pages. */
export const BROADCAST_TABLE = 'broadcast'

/** A page that a checkpoint may refer to. */
export interface StoredPage {
  readonly number: number
  readonly rows: number
  readonly location: PageLocation
}

interface GroupPages {
  pages: StoredPage[]
  /** Of `pages`, those that hold the group as it was once. */
  basePages: number
  changedRows: number
  nextNumber: number
}

/** The pages of one subtask's keyed and broadcast state. */
export class StatePages {
  /** Bytes of state as stored when last written or restored. */
  storedBytes = 0
  readonly #store: KeyedStore
  readonly #broadcast: BroadcastStore
  readonly #byGroup: GroupPages[]
  readonly #writer = new ValueWriter(PAGE_BYTES + 4096)
  #broadcastPage: StoredPage | null = null

  constructor(store: KeyedStore, broadcast: BroadcastStore) {
    this.#store = store
    this.#broadcast = broadcast
    this.#byGroup = store.groups.map(() => ({ pages: [], basePages: 0, changedRows: 0, nextNumber: 0 }))
  }

  /** Writes what changed into `pack`, and keeps the rest where it is. State may change as soon as this returns. */
  copy(pack: PagePack, writer: Pick<PageWriter, 'isStale'>): void {
    let bytes = 0
    for (let i = 0; i < this.#byGroup.length; i++) {
      const pages = this.#byGroup[i]!
      this.#copyGroup(this.#store.groups[i]!, pages, pack, writer)
      for (const page of pages.pages) bytes += page.location.length
    }
    this.#copyBroadcast(pack, writer)
    this.storedBytes = bytes + (this.#broadcastPage?.location.length ?? 0)
  }

  /** Takes over a page of a restored checkpoint, in the order of page numbers; null `location`: it is not kept there. */
  adopt(group: number, page: Omit<StoredPage, 'location'>, location: PageLocation | null): void {
    const first = this.#store.groups[0]?.number ?? 0
    const pages = this.#byGroup[group - first]!
    pages.nextNumber = Math.max(pages.nextNumber, page.number + 1)
    if (location === null) {
      // Not ours to keep: the next checkpoint writes the group as a whole.
      pages.basePages = -1
      return
    }
    this.storedBytes += location.length
    pages.pages.push({ ...page, location })
    // Which pages are changes is not stored: all count as such, so that the group is written anew in time.
    pages.changedRows += page.rows
  }

  #copyGroup(group: Group, pages: GroupPages, pack: PagePack, writer: Pick<PageWriter, 'isStale'>): void {
    const changed = group.changed
    group.changed = []
    for (const entry of changed) entry.changed = false
    const stale = pages.basePages < 0 || pages.pages.some((page) => writer.isStale(page.location))
    const rows = pages.changedRows + changed.length
    const anew =
      stale ||
      (changed.length > 0 &&
        (rows > Math.max(64, group.entries.size) || pages.pages.length - pages.basePages >= CHANGE_PAGES_MAX))
    if (anew) {
      pages.pages = []
      pages.changedRows = 0
      this.#write(group.entries.values(), group, pages, pack)
      pages.basePages = pages.pages.length
      return
    }
    for (const { number, rows: count, location } of pages.pages)
      pack.keep(STATE_TABLE, group.number, number, count, location)
    pages.changedRows = rows
    this.#write(changed, group, pages, pack)
  }

  #write(entries: Iterable<Entry>, group: Group, pages: GroupPages, pack: PagePack): void {
    const writer = this.#writer
    let rows = 0
    const seal = (): void => {
      if (rows === 0) return
      const number = pages.nextNumber++
      const location = pack.write(STATE_TABLE, group.number, number, rows, writer.bytes.subarray(0, writer.length))
      pages.pages.push({ number, rows, location })
      rows = 0
    }
    writer.reset()
    for (const entry of entries) {
      this.#writeEntry(entry)
      entry.stored = entry.live
      rows++
      if (writer.length < PAGE_BYTES) continue
      seal()
      writer.reset()
    }
    seal()
  }

  #writeEntry(entry: Entry): void {
    try {
      writeEntry(this.#writer, entry)
    } catch (thrown) {
      const { code, message } = MillraceError.from(thrown)
      throw new MillraceError(code, `the state of ${this.#store.operator}, key ${String(entry.key)}: ${message}`)
    }
  }

  #copyBroadcast(pack: PagePack, writer: Pick<PageWriter, 'isStale'>): void {
    const { entries } = this.#broadcast
    const page = this.#broadcastPage
    if (page !== null && !this.#broadcast.changed && !writer.isStale(page.location)) {
      pack.keep(BROADCAST_TABLE, -1, page.number, page.rows, page.location)
      return
    }
    this.#broadcast.changed = false
    this.#broadcastPage = null
    if (entries.size === 0) return
    this.#writer.reset()
    this.#writer.write(entries)
    const number = (page?.number ?? 0) + 1
    const bytes = this.#writer.bytes.subarray(0, this.#writer.length)
    const location = pack.write(BROADCAST_TABLE, -1, number, entries.size, bytes)
    this.#broadcastPage = { number, rows: entries.size, location }
  }
}

function writeEntry(writer: ValueWriter, entry: Entry): void {
  writer.writeU8(entry.live ? PUT : DROP)
  writer.write(entry.key)
  if (!entry.live) return
  writer.write(entry.slots)
  writer.write(entry.expiry)
  writer.write(timesOf(entry.eventTimers))
  writer.write(timesOf(entry.processingTimers))
}

function timesOf(timers: ReadonlySet<number> | null): number[] | undefined {
  return timers === null || timers.size === 0 ? undefined : [...timers]
}

/**
 * Puts the rows of one page into a store; pages of a group in order. `slotOf[i]` is where slot i is kept now, -1 for one
 * that is no more. `expires[slot]`: whether it has a time to live now; where it has none, what was stored with one stays.
 */
export function readStatePage(
  bytes: Uint8Array,
  group: number,
  store: KeyedStore,
  slotOf: readonly number[],
  expires: readonly boolean[],
): void {
  const reader = new ValueReader()
  reader.reset(bytes)
  while (!reader.done) {
    const op = reader.readU8()
    if (op !== PUT && op !== DROP)
      throw new MillraceError('STATE_INCOMPATIBLE', `a page of state has a row of kind ${op}`)
    const key = reader.read() as Key
    const entry = store.entry(group, key)
    entry.slots.fill(undefined)
    entry.expiry = undefined
    entry.eventTimers = null
    entry.processingTimers = null
    entry.stored = true
    if (op === DROP) {
      entry.live = false
      store.group(group)!.entries.delete(entry.mapKey)
      continue
    }
    readEntry(reader, entry, slotOf, expires)
  }
}

function readEntry(reader: ValueReader, entry: Entry, slotOf: readonly number[], expires: readonly boolean[]): void {
  const slots = reader.read() as unknown[]
  const expiry = reader.read() as (number | undefined)[] | undefined
  for (let i = 0; i < slots.length; i++) {
    const slot = slotOf[i] ?? -1
    if (slot < 0) continue
    entry.slots[slot] = slots[i]
    if (expiry?.[i] === undefined || expires[slot] !== true) continue
    entry.expiry ??= new Array(entry.slots.length).fill(undefined)
    entry.expiry[slot] = expiry[i]
  }
  const eventTimers = reader.read() as number[] | undefined
  const processingTimers = reader.read() as number[] | undefined
  if (eventTimers !== undefined) entry.eventTimers = new Set(eventTimers)
  if (processingTimers !== undefined) entry.processingTimers = new Set(processingTimers)
}

/** Puts a broadcast page into a store. Every subtask has the same, so any one page will do. */
export function readBroadcastPage(bytes: Uint8Array, store: BroadcastStore): void {
  const reader = new ValueReader()
  reader.reset(bytes)
  store.entries.clear()
  for (const [key, value] of reader.read() as Map<MapKey, unknown>) store.entries.set(key, value)
  store.changed = true
}
