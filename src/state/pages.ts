/**
 * Pages: the unit in which state is allocated, marked dirty, and written to a checkpoint.
 *
 * Owns: a growing sequence of pages of fixed-width units (rows of a table, bytes of an arena). Does not own: what the
 * units mean.
 *
 * A full page holds `unitsPerPage` units and never moves. Only the last page may be smaller: it starts at `unitsFirst`
 * and is copied into a larger buffer as it fills, so that a window with three groups costs a few hundred bytes and a
 * window with a million costs no copying to speak of.
 *
 *   pages[0] full | pages[1] full | … | last: used units, then room
 *
 * `location` is where the page stood in the last checkpoint that took it; a clean page is not written again, its
 * location is handed to the next checkpoint as it is.
 */
import type { PagePool } from './page-pool.ts'

/** Where a page's bytes are in the checkpoint store. */
export interface PageLocation {
  readonly chunk: string
  readonly offset: number
  readonly length: number
  readonly crc: number
}

/** One page: three views of one buffer. */
export interface Page {
  u32: Uint32Array
  f64: Float64Array
  u8: Uint8Array
  /** Changed since `location` was written; 1 or 0, set by whoever writes into the views. */
  dirty: number
  location: PageLocation | null
}

/** A growing sequence of pages. */
export class Pages {
  readonly pages: Page[] = []
  /** Bytes of one unit, a multiple of 8, or 1 for bytes. */
  readonly unitBytes: number
  readonly unitsPerPage: number
  readonly #unitsFirst: number
  readonly #pool: PagePool

  constructor(pool: PagePool, unitBytes: number, unitsPerPage: number, unitsFirst: number) {
    this.#pool = pool
    this.unitBytes = unitBytes
    this.unitsPerPage = unitsPerPage
    this.#unitsFirst = Math.min(unitsFirst, unitsPerPage)
  }

  /** Makes sure that page `number` exists with room for `units` units; pages are added in order. */
  ensure(number: number, units: number): Page {
    const page = this.pages[number]
    if (page === undefined) {
      const fresh = this.#pageOf(this.#capacityFor(units))
      this.pages.push(fresh)
      return fresh
    }
    if (page.u8.length < units * this.unitBytes) this.#grow(page, units)
    return page
  }

  /** Appends a page with the bytes of a snapshot. */
  adopt(bytes: Uint8Array, location: PageLocation | null): Page {
    const units = Math.ceil(bytes.length / this.unitBytes)
    const page = this.#pageOf(this.#capacityFor(units))
    page.u8.set(bytes)
    page.dirty = location === null ? 1 : 0
    page.location = location
    this.pages.push(page)
    return page
  }

  /** Gives the first page back; the others move up by one. */
  dropFirst(): void {
    const page = this.pages.shift()
    if (page !== undefined) this.#pool.give(page.u8.buffer as ArrayBuffer)
  }

  /** Gives every buffer back to the pool. The pages must not be used afterwards. */
  release(): void {
    for (const page of this.pages) this.#pool.give(page.u8.buffer as ArrayBuffer)
    this.pages.length = 0
  }

  #capacityFor(units: number): number {
    let capacity = this.#unitsFirst
    while (capacity < units) capacity *= 4
    // What does not fit a full page (long keys) goes on growing in steps: exact sizes would copy a page a key.
    return units <= this.unitsPerPage ? Math.min(capacity, this.unitsPerPage) : capacity
  }

  #pageOf(units: number): Page {
    const buffer = this.#pool.take(Math.ceil((units * this.unitBytes) / 8) * 8)
    return {
      u32: new Uint32Array(buffer),
      f64: new Float64Array(buffer),
      u8: new Uint8Array(buffer),
      dirty: 1,
      location: null,
    }
  }

  #grow(page: Page, units: number): void {
    const larger = this.#pageOf(this.#capacityFor(units))
    larger.u8.set(page.u8)
    this.#pool.give(page.u8.buffer as ArrayBuffer)
    page.u32 = larger.u32
    page.f64 = larger.f64
    page.u8 = larger.u8
    page.dirty = 1
  }
}
