import { expect, test } from 'vitest'
import { MemoryCheckpointStore, MemoryStoreData, memoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { openCheckpointStore, openChunkStore } from '../../src/checkpoint/open-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { describeStore } from './store-contract.ts'

describeStore('memory', async () => {
  const data = new MemoryStoreData()
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  return {
    open: async () => new MemoryCheckpointStore(data, clock, random),
    passTtl: async (ttlMs) => clock.advance(ttlMs + 1),
    wipe: async () => data.clear(),
    dispose: async () => {},
  }
})

test('faults hit before an operation takes effect, or after it', async () => {
  const data = new MemoryStoreData()
  const store = new MemoryCheckpointStore(data, new ManualClock(), new SeededRandom(1))
  const lost = new MillraceError('STORE_UNREACHABLE', 'planned')
  await store.acquireLease('j', 'a', 'n', 1000)
  data.fault = (operation, when) => {
    if (operation === 'publishManifest' && when === 'before') throw lost
  }
  await expect(store.publishManifest('j', 1, 'n', 1, new Uint8Array(1))).rejects.toBe(lost)
  expect(await store.listCheckpoints('j')).toEqual([])
  data.fault = (operation, when) => {
    if (operation === 'publishManifest' && when === 'after') throw lost
  }
  await expect(store.publishManifest('j', 1, 'n', 1, new Uint8Array(1))).rejects.toBe(lost)
  data.fault = undefined
  expect(await store.listCheckpoints('j')).toEqual([1])
})

test('a chunk store opened by name sees the coordinator store of that name', async () => {
  const config = { kind: 'memory', name: 'by-name' } as const
  const store = await openCheckpointStore(config, { clock: new ManualClock(), random: new SeededRandom(1) })
  const chunks = openChunkStore(config)
  await chunks.putChunk('j/1-1-n.window.0.1', new Uint8Array([1, 2]))
  expect(await store.listChunks('j')).toEqual(['j/1-1-n.window.0.1'])
  await chunks.close()
  await expect(chunks.readChunk('j/1-1-n.window.0.1')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  memoryStoreData('by-name').clear()
  expect(await store.listChunks('j')).toEqual([])
})

test('what is stored and what is handed out are copies', async () => {
  const store = new MemoryCheckpointStore(new MemoryStoreData(), new ManualClock(), new SeededRandom(1))
  const bytes = new Uint8Array([1, 2, 3])
  await store.putChunk('j/1-1-n.window.0.1', bytes)
  bytes[0] = 9
  const read = (await store.readChunk('j/1-1-n.window.0.1'))!
  read[1] = 9
  expect([...(await store.readChunk('j/1-1-n.window.0.1'))!]).toEqual([1, 2, 3])
})
