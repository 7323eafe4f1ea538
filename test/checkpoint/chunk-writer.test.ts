import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChunkNames, chunkKeyPrefix } from '../../src/checkpoint/chunk-key.ts'
import { CHUNK_BYTES_FULL, CHUNK_BYTES_MAX, PageWriter } from '../../src/checkpoint/chunk-writer.ts'
import { MemoryChunkStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { readPages } from '../../src/checkpoint/page-reader.ts'
import { type PageList, pageCount, pageLocation } from '../../src/checkpoint/snapshot.ts'
import type { ChunkWriter } from '../../src/checkpoint/store.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { PageLocation } from '../../src/state/pages.ts'

const chunkPrefix = chunkKeyPrefix('j', 3, 2, 'abc')

function make(store: ChunkWriter, concurrencyMax = 4): PageWriter {
  return new PageWriter({ store, names: new ChunkNames(chunkPrefix, 'window', 1), concurrencyMax })
}

async function readAll(data: MemoryStoreData, pages: PageList): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>()
  await readPages(
    new MemoryChunkStore(data),
    'checkpoint 1 of job j',
    pages,
    () => true,
    (i, bytes) => {
      found.set(`${pages.tables[pages.tableIndex[i]!]}/${pages.keyGroup[i]}/${pages.pageNumber[i]}`, [...bytes])
    },
  )
  return found
}

/** A store whose puts the test settles one by one. */
class HeldStore implements ChunkWriter {
  readonly calls: { key: string; bytes: Uint8Array; resolve: () => void; reject: (e: Error) => void }[] = []

  putChunk(key: string, bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.calls.push({ key, bytes, resolve, reject })
    return promise
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const away = new MillraceError('STORE_UNREACHABLE', 'planned')

describe('page writer', () => {
  test('what was written is read back, by kept location too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(fc.record({ page: fc.nat(8), bytes: fc.uint8Array({ maxLength: 300 }) }), { maxLength: 12 }),
          { minLength: 1, maxLength: 6 },
        ),
        async (checkpoints) => {
          const data = new MemoryStoreData()
          const writer = make(new MemoryChunkStore(data))
          const state = new Map<number, { bytes: Uint8Array; location: PageLocation | null }>()
          for (const changes of checkpoints) {
            for (const { page, bytes } of changes) state.set(page, { bytes, location: null })
            const pack = writer.begin()
            for (const [number, page] of state) {
              if (page.location === null || writer.isStale(page.location)) {
                page.location = pack.write('t', number % 3, number, 5, page.bytes)
              } else pack.keep('t', number % 3, number, 5, page.location)
            }
            const { pages } = await pack.finish()
            expect(pageCount(pages)).toBe(state.size)
            const expected = [...state].map(([n, page]) => [`t/${n % 3}/${n}`, [...page.bytes]] as const)
            expect(await readAll(data, pages)).toEqual(new Map(expected))
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  test('copies at once: the page may change before it is stored', async () => {
    const store = new HeldStore()
    const pack = make(store).begin()
    const small = new Uint8Array([1, 2, 3])
    const large = new Uint8Array(CHUNK_BYTES_FULL + 1).fill(5)
    pack.write('t', -1, 0, 1, small)
    pack.write('t', -1, 1, 1, large)
    const finished = pack.finish()
    small.fill(9)
    large.fill(9)
    for (const call of store.calls) call.resolve()
    const { pages } = await finished
    const bytesOf = (page: number): Uint8Array =>
      store.calls.find((call) => call.key === pageLocation(pages, page).chunk)!.bytes
    expect([...bytesOf(0)]).toEqual([1, 2, 3])
    expect(bytesOf(1).every((byte) => byte === 5)).toBe(true)
  })

  test('chunks have 512 KB to 1 MB, but for the last and for large pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.nat(4000), fc.integer({ min: 100_000, max: 900_000 })), { maxLength: 40 }),
        async (lengths) => {
          const store = new HeldStore()
          const pack = make(store, 1000).begin()
          const block = new Uint8Array(900_000)
          for (const [i, length] of lengths.entries()) pack.write('t', -1, i, 1, block.subarray(0, length))
          const finished = pack.finish()
          for (const call of store.calls) call.resolve()
          const { pages } = await finished
          const short = store.calls.filter((call) => call.bytes.length < CHUNK_BYTES_FULL)
          expect(short.length).toBeLessThanOrEqual(1)
          for (const { key, bytes } of store.calls) {
            const index = pages.chunks.findIndex((chunk) => chunk.key === key)
            expect(pages.chunks[index]!.sizeBytes).toBe(bytes.length)
            const inside = pages.chunkIndex.filter((chunk) => chunk === index).length
            if (inside > 1) expect(bytes.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  test('keys name generation, attempt, nonce and subtask, and are used once', async () => {
    const data = new MemoryStoreData()
    const store = new MemoryChunkStore(data)
    const writer = make(store)
    for (let i = 0; i < 3; i++) {
      const pack = writer.begin()
      pack.write('t', -1, 0, 1, new Uint8Array([i]))
      await pack.finish()
    }
    expect(await store.listChunks('j')).toEqual([1, 2, 3].map((n) => `j/3-2-abc.window.1.${n}`))
  })

  test('at most so many puts are under way, in order', async () => {
    const store = new HeldStore()
    const pack = make(store, 2).begin()
    for (let i = 0; i < 5; i++) pack.write('t', -1, i, 1, new Uint8Array(CHUNK_BYTES_FULL).fill(i))
    const finished = pack.finish()
    for (let done = 0; done < 5; done++) {
      await turn()
      expect(store.calls.length).toBe(Math.min(5, done + 2))
      expect(store.calls[done]!.bytes[0]).toBe(done)
      store.calls[done]!.resolve()
    }
    expect(pageCount((await finished).pages)).toBe(5)
  })

  test('a place is given back by a put that fails', async () => {
    const store = new HeldStore()
    const writer = make(store, 1)
    const pack = writer.begin()
    for (let i = 0; i < 2; i++) pack.write('t', -1, i, 1, new Uint8Array(CHUNK_BYTES_FULL))
    const finished = pack.finish()
    await turn()
    store.calls[0]!.reject(away)
    await turn()
    expect(store.calls).toHaveLength(2)
    store.calls[1]!.resolve()
    await expect(finished).rejects.toBe(away)
  })

  test('a checkpoint waits for chunks of the one before it, which was given up', async () => {
    const store = new HeldStore()
    const writer = make(store)
    const first = writer.begin()
    const location = first.write('t', -1, 0, 1, new Uint8Array([1]))
    const one = first.finish()
    const second = writer.begin()
    expect(writer.isStale(location)).toBe(false)
    second.keep('t', -1, 0, 1, location)
    let settled = false
    const two = second.finish().finally(() => {
      settled = true
    })
    await turn()
    expect(settled).toBe(false)
    store.calls[0]!.resolve()
    await two
    await one
    expect(store.calls).toHaveLength(1)
  })

  test('and fails with them; then, and only then, the page is written again', async () => {
    const store = new HeldStore()
    const writer = make(store)
    const first = writer.begin()
    const location = first.write('t', -1, 0, 1, new Uint8Array([1]))
    const one = first.finish()
    const second = writer.begin()
    second.keep('t', -1, 0, 1, location)
    const two = second.finish()
    store.calls[0]!.reject(away)
    await expect(one).rejects.toBe(away)
    await expect(two).rejects.toBe(away)
    expect(writer.isStale(location)).toBe(true)
    expect(() => writer.begin().keep('t', -1, 0, 1, location)).toThrow(/stale/)
    const third = writer.begin()
    const again = third.write('t', -1, 0, 1, new Uint8Array([1]))
    const three = third.finish()
    store.calls[1]!.resolve()
    const { written } = await three
    expect(written.map((chunk) => chunk.key)).toEqual([location.chunk, again.chunk])
  })

  test('every chunk is reported once, by a pack that put it or a later one', async () => {
    const store = new HeldStore()
    const writer = make(store)
    const first = writer.begin()
    first.write('t', -1, 0, 1, new Uint8Array([1]))
    const one = first.finish()
    const second = writer.begin()
    second.write('t', -1, 0, 1, new Uint8Array([2]))
    second.write('t', -1, 1, 1, new Uint8Array(CHUNK_BYTES_FULL + 1))
    const two = second.finish()
    // A chunk of the second is durable before the first pack ends: it is no news of the first.
    store.calls[1]!.resolve()
    await turn()
    store.calls[0]!.resolve()
    const early = (await one).written.map((chunk) => chunk.key)
    expect(early).toEqual([store.calls[0]!.key])
    store.calls[2]!.resolve()
    const late = (await two).written.map((chunk) => chunk.key)
    expect([...early, ...late].sort()).toEqual(store.calls.map((call) => call.key).sort())
  })

  test('chunks to rewrite are stale until they are left', async () => {
    const data = new MemoryStoreData()
    const writer = make(new MemoryChunkStore(data))
    const first = writer.begin()
    const location = first.write('t', -1, 0, 1, new Uint8Array([1]))
    await first.finish()
    writer.rewrite(['j/1-1-x.window.0.1', location.chunk])
    expect(writer.isStale(location)).toBe(true)
    const second = writer.begin()
    const moved = second.write('t', -1, 0, 1, new Uint8Array([1]))
    await second.finish()
    expect(writer.isStale(moved)).toBe(false)
    expect(writer.isStale(location)).toBe(true)
  })

  test('pages of a restored checkpoint are kept where they lie', async () => {
    const data = new MemoryStoreData()
    const before = make(new MemoryChunkStore(data))
    const pack = before.begin()
    pack.write('t', -1, 0, 1, new Uint8Array([1, 2]))
    const { pages } = await pack.finish()
    const writer = new PageWriter({
      store: new MemoryChunkStore(data),
      names: new ChunkNames(chunkKeyPrefix('j', 4, 1, 'def'), 'window', 1),
    })
    const location = pageLocation(pages, 0)
    expect(writer.isStale(location)).toBe(true)
    writer.adopt(pages.chunks)
    expect(writer.isStale(location)).toBe(false)
    const next = writer.begin()
    next.keep('t', -1, 0, 1, location)
    const result = await next.finish()
    expect(result).toEqual({ pages, written: [] })
    expect(next.bytesWritten).toBe(0)
  })
})

describe('page reader', () => {
  async function stored(): Promise<{ data: MemoryStoreData; pages: PageList; key: string }> {
    const data = new MemoryStoreData()
    const pack = make(new MemoryChunkStore(data)).begin()
    pack.write('sums', 4, 0, 1, new Uint8Array([1, 2, 3]))
    pack.write('sums', 5, 1, 1, new Uint8Array([4, 5]))
    const { pages } = await pack.finish()
    return { data, pages, key: pages.chunks[0]!.key }
  }

  test('gives only what is wanted', async () => {
    const { data, pages } = await stored()
    const seen: number[][] = []
    await readPages(
      new MemoryChunkStore(data),
      'c',
      pages,
      (i) => pages.keyGroup[i] === 5,
      (_, bytes) => seen.push([...bytes]),
    )
    expect(seen).toEqual([[4, 5]])
  })

  test('a missing, short or damaged chunk is CHECKPOINT_CORRUPT and is named', async () => {
    const { data, pages, key } = await stored()
    const store = new MemoryChunkStore(data)
    const corrupt = { code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining(key) as string }
    await store.putChunk(key, new Uint8Array([1, 2, 3, 4]))
    await expect(readAll(data, pages)).rejects.toMatchObject(corrupt)
    await store.putChunk(key, new Uint8Array([1, 2, 3, 4, 6]))
    await expect(readAll(data, pages)).rejects.toMatchObject(corrupt)
    await expect(readAll(data, pages)).rejects.toThrow(/page 1 of table sums/)
    await store.deleteChunks([key])
    await expect(readAll(data, pages)).rejects.toMatchObject(corrupt)
  })
})
