/**
 * Finds the keys of a whole batch in a keyed table.
 *
 * Owns: the order in which memory is asked for. Does not own: the table (state/keyed-table).
 *
 * What a lookup waits for is memory: its slot, then its row; both lie anywhere. So keys are found a block at a time, in two
 * passes over the index and two over the rows, of which the first only touches. A pass that touches has no branch on what
 * it loads: the processor waits for many of its loads at once, where a comparison that it guessed wrong would end that.
 */
import {
  type KeyedTable,
  ROW_KEY,
  ROW_KEY_BYTES,
  ROW_KEY_LENGTH,
  ROW_OWNER,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
} from './keyed-table.ts'

// What a module exports, or imports, is read from memory and checked at each use; what it keeps to itself is compiled in.
const PAGE_SHIFT = ROW_PAGE_SHIFT
const PAGE_MASK = ROW_PAGE_MASK
const LENGTH = ROW_KEY_LENGTH
const OWNER = ROW_OWNER
const KEY = ROW_KEY
const KEY_BYTES = ROW_KEY_BYTES

/** Keys that are found together: what they touch stays in the nearest caches until it is compared. */
const BLOCK = 128
/** Row + 1 of the candidate for each key of a block, 0 for none; and one more, which keeps loads that only touch alive. */
const candidates = new Uint32Array(BLOCK + 1)

/** Keys as a batch has them: from a multiple of 4 on, at least ROW_KEY_BYTES, filled up with zeros. */
export interface KeyColumn {
  readonly words: Uint32Array
  /** The same memory. */
  readonly bytes: Uint8Array
  /** Where each key starts, in bytes. */
  readonly keyStart: Uint32Array
  readonly keyLength: Uint32Array
}

/**
 * Finds keys `from` .. `to` - 1: `rows[i]` becomes the row of key i with owner `owners[i]` (0 where `owners` is null), or
 * -1.
 */
export function findAll(
  table: KeyedTable,
  hashes: Uint32Array,
  owners: Uint32Array | null,
  keys: KeyColumn,
  from: number,
  to: number,
  rows: Int32Array,
): void {
  for (let start = from; start < to; start += BLOCK) {
    const end = Math.min(start + BLOCK, to)
    findCandidates(table, hashes, start, end)
    compareCandidates(table, hashes, owners, keys, start, end, rows)
  }
}

/** Sets `candidates` for keys `from` .. `to` - 1, and touches their rows. */
function findCandidates(table: KeyedTable, hashes: Uint32Array, from: number, to: number): void {
  const { slots, mask, rowMask } = table.index
  let touched = 0
  for (let i = from; i < to; i++) touched ^= slots[hashes[i]! & mask]!
  for (let i = from; i < to; i++) {
    const hash = hashes[i]!
    let at = hash & mask
    let slot = slots[at]!
    while (slot !== 0 && ((slot ^ hash) & ~rowMask) !== 0) {
      at = (at + 1) & mask
      slot = slots[at]!
    }
    candidates[i - from] = slot & rowMask
  }
  const pages = table.rows.pages
  const stride = table.strideU32
  for (let i = 0; i < to - from; i++) {
    const row = candidates[i]! - 1
    if (row >= 0) touched ^= pages[row >>> PAGE_SHIFT]!.u32[(row & PAGE_MASK) * stride + LENGTH]!
  }
  candidates[BLOCK] = touched
}

/** Sets `rows` for keys `from` .. `to` - 1 from their candidates. */
function compareCandidates(
  table: KeyedTable,
  hashes: Uint32Array,
  owners: Uint32Array | null,
  { words, bytes, keyStart, keyLength }: KeyColumn,
  from: number,
  to: number,
  rows: Int32Array,
): void {
  const growing = table.index.oldSlots !== null
  const pages = table.rows.pages
  const stride = table.strideU32
  for (let i = from; i < to; i++) {
    const row = candidates[i - from]! - 1
    const start = keyStart[i]!
    const length = keyLength[i]!
    const owner = owners === null ? 0 : owners[i]!
    if (row >= 0) {
      const u32 = pages[row >>> PAGE_SHIFT]!.u32
      const base = (row & PAGE_MASK) * stride
      const word = start >>> 2
      if (
        u32[base + LENGTH] === length &&
        u32[base + OWNER] === owner &&
        length <= KEY_BYTES &&
        u32[base + KEY] === words[word] &&
        u32[base + KEY + 1] === words[word + 1] &&
        u32[base + KEY + 2] === words[word + 2]
      ) {
        rows[i] = row
        continue
      }
    } else if (!growing) {
      rows[i] = -1
      continue
    }
    rows[i] = table.find(hashes[i]!, owner, bytes, start, start + length)
  }
}
