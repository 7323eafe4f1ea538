/**
 * How many different values: exactly up to a stated number of them, beyond it as a HyperLogLog says.
 *
 * Owns: cells of this kind. A cell holds the values themselves, compared by bytes, while they are at most `most` and take at
 * most 4 MB; from the first one more on it is the HyperLogLog of all of them (hll.ts), as one that had them from the start
 * would be. Both bounds are those of a set, so what a cell is depends on its values only, and not on their order or on how
 * they were split: union is commutative, associative and idempotent, to the bit of the answer.
 *
 *   u8 version | u8 mode | u8 p | 0 | u32 values | u32 bytes of entries | u32 slots = 2^i | u32 slots[] | entries
 *   entry = u32 hash high | u32 hash low | u32 length | value, to whole words        settled: header of 8 bytes | f64
 *
 * A slot is the place of an entry in words, from the first one, plus 1; 0 for none. It does not invert.
 */
import { hashBytes64, lanes } from '../../core/hash64.ts'
import type { CellStore, LoadedCell } from '../cell-store.ts'
import { badCell } from './bad-cell.ts'
import { hllAdd, hllCheck, hllEstimate, hllMerge, hllSettle } from './hll.ts'

const VERSION = 1
/** Beside the modes of a HyperLogLog, 0 to 2. */
const EXACT = 3
const EXACT_SETTLED = 4
const SETTLED_BYTES = 16
/** Words before the slots. */
const HEAD_WORDS = 4
const ENTRY_WORDS = 3
const SLOTS_FIRST = 8
const ENTRIES_FIRST_WORDS = 32

/** Bytes of entries that a cell holds. */
const ENTRY_BYTES_MAX = 4 * 1024 * 1024

/** A cell's numbers as one: precision of its HyperLogLog, and values that are counted exactly. */
export function boundedParameter(p: number, most: number): number {
  return most * 32 + p
}

/** Precision of a parameter. */
export function precisionOf(parameter: number): number {
  return parameter % 32
}

/** Values that are counted exactly, of a parameter. */
export function exactUpToOf(parameter: number): number {
  return Math.floor(parameter / 32)
}

/** Adds the value `bytes[start .. end)`. Returns the reference from now on; 0 is the empty set. */
export function boundedAdd(
  store: CellStore,
  ref: number,
  parameter: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  hashBytes64(bytes, start, end)
  return add(store, ref, parameter, lanes[0]!, lanes[1]!, bytes, start, end)
}

/** Adds what `store.loaded` holds. Returns the reference from now on. */
export function boundedMerge(store: CellStore, ref: number, parameter: number): number {
  const { loaded } = store
  if (ref === 0) return store.put()
  let into = ref
  if (loaded.u8[1] === EXACT) {
    // A copy: growing the target loads it.
    const u8 = loaded.u8.slice(0, loaded.length)
    const u32 = new Uint32Array(u8.buffer)
    eachEntry(u32, 0, (word) => {
      const start = (word + ENTRY_WORDS) * 4
      into = add(store, into, parameter, u32[word]!, u32[word + 1]!, u8, start, start + u32[word + 2]!)
    })
    return into
  }
  store.read(into)
  if (store.u8[store.at + 1] !== EXACT) return hllMerge(store, into, precisionOf(parameter))
  // The other has more values than are counted exactly, so both have.
  const own = store.u32.slice(store.at / 4, store.at / 4 + (store.length >>> 2))
  store.free(into)
  into = store.put()
  eachEntry(own, 0, (word) => {
    into = hllAdd(store, into, precisionOf(parameter), own[word]!, own[word + 1]!)
  })
  return into
}

/** How many different values, a whole number; 0 of the empty set. */
export function boundedCount(store: CellStore, ref: number): number {
  if (ref === 0) return 0
  store.read(ref)
  const mode = store.u8[store.at + 1]
  if (mode === EXACT) return store.u32[store.at / 4 + 1]!
  return mode === EXACT_SETTLED ? store.f64[store.at / 8 + 1]! : hllEstimate(store, ref)
}

/** Whether `boundedCount` is exact. */
export function boundedIsExact(store: CellStore, ref: number): boolean {
  if (ref === 0) return true
  store.read(ref)
  return store.u8[store.at + 1]! >= EXACT
}

/** A copy in `into` for a closed window: the number alone, and whether it is exact. */
export function boundedSettle(store: CellStore, ref: number, into: CellStore): number {
  if (!boundedIsExact(store, ref)) return hllSettle(store, ref, into)
  const count = boundedCount(store, ref)
  const settled = into.allocate(SETTLED_BYTES)
  into.u8[into.at] = VERSION
  into.u8[into.at + 1] = EXACT_SETTLED
  into.f64[into.at / 8 + 1] = count
  return settled
}

/** Refuses bytes that are no such set. Throws STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function boundedCheck(cell: LoadedCell, parameter: number): void {
  const { u8, u32, length } = cell
  const mode = length < 8 ? 0 : u8[1]!
  if (mode < EXACT) {
    hllCheck(cell, precisionOf(parameter))
    return
  }
  if (u8[0] !== VERSION) badCell('set of values', `version ${u8[0]}`, true)
  if (mode === EXACT_SETTLED && length === SETTLED_BYTES) return
  const words = Math.floor(length / 4)
  const [, values = 0, entryBytes = 0, slots = 0] = u32.subarray(0, HEAD_WORDS)
  const from = HEAD_WORDS + slots
  if (mode !== EXACT || length < HEAD_WORDS * 4 || (slots & (slots - 1)) !== 0 || from * 4 + entryBytes > length)
    badCell('set of values', `mode ${mode} with ${length} bytes`)
  if (values === 0 || values > exactUpToOf(parameter) || entryBytes % 4 !== 0 || values * 4 > slots * 3)
    badCell('set of values', `${values} values`)
  let found = 0
  for (let word = from; word < from + entryBytes / 4; word += wordsOf(u32[word + 2]!), found++) {
    if (word + ENTRY_WORDS > words || word + wordsOf(u32[word + 2]!) > words) badCell('set of values', 'its entries')
    hashBytes64(u8, (word + ENTRY_WORDS) * 4, (word + ENTRY_WORDS) * 4 + u32[word + 2]!)
    if (lanes[0] !== u32[word] || lanes[1] !== u32[word + 1]) badCell('set of values', `the hash of value ${found}`)
  }
  const placed = u32.subarray(HEAD_WORDS, from).filter((slot) => slot !== 0)
  if (found !== values || placed.length !== values || placed.some((slot) => (slot - 1) * 4 >= entryBytes))
    badCell('set of values', `${found} values in ${placed.length} places`)
}

function add(
  store: CellStore,
  ref: number,
  parameter: number,
  high: number,
  low: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  let into = ref
  if (into === 0) into = create(store, parameter)
  else store.read(into)
  if (store.u8[store.at + 1] !== EXACT) return hllAdd(store, into, precisionOf(parameter), high, low)
  const length = end - start
  const { u32, u8 } = store
  const head = store.at / 4
  const slots = u32[head + 3]!
  const entries = head + HEAD_WORDS + slots
  let place = low & (slots - 1)
  for (let slot = u32[head + HEAD_WORDS + place]!; slot !== 0; slot = u32[head + HEAD_WORDS + place]!) {
    const word = entries + slot - 1
    if (u32[word + 1] === low && u32[word] === high && u32[word + 2] === length) {
      let same = 0
      for (const at = (word + ENTRY_WORDS) * 4; same < length && u8[at + same] === bytes[start + same]; ) same++
      if (same === length) return into
    }
    place = (place + 1) & (slots - 1)
  }
  const values = u32[head + 1]!
  const entryBytes = u32[head + 2]!
  const needed = entryBytes + wordsOf(length) * 4
  if (values >= exactUpToOf(parameter) || needed > ENTRY_BYTES_MAX)
    return hllAdd(store, estimate(store, into, parameter), precisionOf(parameter), high, low)
  if ((values + 1) * 4 > slots * 3) {
    into = widen(store, into, slots * 2)
    return add(store, into, parameter, high, low, bytes, start, end)
  }
  const wanted = (HEAD_WORDS + slots) * 4 + needed
  if (wanted > store.length) into = store.resize(into, Math.max(wanted, store.length + (store.length >>> 1)) & ~3)
  else store.open(into)
  put(store, slots, place, entryBytes, high, low, bytes, start, length)
  store.u32[store.at / 4 + 1] = values + 1
  store.u32[store.at / 4 + 2] = needed
  return into
}

function put(
  store: CellStore,
  slots: number,
  place: number,
  entryBytes: number,
  high: number,
  low: number,
  bytes: Uint8Array,
  start: number,
  length: number,
): void {
  const { u32, u8 } = store
  const head = store.at / 4
  const word = head + HEAD_WORDS + slots + entryBytes / 4
  u32[head + HEAD_WORDS + place] = entryBytes / 4 + 1
  u32[word] = high
  u32[word + 1] = low
  u32[word + 2] = length
  const at = (word + ENTRY_WORDS) * 4
  // What the last word has beside the value is 0: the same set in the same order is the same bytes.
  if ((length & 3) !== 0) u32[word + ENTRY_WORDS + (length >>> 2)] = 0
  for (let i = 0; i < length; i++) u8[at + i] = bytes[start + i]!
}

function create(store: CellStore, parameter: number): number {
  const ref = store.allocate((HEAD_WORDS + SLOTS_FIRST + ENTRIES_FIRST_WORDS) * 4)
  store.u8[store.at] = VERSION
  store.u8[store.at + 1] = EXACT
  store.u8[store.at + 2] = precisionOf(parameter)
  store.u32[store.at / 4 + 3] = SLOTS_FIRST
  return ref
}

/** The same set with `slots` slots: its entries move back. */
function widen(store: CellStore, ref: number, slots: number): number {
  const head = store.at / 4
  const before = store.u32[head + 3]!
  const entryWords = store.u32[head + 2]! / 4
  const entries = store.u32.slice(head + HEAD_WORDS + before, head + HEAD_WORDS + before + entryWords)
  const into = store.resize(ref, (HEAD_WORDS + slots) * 4 + entryWords * 4 + (entryWords >>> 2) * 4)
  const { u32 } = store
  const from = store.at / 4 + HEAD_WORDS
  u32[store.at / 4 + 3] = slots
  u32.fill(0, from, from + slots)
  u32.set(entries, from + slots)
  for (let word = 0; word < entryWords; word += wordsOf(entries[word + 2]!)) {
    let place = entries[word + 1]! & (slots - 1)
    while (u32[from + place] !== 0) place = (place + 1) & (slots - 1)
    u32[from + place] = word + 1
  }
  return into
}

/** The HyperLogLog of the set, in its place. */
function estimate(store: CellStore, ref: number, parameter: number): number {
  const own = store.u32.slice(store.at / 4, store.at / 4 + (store.length >>> 2))
  store.free(ref)
  let into = 0
  eachEntry(own, 0, (word) => {
    into = hllAdd(store, into, precisionOf(parameter), own[word]!, own[word + 1]!)
  })
  return into
}

/** Gives the word of each entry of the set that begins at word `head`. */
function eachEntry(u32: Uint32Array, head: number, visit: (word: number) => void): void {
  const from = head + HEAD_WORDS + u32[head + 3]!
  const end = from + u32[head + 2]! / 4
  for (let word = from; word < end; word += wordsOf(u32[word + 2]!)) visit(word)
}

/** Words of an entry whose value has so many bytes. */
function wordsOf(length: number): number {
  return ENTRY_WORDS + ((length + 3) >>> 2)
}
