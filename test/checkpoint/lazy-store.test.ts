/** A store that is opened by its first use: by each call until it is there, once, and closed with it. */
import { describe, expect, it } from 'vitest'
import { lazyCheckpointStore } from '../../src/checkpoint/lazy-store.ts'
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { describeStore } from './store-contract.ts'

describeStore('memory, opened by its first use', async () => {
  const data = new MemoryStoreData()
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  return {
    open: async () => lazyCheckpointStore('test', async () => new MemoryCheckpointStore(data, clock, random)),
    passTtl: async (ttlMs) => clock.advance(ttlMs + 1),
    wipe: async () => data.clear(),
    dispose: async () => {},
  }
})

describe('lazyCheckpointStore', () => {
  it('rejects with what opening fails with, tries again with each call, and opens once', async () => {
    let opens = 0
    const store = lazyCheckpointStore('test', async () => {
      if (++opens < 3) throw new MillraceError('STORE_UNREACHABLE', `try ${opens}`)
      return new MemoryCheckpointStore(new MemoryStoreData(), new ManualClock(), new SeededRandom(1))
    })
    expect(opens).toBe(0)
    await expect(store.listJobs()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', message: 'try 1' })
    await expect(store.describe()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', message: 'try 2' })
    await Promise.all([
      store.swapJob('a', undefined, Uint8Array.of(1)),
      store.swapJob('b', undefined, Uint8Array.of(2)),
    ])
    expect(await store.listJobs()).toEqual(['a', 'b'])
    expect(opens).toBe(3)
    await store.close()
    await expect(store.listJobs()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  })
})
