/**
 * Packs the pages of a subtask into chunks and writes them in the background.
 *
 * Owns: copying pages at the barrier, chunk sizes, names and sequence, bounded concurrency, and what is known of chunks
 * that did not get through. Does not own: which pages changed (state/), what a snapshot is for (manifest-merge.ts).
 *
 * Use, in one step at the barrier, for every live page:
 *
 *   const pack = writer.begin()
 *   if (page.dirty === 1 || page.location === null || writer.isStale(page.location)) {
 *     page.location = pack.write(table, keyGroup, number, rows, bytes)     // copies; the page may change at once
 *     page.dirty = 0
 *   } else pack.keep(table, keyGroup, number, rows, page.location)
 *   …
 *   const { pages, written } = await pack.finish()                        // all bytes are durable; ack
 *
 * When `finish` rejects, decline the checkpoint and do nothing else: the locations that `write` returned are stale from
 * then on, so the next checkpoint writes those pages again. The same holds for chunks named to `rewrite`.
 *
 * Invariants:
 * 1. A chunk has 512 KB to 1 MB, but for the last of a pack, and a page over 512 KB, which lies alone.
 * 2. Keys are used once: the sequence only rises.
 * 3. `finish` resolves only when every chunk that the pack refers to is durable, those of earlier packs included.
 * 4. Every key that was put is reported in `written` of exactly one pack that finished well.
 */
import { invariant, MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import type { PageLocation } from '../state/pages.ts'
import type { ChunkNames } from './chunk-key.ts'
import { type ChunkRef, type PageList, PageListBuilder } from './snapshot.ts'
import type { ChunkWriter } from './store.ts'

/** Bytes at which a chunk is full. */
export const CHUNK_BYTES_FULL = 512 * 1024

/** Bytes that a chunk of more than one page never exceeds. */
export const CHUNK_BYTES_MAX = 1024 * 1024

const CHUNK_BYTES_FIRST = 16 * 1024

/** Whose chunks a writer writes. */
export interface PageWriterOptions {
  readonly store: ChunkWriter
  readonly names: ChunkNames
  /** Chunks in flight at once; 4 unless given. */
  readonly concurrencyMax?: number
}

/** What a finished pack says. */
export interface PackResult {
  readonly pages: PageList
  /** For SubtaskSnapshot.written. */
  readonly written: readonly ChunkRef[]
}

/** What is known of one chunk. */
interface ChunkRecord {
  readonly key: string
  /** Number of the pack that put it; 0 for restored ones. */
  readonly pack: number
  sizeBytes: number
  state: 'pending' | 'durable' | 'lost'
  /** Its pages must be written again. */
  stale: boolean
  /** Settled when the bytes are durable or lost; never left unhandled. */
  readonly done: Promise<void>
}

/** Writes the pages of one subtask for one attempt. */
export class PageWriter {
  readonly #options: PageWriterOptions
  readonly #concurrencyMax: number
  readonly #records = new Map<string, ChunkRecord>()
  /** Waiting for a free place among those in flight. */
  readonly #queue: (() => void)[] = []
  #inFlight = 0
  #packs = 0
  /** Put and not yet reported in `written`. */
  #unreported: ChunkRecord[] = []

  constructor(options: PageWriterOptions) {
    this.#options = options
    this.#concurrencyMax = options.concurrencyMax ?? 4
  }

  /** Makes chunks of a restored checkpoint known: their pages may be kept. */
  adopt(chunks: readonly ChunkRef[]): void {
    for (const { key, sizeBytes } of chunks) {
      this.#records.set(key, { key, pack: 0, sizeBytes, state: 'durable', stale: false, done: Promise.resolve() })
    }
  }

  /** Asks for the pages in these chunks to be written anew by the next pack; keys of other subtasks are ignored. */
  rewrite(chunkKeys: readonly string[]): void {
    for (const key of chunkKeys) {
      const record = this.#records.get(key)
      if (record !== undefined) record.stale = true
    }
  }

  /** Whether a page that lies there must be written again although it has not changed. */
  isStale(location: PageLocation): boolean {
    return this.#records.get(location.chunk)?.stale ?? true
  }

  /** Starts the pages of one checkpoint. Its `finish` must be called before the next `begin`; it may still be running. */
  begin(): PagePack {
    const pack = ++this.#packs
    return new PagePack(
      () => this.#open(pack),
      (key) => this.#records.get(key),
      (builder, referred) => this.#settle(pack, builder, referred),
    )
  }

  #open(pack: number): OpenChunk {
    const key = this.#options.names.next()
    const { promise: done, resolve, reject } = Promise.withResolvers<void>()
    // Whoever refers to the chunk awaits it; one that nobody refers to any more must not end the process.
    done.catch(() => undefined)
    const record: ChunkRecord = { key, pack, sizeBytes: 0, state: 'pending', stale: false, done }
    this.#records.set(key, record)
    this.#unreported.push(record)
    const seal = (bytes: Uint8Array): void => {
      record.sizeBytes = bytes.length
      this.#put(record, bytes).then(resolve, reject)
    }
    return { record, seal }
  }

  async #put(record: ChunkRecord, bytes: Uint8Array): Promise<void> {
    if (this.#inFlight >= this.#concurrencyMax) {
      // The place is handed over by the put that ends, so that nobody overtakes.
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#queue.push(resolve)
      await promise
    } else {
      this.#inFlight++
    }
    try {
      await this.#options.store.putChunk(record.key, bytes)
      record.state = 'durable'
    } catch (error) {
      record.state = 'lost'
      record.stale = true
      throw error
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#inFlight--
      else next()
    }
  }

  async #settle(
    pack: number,
    builder: PageListBuilder,
    referred: ReadonlyMap<string, ChunkRecord>,
  ): Promise<PackResult> {
    const outcomes = await Promise.allSettled([...referred.values()].map((record) => record.done))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw MillraceError.from(outcome.reason)
    const pages = builder.build((key) => referred.get(key)!.sizeBytes)
    // Only what this pack or an earlier one put: what a later one puts would look unused beside these pages.
    const reported = this.#unreported.filter((record) => record.pack <= pack && record.state !== 'pending')
    this.#unreported = this.#unreported.filter((record) => record.pack > pack || record.state === 'pending')
    for (const [key, record] of this.#records) {
      if (record.pack <= pack && record.state !== 'pending' && !referred.has(key)) this.#records.delete(key)
    }
    return { pages, written: reported.map(({ key, sizeBytes }) => ({ key, sizeBytes })) }
  }
}

interface OpenChunk {
  readonly record: ChunkRecord
  readonly seal: (bytes: Uint8Array) => void
}

/** The pages of one checkpoint of one subtask. */
export class PagePack {
  readonly #open: () => OpenChunk
  readonly #find: (key: string) => ChunkRecord | undefined
  readonly #settle: (builder: PageListBuilder, referred: ReadonlyMap<string, ChunkRecord>) => Promise<PackResult>
  readonly #builder = new PageListBuilder()
  readonly #referred = new Map<string, ChunkRecord>()
  #chunk: OpenChunk | undefined
  #buffer = new Uint8Array(0)
  #used = 0
  /** True after the first full chunk: more will follow, so buffers need not grow from small. */
  #sealed = false
  /** Bytes copied so far: what this checkpoint adds to the store. */
  bytesWritten = 0

  constructor(
    open: () => OpenChunk,
    find: (key: string) => ChunkRecord | undefined,
    settle: (builder: PageListBuilder, referred: ReadonlyMap<string, ChunkRecord>) => Promise<PackResult>,
  ) {
    this.#open = open
    this.#find = find
    this.#settle = settle
  }

  /** Copies a page into a chunk and returns where it will be. `keyGroup` is -1 for a page of several. */
  write(table: string, keyGroup: number, pageNumber: number, rowCount: number, bytes: Uint8Array): PageLocation {
    const crc = crc32c(bytes)
    this.bytesWritten += bytes.length
    let location: PageLocation
    if (bytes.length > CHUNK_BYTES_FULL) {
      const alone = this.#open()
      alone.seal(bytes.slice())
      location = this.#refer(alone.record, { chunk: alone.record.key, offset: 0, length: bytes.length, crc })
    } else {
      this.#chunk ??= this.#open()
      const { record } = this.#chunk
      location = this.#refer(record, { chunk: record.key, offset: this.#used, length: bytes.length, crc })
      this.#append(bytes)
      if (this.#used >= CHUNK_BYTES_FULL) {
        this.#sealed = true
        this.#seal()
      }
    }
    this.#builder.add(table, keyGroup, pageNumber, rowCount, location)
    return location
  }

  /** Takes over a page that has not changed since it was written at `location`, which must not be stale. */
  keep(table: string, keyGroup: number, pageNumber: number, rowCount: number, location: PageLocation): void {
    const record = this.#find(location.chunk)
    invariant(
      record !== undefined && !record.stale,
      `page ${table}/${pageNumber} kept in stale chunk ${location.chunk}`,
    )
    this.#refer(record, location)
    this.#builder.add(table, keyGroup, pageNumber, rowCount, location)
  }

  /**
   * Ends the pack. Resolves when every byte that it refers to is durable; rejects with the store's error when some are
   * lost: then decline the checkpoint.
   */
  finish(): Promise<PackResult> {
    this.#seal()
    return this.#settle(this.#builder, this.#referred)
  }

  #refer(record: ChunkRecord, location: PageLocation): PageLocation {
    this.#referred.set(record.key, record)
    return location
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length
    if (needed > this.#buffer.length) {
      let size = Math.max(this.#buffer.length, this.#sealed ? CHUNK_BYTES_FULL + bytes.length : CHUNK_BYTES_FIRST)
      while (size < needed) size *= 2
      const larger = new Uint8Array(Math.min(size, CHUNK_BYTES_MAX))
      larger.set(this.#buffer.subarray(0, this.#used))
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.#used)
    this.#used = needed
  }

  #seal(): void {
    if (this.#chunk === undefined) return
    this.#chunk.seal(this.#buffer.subarray(0, this.#used))
    this.#chunk = undefined
    this.#buffer = new Uint8Array(0)
    this.#used = 0
  }
}
