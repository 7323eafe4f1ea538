/**
 * Rows of ids in pages, slice of event time by slice.
 *
 * Owns: where a row is, its state word, adding rows and taking whole pages away. Does not own: what else is in a row, and
 * finding one (state/id-table).
 *
 * A row keeps its number for as long as it is there. Rows are only ever added at the end of a slice, and go with its pages.
 */
import { PagePool } from './page-pool.ts'
import { type Page, Pages } from './pages.ts'

/** u32 fields of a row. */
export const ID_STRIDE = 6
/** Slices that a whole time of keeping takes. */
const SLICES = 16
/** Rows of a page. */
export const ID_PAGE_ROWS = 1024
/** row >>> ID_PAGE_SHIFT is the place of its page. */
const PAGE_SHIFT = 10
/** row & ID_PAGE_MASK is its place in the page. */
export const ID_PAGE_MASK = ID_PAGE_ROWS - 1
/** Offset of the hash of an event's key. */
export const ID_KEY_HASH = 4
/** Offset of the state: the kind, the signs that were seen, and the time, from the start of the slice. 0: no row. */
export const ID_STATE = 5
/** An id was seen on an event. */
export const ID_PLUS = 1 << 28
/** An id was seen on an event that is taken back. */
export const ID_MINUS = 1 << 29
/** Both of them. */
export const ID_SIGNS = ID_PLUS | ID_MINUS
/** state >>> ID_KIND_SHIFT is the kind (state/id-words). */
export const ID_KIND_SHIFT = 30

const OFFSET_MASK = 2 ** 28 - 1
const ROWS_FIRST = 4
const noFields = new Uint32Array(0)

/** Ids whose times lie together. */
export interface IdSlice {
  readonly startMs: number
  readonly rows: Pages
  /** Rows of the last page. */
  used: number
  /** Place of each page in the table. */
  readonly places: number[]
}

interface Place {
  readonly page: Page
  readonly slice: IdSlice
}

/** Visits a row: its fields begin at `u32[at]`. */
export type VisitId = (row: number, u32: Uint32Array, at: number) => void

/** Rows by slice. */
export class IdSlices {
  /** Width of a slice. */
  readonly widthMs: number
  readonly #pool = new PagePool()
  /** In the order of time. */
  #all: IdSlice[] = []
  #places: (Place | undefined)[] = []
  /** By place: the fields of its page. */
  #u32s: Uint32Array[] = []
  #freePlaces: number[] = []
  #latest: IdSlice | null = null

  /** `withinMs`: how long ids are kept. */
  constructor(withinMs: number) {
    this.widthMs = Math.max(1000, Math.min(Math.ceil(withinMs / SLICES), OFFSET_MASK))
  }

  /** In the order of time. */
  get all(): readonly IdSlice[] {
    return this.#all
  }

  /** Bytes of pages. */
  get byteLength(): number {
    return this.#pool.bytesInUse
  }

  /** Fields of the page of a row; its own begin at (row & ID_PAGE_MASK) * ID_STRIDE. */
  u32Of(row: number): Uint32Array {
    return this.#u32s[row >>> PAGE_SHIFT]!
  }

  timeOf(row: number): number {
    const { page, slice } = this.#places[row >>> PAGE_SHIFT]!
    return slice.startMs + (page.u32[(row & ID_PAGE_MASK) * ID_STRIDE + ID_STATE]! & OFFSET_MASK)
  }

  stateOf(row: number): number {
    return this.u32Of(row)[(row & ID_PAGE_MASK) * ID_STRIDE + ID_STATE]!
  }

  setState(row: number, state: number): void {
    const { page } = this.#places[row >>> PAGE_SHIFT]!
    page.u32[(row & ID_PAGE_MASK) * ID_STRIDE + ID_STATE] = state
    page.dirty = 1
  }

  /** A row at `timeMs` with these bits of the state; its other fields are arbitrary. */
  add(timeMs: number, bits: number): number {
    const slice = this.sliceOf(timeMs)
    const { rows, places } = slice
    if (rows.pages.length === 0 || slice.used === ID_PAGE_ROWS) {
      this.#place(slice, rows.ensure(rows.pages.length, 1))
      slice.used = 0
    }
    const last = rows.pages.length - 1
    const page = rows.ensure(last, slice.used + 1)
    const place = places[last]!
    page.dirty = 1
    page.u32[slice.used * ID_STRIDE + ID_STATE] = (timeMs - slice.startMs) | bits
    // A page that has grown has other views.
    this.#u32s[place] = page.u32
    return place * ID_PAGE_ROWS + slice.used++
  }

  /** The slice of a time. */
  sliceOf(timeMs: number): IdSlice {
    const startMs = Math.floor(timeMs / this.widthMs) * this.widthMs
    if (this.#latest?.startMs === startMs) return this.#latest
    const all = this.#all
    let at = all.length
    while (at > 0 && all[at - 1]!.startMs > startMs) at--
    let slice = all[at - 1]
    if (slice?.startMs !== startMs) {
      const rows = new Pages(this.#pool, ID_STRIDE * 4, ID_PAGE_ROWS, ROWS_FIRST)
      slice = { startMs, rows, used: 0, places: [] }
      all.splice(at, 0, slice)
    }
    this.#latest = slice
    return slice
  }

  /** Takes over the next page of a checkpoint's slice. */
  adopt(slice: IdSlice, page: Page, rows: number): void {
    this.#place(slice, page)
    slice.used = rows
  }

  /** Visits every row. */
  each(visit: VisitId): void {
    for (const slice of this.#all)
      for (let page = 0; page < slice.places.length; page++) this.eachOf(slice, page, visit)
  }

  /** Visits the rows of one page of a slice. */
  eachOf(slice: IdSlice, number: number, visit: VisitId): void {
    const { u32 } = slice.rows.pages[number]!
    const first = slice.places[number]! * ID_PAGE_ROWS
    const rows = number === slice.places.length - 1 ? slice.used : ID_PAGE_ROWS
    for (let i = 0; i < rows; i++) if (u32[i * ID_STRIDE + ID_STATE] !== 0) visit(first + i, u32, i * ID_STRIDE)
  }

  /** Takes the first page of a slice away, and with the last one the slice. */
  dropFirst(slice: IdSlice): void {
    const place = slice.places.shift()
    if (place !== undefined) {
      slice.rows.dropFirst()
      this.#places[place] = undefined
      this.#u32s[place] = noFields
      this.#freePlaces.push(place)
    }
    if (slice.places.length > 0) return
    this.#all.splice(this.#all.indexOf(slice), 1)
    this.#latest = null
  }

  /** Gives all memory back. */
  release(): void {
    for (const { rows } of this.#all) rows.release()
    this.#all = []
    this.#places = []
    this.#u32s = []
    this.#freePlaces = []
    this.#latest = null
  }

  #place(slice: IdSlice, page: Page): void {
    const place = this.#freePlaces.pop() ?? this.#places.length
    this.#places[place] = { page, slice }
    this.#u32s[place] = page.u32
    slice.places.push(place)
  }
}
