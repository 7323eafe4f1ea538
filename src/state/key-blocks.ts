/**
 * Key bytes that come and go: blocks of a few sizes in arena pages, used again once freed.
 *
 * Owns: where a key's bytes lie. Does not own: which row has which block. Blocks are multiples of 8 bytes up to 512, then
 * powers of two; a freed block is given to the next key of its size. A reference is page << 16 | offset; what is longer
 * than a page lies alone in a page of its size.
 *
 * Which blocks are free is not stored: after a restore it follows from those in use.
 */
import { invariant } from '../core/errors.ts'
import type { PagePool } from './page-pool.ts'
import { Pages } from './pages.ts'

/** ref >>> KEY_PAGE_SHIFT is the page of a block. */
export const KEY_PAGE_SHIFT = 16
/** ref & KEY_PAGE_MASK is its offset. */
export const KEY_PAGE_MASK = (1 << KEY_PAGE_SHIFT) - 1

const PAGE_BYTES = 1 << KEY_PAGE_SHIFT
const FIRST_BYTES = 64
const STEP_BYTES = 8
const STEPPED_MAX = 512
const STEPPED_CLASSES = STEPPED_MAX / STEP_BYTES + 1
/** No key is as long: with its reference, a length makes one whole number. */
const LENGTH_LIMIT = 2 ** 20

/** Keys in blocks. */
export class KeyBlocks {
  readonly pages: Pages
  /** Freed blocks by size class. */
  readonly #free: number[][] = []
  #page = 0
  #used = 0

  constructor(pool: PagePool) {
    this.pages = new Pages(pool, 1, PAGE_BYTES, FIRST_BYTES)
  }

  /** Bytes used in page `number`. */
  bytesUsed(number: number): number {
    return number === this.#page ? this.#used : this.pages.pages[number]!.u8.length
  }

  /** A block with a copy of `bytes[start .. end)`. */
  put(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    const ref = this.#free[classOf(length)]?.pop() ?? this.#take(blockBytes(length))
    const page = this.pages.pages[ref >>> KEY_PAGE_SHIFT]!
    const into = page.u8
    const at = ref & KEY_PAGE_MASK
    for (let i = 0; i < length; i++) into[at + i] = bytes[start + i]!
    page.dirty = 1
    return ref
  }

  /** Whether the keys in two blocks, both of `length` bytes, are the same. */
  equal(ref: number, other: number, length: number): boolean {
    const blocks = this.pages.pages
    const bytes = blocks[ref >>> KEY_PAGE_SHIFT]!.u8
    const others = blocks[other >>> KEY_PAGE_SHIFT]!.u8
    const from = ref & KEY_PAGE_MASK
    const otherFrom = other & KEY_PAGE_MASK
    let i = 0
    while (i < length && bytes[from + i] === others[otherFrom + i]) i++
    return i === length
  }

  /** Gives the block of a key of `length` bytes back. */
  free(ref: number, length: number): void {
    const size = classOf(length)
    const free = this.#free[size]
    if (free === undefined) this.#free[size] = [ref]
    else free.push(ref)
  }

  /**
   * After the pages of a snapshot were adopted: takes the blocks in use (`blockInUse` of each), and finds the free ones
   * between them. `lastUsed`: bytes used in the last page. Sorts `inUse`.
   */
  restore(inUse: Float64Array, lastUsed: number): void {
    const { pages } = this.pages
    this.#page = Math.max(0, pages.length - 1)
    this.#used = lastUsed
    inUse.sort()
    let next = 0
    for (let number = 0; number < pages.length; number++) {
      const base = number * PAGE_BYTES
      let at = 0
      for (; next < inUse.length; next++) {
        const ref = Math.floor(inUse[next]! / LENGTH_LIMIT)
        if (ref >= base + PAGE_BYTES) break
        this.#freeGap(base + at, ref - base - at)
        at = ref - base + blockBytes(inUse[next]! - ref * LENGTH_LIMIT)
      }
      this.#freeGap(base + at, this.bytesUsed(number) - at)
    }
  }

  /** Gives all memory back. */
  release(): void {
    this.pages.release()
    this.#free.length = 0
  }

  /** Divides a stretch into blocks as large as may be. */
  #freeGap(from: number, bytes: number): void {
    // A long block may begin in this page and be longer than it; its page holds nothing else.
    let at = from
    let left = Math.min(bytes, PAGE_BYTES)
    while (left >= STEP_BYTES) {
      const block = left <= STEPPED_MAX ? left - (left % STEP_BYTES) : STEPPED_MAX
      this.free(at, block)
      at += block
      left -= block
    }
  }

  #take(bytes: number): number {
    if (this.#used > 0 && this.#used + bytes > PAGE_BYTES) {
      this.#page++
      this.#used = 0
    }
    // Above 2^16 pages a reference would not fit 32 bits: 4 GB of keys in one table, far past any state limit.
    invariant(this.#page <= 0xffff, 'a table has more than 4 GB of keys')
    this.pages.ensure(this.#page, this.#used + bytes)
    const ref = this.#page * PAGE_BYTES + this.#used
    this.#used += bytes
    return ref
  }
}

function blockBytes(length: number): number {
  if (length <= STEPPED_MAX) return Math.max(STEP_BYTES, Math.ceil(length / STEP_BYTES) * STEP_BYTES)
  return 2 ** Math.ceil(Math.log2(length))
}

function classOf(length: number): number {
  const bytes = blockBytes(length)
  return bytes <= STEPPED_MAX ? bytes / STEP_BYTES : STEPPED_CLASSES + Math.log2(bytes)
}

/** A block that is in use, as one number to sort by its place. */
export function blockInUse(ref: number, length: number): number {
  return ref * LENGTH_LIMIT + length
}
