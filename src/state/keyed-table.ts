/**
 * A keyed table: rows found by (owner, key bytes), kept dense, in pages.
 *
 * Owns: rows, key bytes and index of one window slice (or one member set of a slice). Does not own: the meaning of the
 * number columns, key groups, or when it is dropped: rows are only ever added, and the table goes as a whole.
 *
 * A row is one stretch of memory, so that an update touches one cache line:
 *
 *   u32  hash | keyRef | keyLength | owner | revision | change     f64  columns[0..n)
 *
 * - `keyRef` is page << 16 | offset into the key arena.
 * - `owner` is part of the key: 0 in a group table; in a member set, the row of the group that has the member.
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
export const ROW_HEADER_U32 = 6
/** Number columns start at this f64 of the row. */
export const ROW_HEADER_F64 = ROW_HEADER_U32 / 2

/** Offsets of the u32 fields of a row. */
export const ROW_HASH = 0
/** Offset of the key's place in the arena. */
export const ROW_KEY_REF = 1
/** Offset of the key's length in bytes. */
export const ROW_KEY_LENGTH = 2
/** Offset of the owning group's row. */
export const ROW_OWNER = 3
/** Offset of the number of firings. */
export const ROW_REVISION = 4
/** Offset of the change number. */
export const ROW_CHANGE = 5

const ARENA_PAGE_SHIFT = 16
const ARENA_PAGE_BYTES = 1 << ARENA_PAGE_SHIFT
const ARENA_PAGE_MASK = ARENA_PAGE_BYTES - 1
const ROWS_FIRST = 4
const ARENA_FIRST_BYTES = 64

/** Rows from which on a table is likely to be beyond the caches. */
const TOUCH_ROWS_MIN = 2048
const touchedRows = new Uint32Array(2048)
const touchedRefs = new Uint32Array(2048)

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
  readonly keys: Pages
  #arenaPage = 0
  #arenaUsed = 0
  #index: HashIndex
  readonly #initial: Float64Array

  /** `initial` holds what each number column of a fresh row starts at. `rowsExpected` sizes the index. */
  constructor(pool: PagePool, initial: Float64Array, rowsExpected: number) {
    this.columns = initial.length
    this.#initial = initial
    this.strideF64 = ROW_HEADER_F64 + initial.length
    this.strideU32 = this.strideF64 * 2
    this.rows = new Pages(pool, this.strideF64 * 8, ROWS_PER_PAGE, ROWS_FIRST)
    this.keys = new Pages(pool, 1, ARENA_PAGE_BYTES, ARENA_FIRST_BYTES)
    this.#index = new HashIndex(rowsExpected)
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
    const index = this.#index
    const row = this.#probe(index.slots, index.mask, hash, owner, bytes, start, end)
    if (row >= 0 || index.oldSlots === null) return row
    return this.#probe(index.oldSlots, index.oldMask, hash, owner, bytes, start, end)
  }

  /** The row of a key, added if need be. A caller sees an addition by `count` having grown. */
  findOrInsert(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const row = this.find(hash, owner, bytes, start, end)
    return row >= 0 ? row : this.#append(hash, owner, bytes, start, end)
  }

  /** The row here of the key that row `row` of another table has, or -1. `hash` and `owner` are those of this table. */
  findKeyOf(from: KeyedTable, row: number, hash: number, owner: number): number {
    const u32 = from.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32
    const base = (row & ROW_PAGE_MASK) * from.strideU32
    const ref = u32[base + ROW_KEY_REF]!
    const start = ref & ARENA_PAGE_MASK
    return this.find(
      hash,
      owner,
      from.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8,
      start,
      start + u32[base + ROW_KEY_LENGTH]!,
    )
  }

  /** As `findKeyOf`, added if need be. */
  insertKeyOf(from: KeyedTable, row: number, hash: number, owner: number): number {
    const u32 = from.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32
    const base = (row & ROW_PAGE_MASK) * from.strideU32
    const ref = u32[base + ROW_KEY_REF]!
    const start = ref & ARENA_PAGE_MASK
    const bytes = from.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8
    return this.findOrInsert(hash, owner, bytes, start, start + u32[base + ROW_KEY_LENGTH]!)
  }

  /** The hash of the key bytes of `row` (core/hash), which member sets do not keep. */
  keyHashOf(row: number): number {
    const u32 = this.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32
    const base = (row & ROW_PAGE_MASK) * this.strideU32
    const ref = u32[base + ROW_KEY_REF]!
    const start = ref & ARENA_PAGE_MASK
    return hashBytes(this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8, start, start + u32[base + ROW_KEY_LENGTH]!)
  }

  /**
   * Brings the memory that looking up these hashes will need into the processor's caches: slot, row and key of each. The
   * loads of one pass do not depend on each other, so the processor overlaps them; a lookup by itself waits for three in
   * a row. Worth it for tables beyond the caches; small ones return at once. The result means nothing.
   */
  touch(hashes: Uint32Array, count: number): number {
    if (this.count < TOUCH_ROWS_MIN) return 0
    const { slots, mask } = this.#index
    for (let i = 0; i < count; i++) touchedRows[i] = slots[(hashes[i]! & mask) * 2 + 1]!
    const pages = this.rows.pages
    const stride = this.strideU32
    for (let i = 0; i < count; i++) {
      const row = touchedRows[i]! - 1
      if (row >= 0) touchedRefs[i] = pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * stride + ROW_KEY_REF]!
    }
    const keys = this.keys.pages
    let sum = 0
    for (let i = 0; i < count; i++) {
      if (touchedRows[i] === 0) continue
      const ref = touchedRefs[i]!
      sum += keys[ref >>> ARENA_PAGE_SHIFT]!.u8[ref & ARENA_PAGE_MASK]!
    }
    return sum
  }

  /** Copies the key of `row` to `into` at `at`; returns its length. */
  copyKey(row: number, into: Uint8Array, at: number): number {
    const page = this.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const base = (row & ROW_PAGE_MASK) * this.strideU32
    const ref = page.u32[base + ROW_KEY_REF]!
    const length = page.u32[base + ROW_KEY_LENGTH]!
    const arena = this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8
    const from = ref & ARENA_PAGE_MASK
    for (let i = 0; i < length; i++) into[at + i] = arena[from + i]!
    return length
  }

  /** The key of `row` as a view: valid until the table next grows. */
  keyOf(row: number): Uint8Array {
    const page = this.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const base = (row & ROW_PAGE_MASK) * this.strideU32
    const ref = page.u32[base + ROW_KEY_REF]!
    const from = ref & ARENA_PAGE_MASK
    return this.keys.pages[ref >>> ARENA_PAGE_SHIFT]!.u8.subarray(from, from + page.u32[base + ROW_KEY_LENGTH]!)
  }

  /** Takes over the pages of a snapshot of this very table and builds the index. The table must be empty. */
  restore(rowPages: readonly Page[], count: number, arenaUsed: number): void {
    this.count = count
    this.#arenaPage = Math.max(0, this.keys.pages.length - 1)
    this.#arenaUsed = arenaUsed
    const index = new HashIndex(count)
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

  #probe(
    slots: Uint32Array,
    mask: number,
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
      const found = slots[at * 2 + 1]!
      if (found === 0) return -1
      if (slots[at * 2] === hash) {
        const row = found - 1
        const u32 = pages[row >>> ROW_PAGE_SHIFT]!.u32
        const base = (row & ROW_PAGE_MASK) * stride
        if (u32[base + ROW_KEY_LENGTH] === length && u32[base + ROW_OWNER] === owner) {
          const ref = u32[base + ROW_KEY_REF]!
          const arena = this.keys.pages[ref >>> ARENA_PAGE_SHIFT]?.u8
          const from = ref & ARENA_PAGE_MASK
          let i = 0
          if (arena !== undefined) while (i < length && arena[from + i] === bytes[start + i]) i++
          if (i === length) return row
        }
      }
      at = (at + 1) & mask
    }
  }

  #append(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    // A key longer than a page lies alone in a page of its size; an empty one must begin within its page as well, or its
    // place would be that of the next page.
    if (this.#arenaUsed > 0 && this.#arenaUsed + Math.max(1, length) > ARENA_PAGE_BYTES) {
      this.#arenaPage++
      this.#arenaUsed = 0
    }
    const arena = this.keys.ensure(this.#arenaPage, Math.max(1, this.#arenaUsed + length))
    const from = this.#arenaUsed
    const into = arena.u8
    for (let i = 0; i < length; i++) into[from + i] = bytes[start + i]!
    arena.dirty = 1
    this.#arenaUsed = from + length

    const row = this.count++
    const place = row & ROW_PAGE_MASK
    const page = this.rows.ensure(row >>> ROW_PAGE_SHIFT, place + 1)
    const base = place * this.strideU32
    const u32 = page.u32
    u32[base + ROW_HASH] = hash
    // Above 2^15 arena pages the reference would not fit 32 bits: 4 GB of keys in one slice, far past any state limit.
    u32[base + ROW_KEY_REF] = this.#arenaPage * ARENA_PAGE_BYTES + from
    u32[base + ROW_KEY_LENGTH] = length
    u32[base + ROW_OWNER] = owner
    u32[base + ROW_REVISION] = 0
    u32[base + ROW_CHANGE] = 0
    const columnsAt = place * this.strideF64 + ROW_HEADER_F64
    for (let i = 0; i < this.columns; i++) page.f64[columnsAt + i] = this.#initial[i]!
    page.dirty = 1
    this.#index.insert(hash, row)
    return row
  }
}
