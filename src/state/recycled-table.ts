/**
 * A keyed table whose rows come and go, one by one: rows found by (owner, key bytes), in pages.
 *
 * Owns: rows, key bytes and index of a table of sessions, or of their member sets. Does not own: what the number columns
 * and chains mean. A table whose rows go together is a state/keyed-table, which is simpler and a little faster.
 *
 *   u32  hash | keyLength | owner | revision | change | keyRef | next | flags     f64  columns[0..n)
 *
 * - `next` chains rows as the owner of the table wants (row + 1, 0 ends); of a free row it is the next free one.
 * - A row is in the index only while it has ROW_INDEXED: of rows with the same key, at most one is.
 *
 * Invariants: R1 of live rows in the index no two have the same (owner, bytes). R2 a live row never changes its number,
 * key or owner. R3 the hash only places. R4 a free row has flags 0, so that a snapshot tells which rows live.
 */
import { blockInUse, KEY_PAGE_MASK, KEY_PAGE_SHIFT, KeyBlocks } from './key-blocks.ts'
import { ROW_CHANGE, ROW_HASH, ROW_KEY, ROW_KEY_LENGTH, ROW_OWNER, ROW_REVISION } from './keyed-table.ts'
import type { PagePool } from './page-pool.ts'
import { Pages } from './pages.ts'
import { RecycledIndex } from './recycled-index.ts'

/** Rows of a full page; row >>> RECYCLED_PAGE_SHIFT is its page. */
export const RECYCLED_PAGE_SHIFT = 10
/** Rows of a full page. */
export const RECYCLED_ROWS_PER_PAGE = 1 << RECYCLED_PAGE_SHIFT
/** row & RECYCLED_PAGE_MASK is its place in the page. */
export const RECYCLED_PAGE_MASK = RECYCLED_ROWS_PER_PAGE - 1
/** Number columns start at this f64 of the row. */
export const RECYCLED_HEADER_F64 = 4

// The first six fields are those of state/keyed-table, by the same offsets; ROW_KEY always has a reference.
/** Offset of the next row of a chain, plus one. */
export const ROW_NEXT = 6
/** Offset of the flags. */
export const ROW_FLAGS = 7

/** The row is in use. */
export const ROW_LIVE = 1
/** The index leads to the row. */
export const ROW_INDEXED = 2
/** Further flags are the owner's, from this one on. */
export const ROW_FIRST_OWN_FLAG = 4

const ROWS_FIRST = 4

/** Rows from which on a table is likely to be beyond the caches. */
const TOUCH_ROWS_MIN = 2048
const touchedRows = new Uint32Array(4096)
const touchedRefs = new Uint32Array(4096)

/** Keys with their hashes, as the rows of a batch have them. */
export interface KeyColumns {
  readonly hash: Uint32Array
  readonly keyStart: Uint32Array
  readonly keyLength: Uint32Array
  readonly bytes: Uint8Array
}

/** A table keyed by bytes, with removal. */
export class RecycledTable {
  /** Rows ever used at once; rows are 0 .. count - 1, some of them free. */
  count = 0
  /** Rows in use. */
  live = 0
  readonly columns: number
  readonly strideU32: number
  readonly strideF64: number
  readonly rows: Pages
  readonly keys: KeyBlocks
  readonly #initial: Float64Array
  #index = new RecycledIndex()
  /** What was read for nothing but to have it near: so that it is read. */
  touched = 0
  /** First free row + 1. */
  #free = 0

  /** `initial` holds what each number column of a fresh row starts at. */
  constructor(pool: PagePool, initial: Float64Array) {
    this.columns = initial.length
    this.#initial = initial
    this.strideF64 = RECYCLED_HEADER_F64 + initial.length
    this.strideU32 = this.strideF64 * 2
    this.rows = new Pages(pool, this.strideF64 * 8, RECYCLED_ROWS_PER_PAGE, ROWS_FIRST)
    this.keys = new KeyBlocks(pool)
  }

  /** Bytes of the index, which the pool does not count. */
  get indexBytes(): number {
    return this.#index.byteLength
  }

  /** The row of the index with this key, or -1. */
  find(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const index = this.#index
    const row = this.#probe(index.slots, index.mask, hash, owner, bytes, start, end)
    if (row >= 0 || index.oldSlots === null) return row
    return this.#probe(index.oldSlots, index.oldMask, hash, owner, bytes, start, end)
  }

  /** A fresh row with a copy of the key; not in the index yet. */
  add(hash: number, owner: number, bytes: Uint8Array, start: number, end: number): number {
    const row = this.#freshRow()
    const place = row & RECYCLED_PAGE_MASK
    const page = this.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    const base = place * this.strideU32
    const u32 = page.u32
    u32[base + ROW_HASH] = hash
    u32[base + ROW_KEY] = this.keys.put(bytes, start, end)
    u32[base + ROW_KEY_LENGTH] = end - start
    u32[base + ROW_OWNER] = owner
    u32[base + ROW_REVISION] = 0
    u32[base + ROW_CHANGE] = 0
    u32[base + ROW_NEXT] = 0
    u32[base + ROW_FLAGS] = ROW_LIVE
    const columnsAt = place * this.strideF64 + RECYCLED_HEADER_F64
    for (let i = 0; i < this.columns; i++) page.f64[columnsAt + i] = this.#initial[i]!
    page.dirty = 1
    this.live++
    return row
  }

  /** Lets the index lead to a row; no row with its key may be there. */
  link(row: number): void {
    this.#index.insert(this.#u32(row, ROW_HASH), row)
    this.setU32(row, ROW_FLAGS, this.#u32(row, ROW_FLAGS) | ROW_INDEXED)
  }

  /** Lets the index lead to `by` instead of `row`, which has the same key. */
  relink(row: number, by: number): void {
    this.#index.replace(this.#u32(row, ROW_HASH), row, by)
    this.setU32(row, ROW_FLAGS, this.#u32(row, ROW_FLAGS) & ~ROW_INDEXED)
    this.setU32(by, ROW_FLAGS, this.#u32(by, ROW_FLAGS) | ROW_INDEXED)
  }

  /** Takes a row out for good; its number and its bytes are used again. */
  remove(row: number): void {
    const hash = this.#u32(row, ROW_HASH)
    if ((this.#u32(row, ROW_FLAGS) & ROW_INDEXED) !== 0) this.#index.remove(hash, row)
    this.keys.free(this.#u32(row, ROW_KEY), this.#u32(row, ROW_KEY_LENGTH))
    this.setU32(row, ROW_FLAGS, 0)
    this.setU32(row, ROW_NEXT, this.#free)
    this.#free = row + 1
    this.live--
  }

  /** Whether a row is in use. */
  isLive(row: number): boolean {
    return (this.#u32(row, ROW_FLAGS) & ROW_LIVE) !== 0
  }

  /** Whether two rows are in use and have the same key; owners are not looked at. */
  sameKey(row: number, other: number): boolean {
    if (!this.isLive(row) || !this.isLive(other) || this.#u32(row, ROW_HASH) !== this.#u32(other, ROW_HASH))
      return false
    const length = this.#u32(row, ROW_KEY_LENGTH)
    if (length !== this.#u32(other, ROW_KEY_LENGTH)) return false
    return this.keys.equal(this.#u32(row, ROW_KEY), this.#u32(other, ROW_KEY), length)
  }

  /** Field `field` of a row's header. */
  u32(row: number, field: number): number {
    return this.#u32(row, field)
  }

  /** Sets field `field` of a row's header. */
  setU32(row: number, field: number, value: number): void {
    const page = this.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    page.u32[(row & RECYCLED_PAGE_MASK) * this.strideU32 + field] = value
    page.dirty = 1
  }

  /** Brings what looking these hashes up will need into the processor's caches; see KeyedTable.touch. */
  touch(hashes: Uint32Array, count: number): number {
    if (this.count < TOUCH_ROWS_MIN) return 0
    const { slots, mask } = this.#index
    for (let i = 0; i < count; i++) touchedRows[i] = slots[(hashes[i]! & mask) * 2 + 1]!
    const pages = this.rows.pages
    const stride = this.strideU32
    for (let i = 0; i < count; i++) {
      const row = touchedRows[i]! - 1
      if (row >= 0)
        touchedRefs[i] = pages[row >>> RECYCLED_PAGE_SHIFT]!.u32[(row & RECYCLED_PAGE_MASK) * stride + ROW_KEY]!
    }
    const keys = this.keys.pages.pages
    let sum = 0
    for (let i = 0; i < count; i++) {
      if (touchedRows[i] === 0) continue
      const ref = touchedRefs[i]!
      sum += keys[ref >>> KEY_PAGE_SHIFT]!.u8[ref & KEY_PAGE_MASK]!
    }
    return sum
  }

  /**
   * Finds the keys of rows `which[0 .. count)` of a batch, with owner 0: `rows[i]` becomes the row of the i-th, or -1, and
   * `next[i]` its ROW_NEXT. Step by step for all of them, so that each waits for memory while the others do.
   */
  findAll(keys: KeyColumns, which: Uint32Array, count: number, rows: Int32Array, next: Uint32Array): void {
    const { hash, keyStart, keyLength, bytes } = keys
    const index = this.#index
    const { slots, mask } = index
    let touched = 0
    for (let i = 0; i < count; i++) touched ^= slots[(hash[which[i]!]! & mask) * 2 + 1]!
    for (let i = 0; i < count; i++) {
      const wanted = hash[which[i]!]!
      let at = wanted & mask
      while (slots[at * 2 + 1] !== 0 && slots[at * 2] !== wanted) at = (at + 1) & mask
      touchedRows[i] = slots[at * 2 + 1]!
    }
    const pages = this.rows.pages
    const stride = this.strideU32
    for (let i = 0; i < count; i++) {
      const row = touchedRows[i]! - 1
      if (row < 0) continue
      touchedRefs[i] = pages[row >>> RECYCLED_PAGE_SHIFT]!.u32[(row & RECYCLED_PAGE_MASK) * stride + ROW_KEY]!
    }
    const blocks = this.keys.pages.pages
    for (let i = 0; i < count; i++) {
      if (touchedRows[i] !== 0)
        touched ^= blocks[touchedRefs[i]! >>> KEY_PAGE_SHIFT]!.u8[touchedRefs[i]! & KEY_PAGE_MASK]!
    }
    this.touched = touched
    for (let i = 0; i < count; i++) {
      const row = touchedRows[i]! - 1
      const start = keyStart[which[i]!]!
      const length = keyLength[which[i]!]!
      rows[i] = -1
      next[i] = 0
      if (row >= 0) {
        const u32 = pages[row >>> RECYCLED_PAGE_SHIFT]!.u32
        const base = (row & RECYCLED_PAGE_MASK) * stride
        if (u32[base + ROW_KEY_LENGTH] === length && u32[base + ROW_OWNER] === 0) {
          const ref = touchedRefs[i]!
          const block = blocks[ref >>> KEY_PAGE_SHIFT]!.u8
          const from = ref & KEY_PAGE_MASK
          let k = 0
          while (k < length && block[from + k] === bytes[start + k]) k++
          if (k === length) {
            rows[i] = row
            next[i] = u32[base + ROW_NEXT]!
            continue
          }
        }
      } else if (index.oldSlots === null) continue
      const found = this.find(hash[which[i]!]!, 0, bytes, start, start + length)
      rows[i] = found
      if (found >= 0) next[i] = this.#u32(found, ROW_NEXT)
    }
  }

  /** Copies the key of `row` to `into` at `at`; returns its length. */
  copyKey(row: number, into: Uint8Array, at: number): number {
    const ref = this.#u32(row, ROW_KEY)
    const length = this.#u32(row, ROW_KEY_LENGTH)
    const bytes = this.keys.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
    const from = ref & KEY_PAGE_MASK
    for (let i = 0; i < length; i++) into[at + i] = bytes[from + i]!
    return length
  }

  /** The key of `row` as a view: valid until the table next changes. */
  keyOf(row: number): Uint8Array {
    const ref = this.#u32(row, ROW_KEY)
    const from = ref & KEY_PAGE_MASK
    return this.keys.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8.subarray(from, from + this.#u32(row, ROW_KEY_LENGTH))
  }

  /** After the pages of a snapshot of this very table were adopted: index and free lists from its `count` rows. */
  restore(count: number, keyBytesUsed: number): void {
    this.count = count
    this.live = 0
    this.#free = 0
    this.#index = new RecycledIndex()
    const inUse = new Float64Array(count)
    for (let row = count - 1; row >= 0; row--) {
      const flags = this.#u32(row, ROW_FLAGS)
      if ((flags & ROW_LIVE) === 0) {
        // Not marked dirty: the chain of free rows is made anew after each restore.
        const page = this.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
        page.u32[(row & RECYCLED_PAGE_MASK) * this.strideU32 + ROW_NEXT] = this.#free
        this.#free = row + 1
        continue
      }
      inUse[this.live++] = blockInUse(this.#u32(row, ROW_KEY), this.#u32(row, ROW_KEY_LENGTH))
      if ((flags & ROW_INDEXED) !== 0) this.#index.insert(this.#u32(row, ROW_HASH), row)
    }
    this.keys.restore(inUse.subarray(0, this.live), keyBytesUsed)
  }

  /** Gives all memory back. The table must not be used afterwards. */
  release(): void {
    this.rows.release()
    this.keys.release()
    this.count = 0
    this.live = 0
  }

  #u32(row: number, field: number): number {
    return this.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!.u32[(row & RECYCLED_PAGE_MASK) * this.strideU32 + field]!
  }

  #freshRow(): number {
    if (this.#free === 0) {
      const row = this.count++
      this.rows.ensure(row >>> RECYCLED_PAGE_SHIFT, (row & RECYCLED_PAGE_MASK) + 1)
      return row
    }
    const row = this.#free - 1
    this.#free = this.#u32(row, ROW_NEXT)
    return row
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
      // Slots that are being replaced keep a mark, which no row has, where a pair was removed.
      if (slots[at * 2] === hash && found <= this.count) {
        const row = found - 1
        const u32 = pages[row >>> RECYCLED_PAGE_SHIFT]!.u32
        const base = (row & RECYCLED_PAGE_MASK) * stride
        if (u32[base + ROW_KEY_LENGTH] === length && u32[base + ROW_OWNER] === owner) {
          const ref = u32[base + ROW_KEY]!
          const block = this.keys.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
          const from = ref & KEY_PAGE_MASK
          let i = 0
          while (i < length && block[from + i] === bytes[start + i]) i++
          if (i === length) return row
        }
      }
      at = (at + 1) & mask
    }
  }
}
