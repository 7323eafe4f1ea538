/**
 * A keyed table: rows found by (owner, key bytes), kept dense, in pages.
 *
 * Owns: rows, key bytes and index of one window slice (or one member set of a slice). Does not own: the meaning of the
 * number columns, key groups, or when it is dropped: rows are only ever added, and the table goes as a whole.
 *
 * A row is one stretch of memory, so that finding and updating it touches one cache line, or two:
 *
 *   u32  hash | keyLength | owner | revision | change | key, three words     f64  columns[0..n)
 *
 * - A key of up to 12 bytes lies in its row, zeros behind it. A longer one lies in the key arena, and the first of the
 *   three words is page << 16 | offset there, a multiple of 4; the other two are 0.
 * - `owner` is part of the key: 0 in a group table; in a member set, the row of the group that has the member, or the
 *   number of a block of groups (operator/member-bits).
 * - `revision` counts firings; `change` is the number of the table's last change that touched the row.
 *
 * Invariants: K1 equal (owner, bytes) have one row. K2 a row number never changes its key. K3 the hash only places.
 */
import { hashBytes } from '../core/hash.ts'
import { HashIndex } from './hash-index.ts'
import type { PagePool } from './page-pool.ts'
import { type Page, Pages } from './pages.ts'

/** Rows of a full page; row >>> ROW_PAGE_SHIFT is its page. */
export const ROW_PAGE_SHIFT = 10
/** Rows of a full page. */
export const ROWS_PER_PAGE = 1 << ROW_PAGE_SHIFT
/** row & ROW_PAGE_MASK is its place in the page. */
export const ROW_PAGE_MASK = ROWS_PER_PAGE - 1
/** u32 fields before the number columns. */
export const ROW_HEADER_U32 = 8
/** Number columns start at this f64 of the row. */
export const ROW_HEADER_F64 = ROW_HEADER_U32 / 2

/** Offsets of the u32 fields of a row. */
export const ROW_HASH = 0
/** Offset of the key's length in bytes. */
export const ROW_KEY_LENGTH = 1
/** Offset of the owner. */
export const ROW_OWNER = 2
/** Offset of the number of firings. */
export const ROW_REVISION = 3
/** Offset of the change number. */
export const ROW_CHANGE = 4
/** Offset of the key, or of its place in the arena. */
export const ROW_KEY = 5

/** Keys of up to so many bytes lie in their rows. */
export const ROW_KEY_BYTES = 12

const ARENA_PAGE_SHIFT = 16
const ARENA_PAGE_BYTES = 1 << ARENA_PAGE_SHIFT
const ARENA_PAGE_MASK = ARENA_PAGE_BYTES - 1
const ROWS_FIRST = 4
const ARENA_FIRST_BYTES = 64

/** The key that is looked for, where it fits a row. */
const wanted = new Uint32Array(ROW_KEY_BYTES / 4)
const wantedBytes = new Uint8Array(wanted.buffer)

/** A dense, append-only table keyed by bytes. */
export class KeyedTable {
  /** Rows so far; rows are 0 .. count - 1. */
  count = 0
  /** Number columns a row. */
  readonly columns: number
  /** u32 words a row. */
  readonly strideU32: number
  /** f64 words a row. */
  readonly strideF64: number
  readonly rows: Pages
  /** The arena of keys that are too long for their rows. */
  readonly keys: Pages
  #arenaPage = 0
  #arenaUsed = 0
  #index: HashIndex
  readonly #initial: Float64Array
  readonly #hashOf = (row: number): number =>
    this.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * this.strideU32 + ROW_HASH]!

  /** `initial` holds what each number column of a fresh row starts at. `rowsExpected` sizes the index. */
  constructor(pool: PagePool, initial: Float64Array, rowsExpected: number) {
    this.columns = initial.length
    this.#initial = initial
    this.strideF64 = ROW_HEADER_F64 + initial.length
    this.strideU32 = this.strideF64 * 2
    this.rows = new Pages(pool, this.strideF64 * 8, ROWS_PER_PAGE, ROWS_FIRST)
    this.keys = new Pages(pool, 1, ARENA_PAGE_BYTES, ARENA_FIRST_BYTES)
    this.#index = new HashIndex(rowsExpected, this.#hashOf)
  }

  /** For those who look up many keys at once (state/find-all). */
  get index(): HashIndex {
    return this.#index
  }

  /** Bytes of the index, which the pool does not count. */
  get indexBytes(): number {
    return this.#index.byteLength
  }

  /** Bytes used in arena page `number`. */
  arenaBytesUsed(number: number): number {
    return number === this.#arenaPage ? this.#arenaUsed : this.keys.pages[number]!.u8.length
  }

  /** The row of a key, or -1. */
  find(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    wanted[0] = 0
    wanted[1] = 0
    wanted[2] = 0
    if (end - start <= ROW_KEY_BYTES) for (let i = start; i < end; i++) wantedBytes[i - start] = bytes[i]!
    const index = this.#index
    const row = this.#probe(index.slots, index.mask, index.rowMask, hash, owner, bytes, start, end)
    if (row >= 0 || index.oldSlots === null) return row
    return this.#probe(index.oldSlots, index.oldMask, index.oldRowMask, hash, owner, bytes, start, end)
  }

  /** The row of a key, added if need be. A caller sees an addition by `count` having grown. */
  findOrInsert(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const row = this.find(hash, owner, bytes, start, end)
    return row >= 0 ? row : this.#append(hash, owner, bytes, start, end)
  }

  /** The row here of the key that row `row` of another table has, or -1. `hash` and `owner` are those of this table. */
  findKeyOf(from: KeyedTable, row: number, hash: number, owner: number): number {
    const key = from.keyOf(row)
    return this.find(hash, owner, key, 0, key.length)
  }

  /** As `findKeyOf`, added if need be. */
  insertKeyOf(from: KeyedTable, row: number, hash: number, owner: number): number {
    const key = from.keyOf(row)
    return this.findOrInsert(hash, owner, key, 0, key.length)
  }

  /** The hash of the key bytes of `row` (core/hash), which member sets do not keep. */
  keyHashOf(row: number): number {
    const key = this.keyOf(row)
    return hashBytes(key, 0, key.length)
  }

  /** Copies the key of `row` to `into` at `at`; returns its length. */
  copyKey(row: number, into: Uint8Array, at: number): number {
    const { u32, u8 } = this.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const base = (row & ROW_PAGE_MASK) * this.strideU32
    const length = u32[base + ROW_KEY_LENGTH]!
    let from = (base + ROW_KEY) * 4
    let bytes = u8
    if (length > ROW_KEY_BYTES) {
      const ref = u32[base + ROW_KEY]!
      bytes = this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8
      from = ref & ARENA_PAGE_MASK
    }
    for (let i = 0; i < length; i++) into[at + i] = bytes[from + i]!
    return length
  }

  /** The key of `row` as a view: valid until the table next grows. */
  keyOf(row: number): Uint8Array {
    const { u32, u8 } = this.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const base = (row & ROW_PAGE_MASK) * this.strideU32
    const length = u32[base + ROW_KEY_LENGTH]!
    const at = (base + ROW_KEY) * 4
    if (length <= ROW_KEY_BYTES) return u8.subarray(at, at + length)
    const ref = u32[base + ROW_KEY]!
    const from = ref & ARENA_PAGE_MASK
    return this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8.subarray(from, from + length)
  }

  /** Takes over the pages of a snapshot of this very table and builds the index. The table must be empty. */
  restore(rowPages: readonly Page[], count: number, arenaUsed: number): void {
    this.count = count
    this.#arenaPage = Math.max(0, this.keys.pages.length - 1)
    this.#arenaUsed = arenaUsed
    const index = new HashIndex(count, this.#hashOf)
    for (let row = 0; row < count; row++) {
      const page = rowPages[row >>> ROW_PAGE_SHIFT]!
      index.insert(page.u32[(row & ROW_PAGE_MASK) * this.strideU32 + ROW_HASH]!, row)
    }
    this.#index = index
  }

  /** Gives all memory back. The table must not be used afterwards. */
  release(): void {
    this.rows.release()
    this.keys.release()
    this.count = 0
  }

  /** Looks for the key in `wanted`, or in `bytes` where it is too long for that. */
  #probe(
    slots: Uint32Array,
    mask: number,
    rowMask: number,
    hash: number,
    owner: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const pages = this.rows.pages
    const stride = this.strideU32
    const length = end - start
    let at = hash & mask
    for (;;) {
      const slot = slots[at]!
      if (slot === 0) return -1
      if (((slot ^ hash) & ~rowMask) === 0) {
        const row = (slot & rowMask) - 1
        const u32 = pages[row >>> ROW_PAGE_SHIFT]!.u32
        const base = (row & ROW_PAGE_MASK) * stride
        if (u32[base + ROW_KEY_LENGTH] === length && u32[base + ROW_OWNER] === owner) {
          const first = u32[base + ROW_KEY]!
          if (length > ROW_KEY_BYTES) {
            if (this.#isLongKey(first, bytes, start, length)) return row
          } else if (
            first === wanted[0] &&
            u32[base + ROW_KEY + 1] === wanted[1] &&
            u32[base + ROW_KEY + 2] === wanted[2]
          ) {
            return row
          }
        }
      }
      at = (at + 1) & mask
    }
  }

  #isLongKey(ref: number, bytes: Uint8Array, start: number, length: number): boolean {
    const arena = this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8
    const from = ref & ARENA_PAGE_MASK
    let i = 0
    while (i < length && arena[from + i] === bytes[start + i]) i++
    return i === length
  }

  /** Adds a row; the key is in `wanted` too, where it fits a row. */
  #append(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    const row = this.count++
    const place = row & ROW_PAGE_MASK
    const page = this.rows.ensure(row >>> ROW_PAGE_SHIFT, place + 1)
    const base = place * this.strideU32
    const u32 = page.u32
    u32[base + ROW_HASH] = hash
    u32[base + ROW_KEY_LENGTH] = length
    u32[base + ROW_OWNER] = owner
    u32[base + ROW_REVISION] = 0
    u32[base + ROW_CHANGE] = 0
    u32[base + ROW_KEY] = length > ROW_KEY_BYTES ? this.#putLongKey(bytes, start, length) : wanted[0]!
    u32[base + ROW_KEY + 1] = wanted[1]!
    u32[base + ROW_KEY + 2] = wanted[2]!
    const columnsAt = place * this.strideF64 + ROW_HEADER_F64
    for (let i = 0; i < this.columns; i++) page.f64[columnsAt + i] = this.#initial[i]!
    page.dirty = 1
    this.#index.insert(hash, row)
    return row
  }

  #putLongKey(bytes: Uint8Array, start: number, length: number): number {
    const padded = (length + 3) & ~3
    // A key longer than a page lies alone in a page of its size.
    if (this.#arenaUsed > 0 && this.#arenaUsed + padded > ARENA_PAGE_BYTES) {
      this.#arenaPage++
      this.#arenaUsed = 0
    }
    const arena = this.keys.ensure(this.#arenaPage, this.#arenaUsed + padded)
    const from = this.#arenaUsed
    for (let i = 0; i < length; i++) arena.u8[from + i] = bytes[start + i]!
    arena.u8.fill(0, from + length, from + padded)
    arena.dirty = 1
    this.#arenaUsed = from + padded
    // Above 2^15 arena pages the reference would not fit 32 bits: 4 GB of keys in one slice, far past any state limit.
    return this.#arenaPage * ARENA_PAGE_BYTES + from
  }
}
