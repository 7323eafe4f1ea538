/**
 * The most frequent texts: exact while they are few, then bounded.
 *
 * Owns: cells of this kind. Up to ITEMS_MAX different texts are counted exactly. Then the count that half of them exceed
 * is taken off all counts, and those that it leaves nothing of make room (Misra and Gries, the mergeable twin of
 * Space-Saving; Agarwal et al., PODS 2012). `offset` is what was taken off in all: a text that is here has between its
 * count and its count plus `offset`; one that is not has at most `offset`.
 *
 * Each taking-off lowers at least ITEMS_MAX / 2 counts by as much, so offset <= 2 n / ITEMS_MAX for n texts: 0.2 %, merged
 * in any way. Merging is commutative and associative in its bound, and exactly while offsets are 0. It does not invert.
 *
 *   u8 version | 0 0 0   u32 items   u32 slots (2^i, twice the room for items)   u32 text bytes in use
 *   f64 offset | u32 room for text | 0
 *   f64 counts[room] | u32 hashes[room] | u32 starts[room] | u32 lengths[room] | u32 slots | u8 texts
 */
import { hashBytes } from '../../core/hash.ts'
import { ITEMS_MAX } from '../../job/sketch-limits.ts'
import { CELL_BYTES_MAX, type CellStore, type LoadedCell } from '../cell-store.ts'
import { badCell } from './bad-cell.ts'

/** Longer texts are cut to this many bytes, at a character: those that begin alike count as one. */
export const ITEM_BYTES_MAX = 1024

const VERSION = 1
const BODY = 32
const SLOTS_FIRST = 8
const TEXT_FIRST = 32

/** One of the most frequent texts. */
export interface FrequentItem {
  readonly text: Uint8Array
  /** At least the true count, at most `error` more. */
  readonly count: number
  readonly error: number
}

/** Counts a text `count` times; returns the reference from now on. 0 is the empty sketch. */
export function itemsAdd(
  store: CellStore,
  ref: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): number {
  const cut = end - start > ITEM_BYTES_MAX ? characterStart(bytes, start + ITEM_BYTES_MAX) : end
  return addHashed(store, ref, hashBytes(bytes, start, cut), bytes, start, cut, count)
}

/** Adds what `store.loaded` holds. Returns the reference from now on. */
export function itemsMerge(store: CellStore, ref: number): number {
  if (ref === 0) return store.put()
  const from = store.loaded
  // The target may have to grow, which loads it: what is added is put aside first.
  const bytes = from.u8.slice(0, from.length)
  const u32 = new Uint32Array(bytes.buffer, 0, bytes.length >> 2)
  const f64 = new Float64Array(bytes.buffer, 0, bytes.length >> 3)
  store.open(ref)
  store.f64[store.at / 8 + 2]! += f64[2]!
  const items = u32[1]!
  const room = u32[2]! / 2
  let into = ref
  for (let i = 0; i < items; i++) {
    const start = textsAt(u32[2]!) + u32[(BODY + room * 12) / 4 + i]!
    const length = u32[(BODY + room * 16) / 4 + i]!
    into = addHashed(store, into, u32[(BODY + room * 8) / 4 + i]!, bytes, start, start + length, f64[BODY / 8 + i]!)
  }
  return into
}

/** The `k` most frequent texts, the most frequent first, of equal ones the lesser first. */
export function itemsTop(store: CellStore, ref: number, k: number): FrequentItem[] {
  if (ref === 0) return []
  store.read(ref)
  const { u8, f64, at } = store
  const error = f64[at / 8 + 2]!
  return topPlaces(store, k).map(({ count, start, length }) => ({
    text: u8.slice(start, start + length),
    count: count + error,
    error,
  }))
}

/** The count of the most frequent text, without its texts; NaN of none. */
export function itemsGreatest(store: CellStore, ref: number): number {
  if (ref === 0) return Number.NaN
  store.read(ref)
  const { u32, f64, at } = store
  let greatest = Number.NaN
  for (let i = 0; i < u32[at / 4 + 1]!; i++) {
    const count = f64[(at + BODY) / 8 + i]! + f64[at / 8 + 2]!
    if (!(count <= greatest)) greatest = count
  }
  return greatest
}

/** A copy in `into` for a closed window: the `k` most frequent texts alone. */
export function itemsSettle(store: CellStore, ref: number, k: number, into: CellStore): number {
  const top = itemsTop(store, ref, k)
  const error = top[0]?.error ?? 0
  let slots = SLOTS_FIRST
  while (slots < top.length * 2) slots *= 2
  const settled = allocate(
    into,
    slots,
    Math.max(
      1,
      top.reduce((sum, item) => sum + item.text.length, 0),
    ),
  )
  into.f64[into.at / 8 + 2] = error
  for (const item of top)
    place(into, hashBytes(item.text, 0, item.text.length), item.text, 0, item.text.length, item.count - error)
  return settled
}

/** Refuses bytes that are no such sketch. Throws STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function itemsCheck({ u8, u32, f64, length }: LoadedCell): void {
  if (length < BODY) badCell('list of frequent texts', `${length} bytes`)
  if (u8[0] !== VERSION) badCell('list of frequent texts', `version ${u8[0]}`, true)
  const items = u32[1]!
  const slots = u32[2]!
  const room = slots / 2
  const known = slots >= SLOTS_FIRST && slots <= 2 * ITEMS_MAX && (slots & (slots - 1)) === 0
  if (!known || items > room || length !== textsAt(slots) + u32[6]! || u32[3]! > u32[6]!)
    badCell('list of frequent texts', `${items} items and ${slots} slots in ${length} bytes`)
  if (!(f64[2]! >= 0 && f64[2]! <= Number.MAX_SAFE_INTEGER)) badCell('list of frequent texts', `offset ${f64[2]}`)
  for (let i = 0; i < items; i++) {
    const start = u32[(BODY + room * 12) / 4 + i]!
    const size = u32[(BODY + room * 16) / 4 + i]!
    if (start + size > u32[3]! || size > ITEM_BYTES_MAX) badCell('list of frequent texts', `text ${i} is not inside`)
    const count = f64[BODY / 8 + i]!
    if (!(count > 0 && count <= Number.MAX_SAFE_INTEGER)) badCell('list of frequent texts', `count ${i} is ${count}`)
  }
  const seen = new Set<number>()
  for (let i = 0; i < slots; i++) {
    const found = u32[(BODY + room * 20) / 4 + i]!
    if (found === 0) continue
    if (found > items || seen.has(found)) badCell('list of frequent texts', `slot ${i} leads to ${found}`)
    seen.add(found)
  }
  if (seen.size !== items) badCell('list of frequent texts', `${seen.size} slots for ${items} items`)
}

function textsAt(slots: number): number {
  return BODY + (slots / 2) * 20 + slots * 4
}

function characterStart(bytes: Uint8Array, at: number): number {
  let start = at
  while ((bytes[start]! & 0xc0) === 0x80) start--
  return start
}

function allocate(store: CellStore, slots: number, text: number): number {
  const ref = store.allocate(textsAt(slots) + text)
  store.u8[store.at] = VERSION
  store.u32[store.at / 4 + 2] = slots
  store.u32[store.at / 4 + 6] = text
  return ref
}

function addHashed(
  store: CellStore,
  ref: number,
  hash: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): number {
  let into = ref
  if (into === 0) into = allocate(store, SLOTS_FIRST, Math.max(TEXT_FIRST, end - start))
  else store.open(into)
  for (;;) {
    const { u32, at } = store
    const item = find(store, hash, bytes, start, end)
    if (item >= 0) {
      store.f64[(at + BODY) / 8 + item]! += count
      return into
    }
    const slots = u32[at / 4 + 2]!
    const used = u32[at / 4 + 3]!
    const text = u32[at / 4 + 6]!
    if (u32[at / 4 + 1]! < slots / 2 && used + end - start <= text) {
      place(store, hash, bytes, start, end, count)
      return into
    }
    if (u32[at / 4 + 1]! < slots / 2) into = rebuild(store, into, slots, Math.max(text * 2, used + end - start), 0)
    else if (slots < 2 * ITEMS_MAX) into = rebuild(store, into, slots * 2, text, 0)
    else into = rebuild(store, into, slots, text, median(store))
  }
}

/** The number of a text among the items; -1 if it is not there. The cell is open. */
function find(store: CellStore, hash: number, bytes: Uint8Array, start: number, end: number): number {
  const { u8, u32, at } = store
  const slots = u32[at / 4 + 2]!
  const room = slots / 2
  const base = (at + BODY) / 4
  const length = end - start
  for (let slot = hash & (slots - 1); ; slot = (slot + 1) & (slots - 1)) {
    const found = u32[base + room * 5 + slot]!
    if (found === 0) return -1
    const item = found - 1
    if (u32[base + room * 2 + item] !== hash || u32[base + room * 4 + item] !== length) continue
    const from = at + textsAt(slots) + u32[base + room * 3 + item]!
    let i = 0
    while (i < length && u8[from + i] === bytes[start + i]) i++
    if (i === length) return item
  }
}

/** Adds an item that is not there, where there is room. The cell is open. */
function place(store: CellStore, hash: number, bytes: Uint8Array, start: number, end: number, count: number): void {
  const { u8, u32, f64, at } = store
  const slots = u32[at / 4 + 2]!
  const room = slots / 2
  const base = (at + BODY) / 4
  const item = u32[at / 4 + 1]!
  const used = u32[at / 4 + 3]!
  u32[at / 4 + 1] = item + 1
  u32[at / 4 + 3] = used + end - start
  f64[(at + BODY) / 8 + item] = count
  u32[base + room * 2 + item] = hash
  u32[base + room * 3 + item] = used
  u32[base + room * 4 + item] = end - start
  const into = at + textsAt(slots) + used
  for (let i = start; i < end; i++) u8[into + i - start] = bytes[i]!
  let slot = hash & (slots - 1)
  while (u32[base + room * 5 + slot] !== 0) slot = (slot + 1) & (slots - 1)
  u32[base + room * 5 + slot] = item + 1
}

/** Lays the cell out anew with this much room, `less` taken off every count. The cell is open before and after. */
function rebuild(store: CellStore, ref: number, slots: number, text: number, less: number): number {
  const { u8, u32, f64 } = store.load(ref)
  const offset = f64[2]! + less
  store.free(ref)
  // No text of 1,024 items is longer than 1 KB, so a cell stays far below the limit.
  const into = allocate(store, slots, Math.min(text, CELL_BYTES_MAX - textsAt(slots)))
  store.f64[store.at / 8 + 2] = offset
  const room = u32[2]! / 2
  const texts = textsAt(u32[2]!)
  for (let i = 0; i < u32[1]!; i++) {
    const count = f64[BODY / 8 + i]! - less
    if (count <= 0) continue
    const start = texts + u32[(BODY + room * 12) / 4 + i]!
    const end = start + u32[(BODY + room * 16) / 4 + i]!
    place(store, u32[(BODY + room * 8) / 4 + i]!, u8, start, end, count)
  }
  return into
}

const scratch = new Float64Array(ITEMS_MAX)

/** The greatest count that is no greater than those of half of the items and one more. */
function median(store: CellStore): number {
  const base = (store.at + BODY) / 8
  for (let i = 0; i < ITEMS_MAX; i++) scratch[i] = store.f64[base + i]!
  scratch.sort()
  return scratch[ITEMS_MAX / 2 - 1]!
}

interface Place {
  readonly count: number
  readonly start: number
  readonly length: number
}

function topPlaces(store: CellStore, k: number): Place[] {
  const { u8, u32, f64, at } = store
  const slots = u32[at / 4 + 2]!
  const room = slots / 2
  const base = (at + BODY) / 4
  const places: Place[] = []
  for (let i = 0; i < u32[at / 4 + 1]!; i++) {
    places.push({
      count: f64[(at + BODY) / 8 + i]!,
      start: at + textsAt(slots) + u32[base + room * 3 + i]!,
      length: u32[base + room * 4 + i]!,
    })
  }
  places.sort((a, b) => b.count - a.count || compareBytes(u8, a, b))
  return places.slice(0, k)
}

function compareBytes(u8: Uint8Array, a: Place, b: Place): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const order = u8[a.start + i]! - u8[b.start + i]!
    if (order !== 0) return order
  }
  return a.length - b.length
}
