/**
 * The ids of events that were counted, each until its time is over.
 *
 * Owns: finding an id, keeping and forgetting it, texts of ids that are no UUIDs. Does not own: pages of rows
 * (state/id-slices), what follows for an event (operator/deduplicate), checkpoints (operator/id-snapshot).
 *
 *   u32  UUID: 4 words of the id | hash of the key | state       24 bytes, whatever the key
 *        text: reference | length of id | hash | length of key | hash of the key | state; behind the reference key and id
 *
 * Invariants: D1 no two rows have the same id and key. D2 whether an id is remembered is a matter of its time and the
 * watermark, not of whether its row has been taken away yet. D3 a row keeps its number until `advance`, `makeRoom` or
 * `keepUntil`.
 */
import { hashBlock, hashBytes, mix32 } from '../core/hash.ts'
import { IdIndex, ROW_MASK, tagOf } from './id-index.ts'
import {
  ID_KEY_HASH,
  ID_KIND_SHIFT,
  ID_PAGE_MASK,
  ID_PAGE_ROWS,
  ID_SIGNS,
  ID_STATE,
  ID_STRIDE,
  type IdSlice,
  IdSlices,
} from './id-slices.ts'
import { ID_TEXT, readId, writeUuid } from './id-words.ts'
import { blockInUse, KEY_PAGE_MASK, KEY_PAGE_SHIFT, KeyBlocks } from './key-blocks.ts'
import { PagePool } from './page-pool.ts'

const REF = 0
const LENGTH = 1
const HASH = 2
const KEY_LENGTH = 3
/** Pages that are taken apart in one go when their time is over. */
const PAGES_PER_SWEEP = 8

/** Remembered ids. Of the last one that was looked at, words and hash are kept for the next call. */
export class IdTable {
  readonly withinMs: number
  readonly slices: IdSlices
  readonly texts: KeyBlocks
  /** Ids in rows. */
  count = 0
  readonly #textPool = new PagePool()
  #index = new IdIndex((row) => this.#hashOf(row))
  #textBytes = 0
  /** What `look` found out of an id. */
  readonly #words = new Uint32Array(4)
  #kind = 0
  #hash = 0
  #keyHash = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #keyStart = 0
  #keyLength = 0
  #idStart = 0
  #idLength = 0
  #scratch = new Uint8Array(256)

  /** `withinMs`: how long behind the watermark an id is remembered. */
  constructor(withinMs: number) {
    this.withinMs = withinMs
    this.slices = new IdSlices(withinMs)
    this.texts = new KeyBlocks(this.#textPool)
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.slices.byteLength + this.#textPool.bytesInUse + this.#index.byteLength
  }

  /** Bytes that ids need: what is left between texts is used again. */
  get bytesNeeded(): number {
    return this.slices.byteLength + this.#textBytes + this.#index.byteLength
  }

  /** Looks for the id `bytes[idStart ..]` of the key `bytes[keyStart ..]`, whose hash is `keyHash`; its row, or -1. */
  look(
    keyHash: number,
    bytes: Uint8Array,
    keyStart: number,
    keyLength: number,
    idStart: number,
    idLength: number,
  ): number {
    const words = this.#words
    // Signed: what is beyond 31 bits would be an object in a field.
    this.#keyHash = keyHash | 0
    this.#kind = readId(bytes, idStart, idStart + idLength, words)
    if (this.#kind === ID_TEXT) {
      this.#bytes = bytes
      this.#keyStart = keyStart
      this.#keyLength = keyLength
      this.#idStart = idStart
      this.#idLength = idLength
      this.#hash = textHash(keyHash, bytes, idStart, idStart + idLength)
      return this.#findText()
    }
    this.#hash = uuidHash(keyHash, words, 0)
    return this.#findUuid()
  }

  /** A row for the id that `look` did not find, or whose row was taken out. */
  insert(timeMs: number, sign: number): number {
    const row = this.slices.add(timeMs, sign | (this.#kind << ID_KIND_SHIFT))
    const u32 = this.slices.u32Of(row)
    const at = (row & ID_PAGE_MASK) * ID_STRIDE
    if (this.#kind === ID_TEXT) {
      u32[at + REF] = this.#putText()
      u32[at + LENGTH] = this.#idLength
      u32[at + HASH] = this.#hash
      u32[at + KEY_LENGTH] = this.#keyLength
      this.#textBytes += textBytes(this.#keyLength + this.#idLength)
    } else for (let i = 0; i < 4; i++) u32[at + i] = this.#words[i]!
    u32[at + ID_KEY_HASH] = this.#keyHash
    this.#index.insert(this.#hash, row)
    this.count++
    return row
  }

  /** The latest time of the copies of a row's id. */
  timeOf(row: number): number {
    return this.slices.timeOf(row)
  }

  hasSign(row: number, sign: number): boolean {
    return (this.slices.stateOf(row) & sign) !== 0
  }

  addSign(row: number, sign: number): void {
    this.slices.setState(row, this.slices.stateOf(row) | sign)
  }

  /** Takes a sign away again; a row without one is taken out. */
  takeSign(row: number, sign: number): void {
    const state = this.slices.stateOf(row) & ~sign
    if ((state & ID_SIGNS) === 0) this.remove(row)
    else this.slices.setState(row, state)
  }

  /** Takes a row out. */
  remove(row: number): void {
    this.#index.remove(this.#hashOf(row), row)
    const u32 = this.slices.u32Of(row)
    const at = (row & ID_PAGE_MASK) * ID_STRIDE
    if (u32[at + ID_STATE]! >>> ID_KIND_SHIFT === ID_TEXT) {
      const length = u32[at + KEY_LENGTH]! + u32[at + LENGTH]!
      this.texts.free(u32[at + REF]!, length)
      this.#textBytes -= textBytes(length)
    }
    this.slices.setState(row, 0)
    this.count--
  }

  /** Keeps the id that `look` has found in `row` as if it were of a later time. */
  keepUntil(row: number, timeMs: number): void {
    const signs = this.slices.stateOf(row) & ID_SIGNS
    this.remove(row)
    this.insert(timeMs, signs)
  }

  /** Takes away ids whose time is over, a few pages at most. */
  advance(watermarkMs: number): void {
    if (watermarkMs === Number.POSITIVE_INFINITY) {
      this.release()
      return
    }
    for (let pages = 0; pages < PAGES_PER_SWEEP; pages++) {
      const oldest = this.slices.all[0]
      if (oldest === undefined || oldest.startMs + this.slices.widthMs - 1 + this.withinMs > watermarkMs) return
      this.#dropPage(oldest, Number.POSITIVE_INFINITY)
    }
  }

  /** Takes away the oldest ids until there is a page of room below `limitBytes`; returns how many were still remembered. */
  makeRoom(limitBytes: number, watermarkMs: number): number {
    let forgotten = 0
    while (this.bytesNeeded + ID_PAGE_ROWS * ID_STRIDE * 4 > limitBytes && this.count > 0)
      forgotten += this.#dropPage(this.slices.all[0]!, watermarkMs)
    return forgotten
  }

  /** After all pages were adopted: index, counts, and which blocks of texts are free. */
  restored(textBytesUsed: number): void {
    const inUse: number[] = []
    this.slices.each((row, u32, at) => {
      this.#index.insert(this.#hashOf(row), row)
      this.count++
      if (u32[at + ID_STATE]! >>> ID_KIND_SHIFT !== ID_TEXT) return
      const length = u32[at + KEY_LENGTH]! + u32[at + LENGTH]!
      inUse.push(blockInUse(u32[at + REF]!, length))
      this.#textBytes += textBytes(length)
    })
    this.texts.restore(Float64Array.from(inUse), textBytesUsed)
  }

  /** Copies the id of a row of `from`, which this table does not have. */
  takeOver(from: IdTable, row: number): void {
    const u32 = from.slices.u32Of(row)
    const at = (row & ID_PAGE_MASK) * ID_STRIDE
    const kind = u32[at + ID_STATE]! >>> ID_KIND_SHIFT
    const keyHash = u32[at + ID_KEY_HASH]!
    let found: number
    if (kind === ID_TEXT) {
      const ref = u32[at + REF]!
      const bytes = from.texts.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
      const start = ref & KEY_PAGE_MASK
      const keyLength = u32[at + KEY_LENGTH]!
      found = this.look(keyHash, bytes, start, keyLength, start + keyLength, u32[at + LENGTH]!)
    } else {
      const text = new Uint8Array(36)
      writeUuid(u32, at, kind, text)
      found = this.look(keyHash, text, 0, 0, 0, text.length)
    }
    if (found < 0) this.insert(from.timeOf(row), u32[at + ID_STATE]! & ID_SIGNS)
  }

  /** Forgets everything, and gives the memory back. */
  release(): void {
    this.slices.release()
    this.texts.release()
    this.texts.restore(new Float64Array(0), 0)
    this.#textBytes = 0
    this.count = 0
    this.#index = new IdIndex((row) => this.#hashOf(row))
  }

  #hashOf(row: number): number {
    const u32 = this.slices.u32Of(row)
    const at = (row & ID_PAGE_MASK) * ID_STRIDE
    if (u32[at + ID_STATE]! >>> ID_KIND_SHIFT === ID_TEXT) return u32[at + HASH]! | 0
    return uuidHash(u32[at + ID_KEY_HASH]!, u32, at)
  }

  #findUuid(): number {
    const words = this.#words
    const a = words[0]!
    const b = words[1]!
    const c = words[2]!
    const d = words[3]!
    const hash = this.#hash
    const keyHash = this.#keyHash
    const kind = this.#kind
    const slices = this.slices
    const slots = this.#index.slotsOf(hash)
    const mask = slots.length - 1
    const tag = tagOf(hash)
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = slots[at]!
      if (slot === 0) return -1
      if ((slot & ~ROW_MASK) !== tag || slot === ROW_MASK) continue
      const row = (slot & ROW_MASK) - 1
      const u32 = slices.u32Of(row)
      const i = (row & ID_PAGE_MASK) * ID_STRIDE
      if (
        u32[i] === a &&
        u32[i + 1] === b &&
        u32[i + 2] === c &&
        u32[i + 3] === d &&
        (u32[i + ID_KEY_HASH]! | 0) === keyHash &&
        u32[i + ID_STATE]! >>> ID_KIND_SHIFT === kind
      )
        return row
    }
  }

  #findText(): number {
    const slots = this.#index.slotsOf(this.#hash)
    const mask = slots.length - 1
    const tag = tagOf(this.#hash)
    for (let at = this.#hash & mask; ; at = (at + 1) & mask) {
      const slot = slots[at]!
      if (slot === 0) return -1
      if ((slot & ~ROW_MASK) !== tag || slot === ROW_MASK) continue
      const row = (slot & ROW_MASK) - 1
      if (this.#isText(row)) return row
    }
  }

  #isText(row: number): boolean {
    const u32 = this.slices.u32Of(row)
    const at = (row & ID_PAGE_MASK) * ID_STRIDE
    if ((u32[at + HASH]! | 0) !== this.#hash || u32[at + ID_STATE]! >>> ID_KIND_SHIFT !== ID_TEXT) return false
    if (u32[at + LENGTH] !== this.#idLength || u32[at + KEY_LENGTH] !== this.#keyLength) return false
    const ref = u32[at + REF]!
    const stored = this.texts.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
    const from = ref & KEY_PAGE_MASK
    const bytes = this.#bytes
    for (let i = 0; i < this.#keyLength; i++) if (stored[from + i] !== bytes[this.#keyStart + i]) return false
    const idAt = from + this.#keyLength
    for (let i = 0; i < this.#idLength; i++) if (stored[idAt + i] !== bytes[this.#idStart + i]) return false
    return true
  }

  #putText(): number {
    const length = this.#keyLength + this.#idLength
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length * 2)
    const scratch = this.#scratch
    for (let i = 0; i < this.#keyLength; i++) scratch[i] = this.#bytes[this.#keyStart + i]!
    for (let i = 0; i < this.#idLength; i++) scratch[this.#keyLength + i] = this.#bytes[this.#idStart + i]!
    return this.texts.put(scratch, 0, length)
  }

  /** Takes the first page of a slice away; returns how many of its ids were still remembered. */
  #dropPage(slice: IdSlice, watermarkMs: number): number {
    let remembered = 0
    this.slices.eachOf(slice, 0, (row) => {
      if (this.timeOf(row) + this.withinMs > watermarkMs) remembered++
      this.remove(row)
    })
    this.slices.dropFirst(slice)
    return remembered
  }
}

function uuidHash(keyHash: number, words: Uint32Array, at: number): number {
  let hash = hashBlock(keyHash | 0, words[at]!)
  hash = hashBlock(hash, words[at + 1]!)
  hash = hashBlock(hash, words[at + 2]!)
  return mix32(hashBlock(hash, words[at + 3]!)) | 0
}

function textHash(keyHash: number, bytes: Uint8Array, start: number, end: number): number {
  return hashBytes(bytes, start, end, keyHash) | 0
}

function textBytes(length: number): number {
  return Math.ceil(length / 8) * 8
}
