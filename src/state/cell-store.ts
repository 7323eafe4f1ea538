/**
 * Cells: pieces of memory of any size that rows refer to by a number in one of their columns.
 *
 * Owns: allocation in pages, growth, reuse of freed cells, and what a checkpoint needs to find them again. Does not own:
 * what is in a cell (state/sketch), or who refers to it: whoever drops a row frees its cells.
 *
 * Cells of one size (a power of two, and the 8 bytes that sketches begin with) share pages. A cell is
 *
 *   u32  length of the content (0: the cell is free) | 0        u8  content, zeroed when new
 *
 * so that a snapshot needs nothing beside the pages. A reference is a positive integer below 2^53; 0 refers to nothing.
 *
 * Invariants: C1 a reference stays valid until `free` or a `resize` that returns another one. C2 views (`u8`, `f64`, …)
 * are valid until the next allocation. C3 only `open` marks a page as changed.
 */
import { invariant } from '../core/errors.ts'
import type { PagePool } from './page-pool.ts'
import { type Page, type PageLocation, Pages } from './pages.ts'

/** Largest content of a cell, bytes. */
export const CELL_BYTES_MAX = 16 * 1024 * 1024

const HEADER_BYTES = 8
const FIRST_BYTES = 16
const CLASSES = 22
const PAGE_BYTES = 64 * 1024
/** References are `(cell + 1) * REF_STEP + class`. */
const REF_STEP = 32

/** Bytes of content that cells of a class have room for. */
function roomOf(size: number): number {
  return (FIRST_BYTES << size) + 8
}

/** A growing sequence of equal cells. */
class CellClass {
  readonly pages: Pages
  readonly perPage: number
  count = 0
  live = 0
  readonly free: number[] = []

  constructor(pool: PagePool, bytes: number) {
    this.perPage = Math.max(1, Math.floor(PAGE_BYTES / bytes))
    this.pages = new Pages(pool, bytes, this.perPage, Math.min(4, this.perPage))
  }
}

/** Visits one page of cells; see CellStore.visit. */
export type VisitCells = (name: string, number: number, units: number, byteLength: number, page: Page) => void

/** Cells of one table. */
export class CellStore {
  /** Views of the page of the cell last opened; its content starts at byte `at` and has `length` bytes. */
  u8: Uint8Array = new Uint8Array(0)
  u32: Uint32Array = new Uint32Array(0)
  f64: Float64Array = new Float64Array(0)
  at = 0
  length = 0
  /** A copy of content that `load` made, from byte 0 on: it stays while other cells are opened and grow. */
  readonly loaded = new LoadedCell()
  readonly #pool: PagePool
  readonly #classes: (CellClass | undefined)[] = []

  constructor(pool: PagePool) {
    this.#pool = pool
  }

  /** Cells in use. */
  get count(): number {
    return this.#classes.reduce((sum, cells) => sum + (cells?.live ?? 0), 0)
  }

  /** Makes a cell of `bytes` zeroed bytes, 1 to CELL_BYTES_MAX, and opens it. */
  allocate(bytes: number): number {
    invariant(bytes > 0 && bytes <= CELL_BYTES_MAX, `a cell of ${bytes} bytes`)
    let size = 0
    while (roomOf(size) < bytes) size++
    const cells = this.#classOf(size)
    const cell = cells.free.pop() ?? cells.count++
    cells.live++
    cells.pages.ensure(Math.floor(cell / cells.perPage), (cell % cells.perPage) + 1)
    const ref = (cell + 1) * REF_STEP + size
    const page = this.#locate(ref)
    page.dirty = 1
    page.u32[(this.at - HEADER_BYTES) / 4] = bytes
    page.u32[(this.at - HEADER_BYTES) / 4 + 1] = 0
    page.u8.fill(0, this.at, this.at + roomOf(size))
    this.length = bytes
    return ref
  }

  /** Opens a cell to change it. */
  open(ref: number): void {
    this.#locate(ref).dirty = 1
  }

  /** Opens a cell to read it. */
  read(ref: number): void {
    this.#locate(ref)
  }

  /** Changes the length, keeps what fits, and opens the cell; new bytes are 0. Returns the reference from now on. */
  resize(ref: number, bytes: number): number {
    const size = ref & 31
    this.#locate(ref)
    if (bytes <= roomOf(size) && (size === 0 || bytes > roomOf(size - 1))) {
      if (bytes < this.length) this.u8.fill(0, this.at + bytes, this.at + this.length)
      this.open(ref)
      this.u32[(this.at - HEADER_BYTES) / 4] = bytes
      this.length = bytes
      return ref
    }
    this.load(ref)
    this.free(ref)
    const { loaded } = this
    const next = this.allocate(bytes)
    const kept = Math.min(bytes, loaded.length)
    for (let i = 0; i < kept; i++) this.u8[this.at + i] = loaded.u8[i]!
    return next
  }

  /** Gives a cell back; 0 is fine. */
  free(ref: number): void {
    if (ref === 0) return
    const page = this.#locate(ref)
    invariant(this.length > 0, `cell ${ref} was freed twice`)
    page.dirty = 1
    page.u32[(this.at - HEADER_BYTES) / 4] = 0
    const cells = this.#classes[ref & 31]!
    cells.live--
    if (cells.live > 0) {
      cells.free.push(Math.floor(ref / REF_STEP) - 1)
      return
    }
    // The last one: with the pages, what a rush has left behind goes too.
    cells.pages.release()
    cells.free.length = 0
    cells.count = 0
  }

  /** Whether a number refers to a cell in use. */
  has(ref: number): boolean {
    if (!Number.isSafeInteger(ref) || ref < REF_STEP) return false
    const cells = this.#classes[ref % REF_STEP]
    if (cells === undefined || Math.floor(ref / REF_STEP) > cells.count) return false
    this.#locate(ref)
    return this.length > 0 && this.length + HEADER_BYTES <= cells.pages.unitBytes
  }

  /** Copies a cell's content to `loaded`. */
  load(ref: number): LoadedCell {
    this.#locate(ref)
    this.loaded.set(this.u8, this.at, this.at + this.length)
    return this.loaded
  }

  /** A new cell with the content of `loaded`. */
  put(): number {
    const { loaded } = this
    const ref = this.allocate(loaded.length)
    for (let i = 0; i < loaded.length; i++) this.u8[this.at + i] = loaded.u8[i]!
    return ref
  }

  /** Visits every page, class by class, for a snapshot. */
  visit(visit: VisitCells): void {
    this.#classes.forEach((cells, size) => {
      if (cells === undefined) return
      cells.pages.pages.forEach((page, i) => {
        const units = Math.min(cells.perPage, cells.count - i * cells.perPage)
        visit(`${size}`, i, units, units * cells.pages.unitBytes, page)
      })
    })
  }

  /** Takes over the pages of a snapshot; `pagesOf` gives those that `visit` named so, in order. The store must be empty. */
  restore(
    pagesOf: (
      name: string,
    ) => readonly { readonly units: number; readonly bytes: Uint8Array; readonly location: PageLocation | null }[],
  ): void {
    for (let size = 0; size < CLASSES; size++) {
      const stored = pagesOf(`${size}`)
      if (stored.length === 0) continue
      const cells = this.#classOf(size)
      for (const { bytes, units, location } of stored) {
        const page = cells.pages.adopt(bytes, location)
        for (let i = 0; i < units; i++) {
          if (page.u32[(i * cells.pages.unitBytes) / 4] === 0) cells.free.push(cells.count)
          else cells.live++
          cells.count++
        }
      }
    }
  }

  /** Visits every cell in use: its reference; the cell is open for reading. */
  forEach(visit: (ref: number) => void): void {
    this.#classes.forEach((cells, size) => {
      for (let cell = 0; cells !== undefined && cell < cells.count; cell++) {
        const ref = (cell + 1) * REF_STEP + size
        this.#locate(ref)
        if (this.length > 0) visit(ref)
      }
    })
  }

  /** Gives all memory back. */
  release(): void {
    for (const cells of this.#classes) cells?.pages.release()
    this.#classes.length = 0
  }

  #classOf(size: number): CellClass {
    let cells = this.#classes[size]
    if (cells === undefined) {
      cells = new CellClass(this.#pool, roomOf(size) + HEADER_BYTES)
      this.#classes[size] = cells
    }
    return cells
  }

  #locate(ref: number): Page {
    const cells = this.#classes[ref & 31]!
    const cell = Math.floor(ref / REF_STEP) - 1
    const page = cells.pages.pages[Math.floor(cell / cells.perPage)]!
    this.u8 = page.u8
    this.u32 = page.u32
    this.f64 = page.f64
    this.at = (cell % cells.perPage) * cells.pages.unitBytes + HEADER_BYTES
    this.length = page.u32[(this.at - HEADER_BYTES) / 4]!
    return page
  }
}

/** Content of a cell, on its own: reused, and aligned for every view. */
export class LoadedCell {
  u8 = new Uint8Array(1024)
  u32 = new Uint32Array(this.u8.buffer)
  f64 = new Float64Array(this.u8.buffer)
  length = 0

  /** Takes a copy of `bytes[start .. end)`. */
  set(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length > this.u8.length) {
      this.u8 = new Uint8Array(Math.ceil(length / 8) * 16)
      this.u32 = new Uint32Array(this.u8.buffer)
      this.f64 = new Float64Array(this.u8.buffer)
    }
    // A view and `set` cost more than this loop for the small cells that most are.
    if (length < 256) for (let i = 0; i < length; i++) this.u8[i] = bytes[start + i]!
    else this.u8.set(bytes.subarray(start, end))
    this.length = length
  }
}
