import { expect, it } from 'vitest'
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { outboxOf } from '../../src/checkpoint/outbox-restore.ts'
import { lostChunks } from '../../src/coordinator/lost-chunks.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { manifestOf } from '../checkpoint/snapshots.ts'

const key = (n: number): string => `j/1-1-n.window.0.${n}`

/** A checkpoint with a page in one chunk and 12 records for a sink in another. */
function checkpoint(id: number, page: number, block: number) {
  const whole = manifestOf(id, [key(page)])
  const blocks = [{ chunk: { key: key(block), sizeBytes: 10 }, epoch: id, records: 12, crc32c: 0 }]
  return { ...whole, subtasks: [{ ...whole.subtasks[0]!, outbox: [{ sink: 'out', blocks }] }] }
}

async function lostOf(stored: readonly number[]) {
  const store = new MemoryCheckpointStore(new MemoryStoreData(), new ManualClock(), new SeededRandom(1))
  for (const n of stored) await store.putChunk(key(n), new Uint8Array(10))
  return lostChunks(store, checkpoint(8, 1, 3), [outboxOf(checkpoint(7, 1, 2))])
}

it('pages that a store has lost are written again; nothing is when it has all', async () => {
  expect(await lostOf([1, 2, 3])).toEqual({ pages: [], owed: null })
  expect(await lostOf([2, 3])).toEqual({ pages: [key(1)], owed: null })
})

it('what it has lost of an outbox nobody can write again: STORE_LOST, with what is missing and for whom', async () => {
  const error = (id: number) => ({
    code: 'STORE_LOST',
    retry: 'never',
    message: expect.stringContaining(`12 records of checkpoint ${id} that sink out was to get`) as string,
  })
  expect((await lostOf([1, 3])).owed).toMatchObject(error(7))
  expect((await lostOf([1, 2])).owed).toMatchObject(error(8))
})
