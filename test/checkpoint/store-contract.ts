/** The contract of src/checkpoint/store.ts as a suite that every implementation passes. */
// tidy: long because it is one contract, and every implementation is held to all of it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chunkKey, chunkKeyPrefix } from '../../src/checkpoint/chunk-key.ts'
import type { CheckpointStore } from '../../src/checkpoint/store.ts'

/** One empty store, as several processes see it. */
export interface StoreFixture {
  /** A handle of a process of its own. Closed by the suite. */
  open(): Promise<CheckpointStore>
  /** Returns when a lease of `ttlMs`, last renewed before the call and asked for since, has run out. */
  passTtl(ttlMs: number, job: string): Promise<void>
  /** Loses all data, as a server without persistence does. */
  wipe(): Promise<void>
  dispose(): Promise<void>
}

const TTL_MS = 5000
const job = 'engagement'
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array | undefined): string | undefined =>
  data === undefined ? undefined : new TextDecoder().decode(data)
const key = (sequence: number, generation = 1, name = job): string =>
  chunkKey(chunkKeyPrefix(name, generation, 1, 'n0nce'), 'window', 0, sequence)

async function owner(store: CheckpointStore, instance: string, nonce: string, name = job): Promise<number> {
  const lease = await store.acquireLease(name, instance, nonce, TTL_MS)
  if (!lease.acquired) throw new Error(`held by ${lease.heldBy}`)
  return lease.generation
}

/** Runs the contract against the stores that `makeFixture` makes. */
export function describeStore(name: string, makeFixture: () => Promise<StoreFixture>): void {
  describe(`checkpoint store contract: ${name}`, () => {
    let fixture: StoreFixture
    let a: CheckpointStore
    let b: CheckpointStore

    beforeEach(async () => {
      fixture = await makeFixture()
      a = await fixture.open()
      b = await fixture.open()
    })

    afterEach(async () => {
      await a.close()
      await b.close()
      await fixture.dispose()
    })

    describe('chunks', () => {
      test('read back by any process, listed by job, deleted', async () => {
        const big = new Uint8Array(700_000).map((_, i) => (i * 31) & 0xff)
        await a.putChunk(key(1), big)
        await a.putChunk(key(2), new Uint8Array(0))
        await b.putChunk(key(1, 1, 'other'), bytes('x'))
        expect(Buffer.compare((await b.readChunk(key(1)))!, big)).toBe(0)
        expect((await b.readChunk(key(2)))!.length).toBe(0)
        expect(await b.readChunk(key(3))).toBeUndefined()
        expect([...(await b.listChunks(job))].sort()).toEqual([key(1), key(2)])
        await b.deleteChunks([key(1), key(9)])
        await b.deleteChunks([])
        expect(await a.readChunk(key(1))).toBeUndefined()
        expect(await a.listChunks(job)).toEqual([key(2)])
        expect(await a.listChunks('nobody')).toEqual([])
      })

      test('written at the same time by several', async () => {
        await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).putChunk(key(i), bytes(`chunk ${i}`))))
        for (let i = 0; i < 20; i++) expect(textOf(await a.readChunk(key(i)))).toBe(`chunk ${i}`)
      })

      test('a job name that is part of another does not share its chunks', async () => {
        await a.putChunk(key(1, 1, 'job'), bytes('a'))
        await a.putChunk(key(1, 1, 'job.2'), bytes('b'))
        expect(await a.listChunks('job')).toEqual([key(1, 1, 'job')])
      })
    })

    describe('lease', () => {
      test('the first gets generation 1, another is told who has it', async () => {
        expect(await a.acquireLease(job, 'a', 'n1', TTL_MS)).toEqual({
          acquired: true,
          generation: 1,
          lastCheckpointId: 0,
        })
        const held = await b.acquireLease(job, 'b', 'n2', TTL_MS)
        expect(held).toMatchObject({ acquired: false, heldBy: 'a' })
        if (!held.acquired) {
          expect(held.retryAfterMs).toBeGreaterThan(0)
          expect(held.retryAfterMs).toBeLessThanOrEqual(TTL_MS)
        }
        expect(await owner(b, 'b', 'n2', 'another-job')).toBe(1)
      })

      test('the same instance takes over at once, and its former self is fenced', async () => {
        expect(await owner(a, 'a', 'n1')).toBe(1)
        expect(await owner(b, 'a', 'n2')).toBe(2)
        await expect(a.renewLease(job, 1, 'n1', TTL_MS)).rejects.toMatchObject({ code: 'STORE_FENCED' })
        await expect(a.publishManifest(job, 1, 'n1', 1, bytes('zombie'))).rejects.toMatchObject({
          code: 'STORE_FENCED',
        })
        expect(await b.listCheckpoints(job)).toEqual([])
      })

      test('the same nonce again is the same generation: a reply that was lost does no harm', async () => {
        expect(await owner(a, 'a', 'n1')).toBe(1)
        await a.publishManifest(job, 1, 'n1', 4, bytes('m'))
        expect(await a.acquireLease(job, 'a', 'n1', TTL_MS)).toEqual({
          acquired: true,
          generation: 1,
          lastCheckpointId: 4,
        })
        expect(await a.listCheckpoints(job)).toEqual([4])
        await a.publishManifest(job, 1, 'n1', 5, bytes('m5'))
      })

      test('another instance gets it when the owner is silent, and only then', async () => {
        await owner(a, 'a', 'n1')
        expect(await b.acquireLease(job, 'b', 'n2', TTL_MS)).toMatchObject({ acquired: false })
        await fixture.passTtl(TTL_MS, job)
        expect(await owner(b, 'b', 'n2')).toBe(2)
        await expect(a.renewLease(job, 1, 'n1', TTL_MS)).rejects.toMatchObject({ code: 'STORE_FENCED' })
        expect(await a.acquireLease(job, 'a', 'n3', TTL_MS)).toMatchObject({ acquired: false, heldBy: 'b' })
      })

      test('renewing keeps contenders out', async () => {
        await owner(a, 'a', 'n1')
        expect(await b.acquireLease(job, 'b', 'n2', TTL_MS)).toMatchObject({ acquired: false })
        await fixture.passTtl(TTL_MS, job)
        // Late, but nobody has taken it.
        await a.renewLease(job, 1, 'n1', TTL_MS)
        expect(await b.acquireLease(job, 'b', 'n2', TTL_MS)).toMatchObject({ acquired: false, heldBy: 'a' })
        await a.publishManifest(job, 1, 'n1', 1, bytes('m'))
      })

      test('given back, it is free at once, and its former holder is fenced', async () => {
        await owner(a, 'a', 'n1')
        await a.releaseLease(job, 1, 'wrong')
        expect(await b.acquireLease(job, 'b', 'n2', TTL_MS)).toMatchObject({ acquired: false })
        await a.releaseLease(job, 1, 'n1')
        await a.releaseLease(job, 1, 'n1')
        await expect(a.renewLease(job, 1, 'n1', TTL_MS)).rejects.toMatchObject({ code: 'STORE_FENCED' })
        await expect(a.publishManifest(job, 1, 'n1', 1, bytes('m'))).rejects.toMatchObject({ code: 'STORE_FENCED' })
        expect(await owner(b, 'b', 'n2')).toBe(2)
        await a.releaseLease(job, 1, 'n1')
        await b.renewLease(job, 2, 'n2', TTL_MS)
      })

      test('of many at once one wins', async () => {
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, i) => (i % 2 ? a : b).acquireLease(job, `i${i}`, `n${i}`, TTL_MS)),
        )
        const winners = results.filter((r) => r.acquired)
        expect(winners).toHaveLength(1)
        const index = results.findIndex((r) => r.acquired)
        for (const r of results) if (!r.acquired) expect(r.heldBy).toBe(`i${index}`)
      })

      test('of many restarts of one instance the last generation owns, alone', async () => {
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, i) => (i % 2 ? a : b).acquireLease(job, 'same', `n${i}`, TTL_MS)),
        )
        const generations = results.map((r) => (r.acquired ? r.generation : 0))
        expect(new Set(generations).size).toBe(8)
        const top = Math.max(...generations)
        for (const [i, generation] of generations.entries()) {
          const renewed = a.renewLease(job, generation, `n${i}`, TTL_MS)
          if (generation === top) await renewed
          else await expect(renewed).rejects.toMatchObject({ code: 'STORE_FENCED' })
        }
      })

      test('a floor lifts generation and id', async () => {
        const lease = await a.acquireLease(job, 'a', 'n1', TTL_MS, { generation: 6, checkpointId: 40 })
        expect(lease).toEqual({ acquired: true, generation: 7, lastCheckpointId: 40 })
        await expect(a.publishManifest(job, 7, 'n1', 40, bytes('m'))).rejects.toMatchObject({
          code: 'CHECKPOINT_FAILED',
        })
        await a.publishManifest(job, 7, 'n1', 41, bytes('m'))
      })
    })

    describe('checkpoints', () => {
      test('exist once published, in order, and survive a takeover', async () => {
        await owner(a, 'a', 'n1')
        expect(await a.listCheckpoints(job)).toEqual([])
        for (const id of [1, 2, 9, 10, 11]) await a.publishManifest(job, 1, 'n1', id, bytes(`m${id}`))
        expect(await b.listCheckpoints(job)).toEqual([1, 2, 9, 10, 11])
        expect(textOf(await b.readManifest(job, 9))).toBe('m9')
        expect(await b.readManifest(job, 3)).toBeUndefined()
        expect(await b.acquireLease(job, 'a', 'n2', TTL_MS)).toEqual({
          acquired: true,
          generation: 2,
          lastCheckpointId: 11,
        })
        expect(await b.listCheckpoints(job)).toEqual([1, 2, 9, 10, 11])
        expect(textOf(await b.readManifest(job, 11))).toBe('m11')
      })

      test('an id is published once; repeating the very call is fine', async () => {
        await owner(a, 'a', 'n1')
        await a.publishManifest(job, 1, 'n1', 2, bytes('m2'))
        await a.publishManifest(job, 1, 'n1', 2, bytes('m2'))
        await expect(a.publishManifest(job, 1, 'n1', 2, bytes('else'))).rejects.toMatchObject({
          code: 'CHECKPOINT_FAILED',
        })
        await expect(a.publishManifest(job, 1, 'n1', 1, bytes('m1'))).rejects.toMatchObject({
          code: 'CHECKPOINT_FAILED',
        })
        expect(textOf(await a.readManifest(job, 2))).toBe('m2')
      })

      test('ids are not used again after deletion, nor after a takeover', async () => {
        await owner(a, 'a', 'n1')
        await a.publishManifest(job, 1, 'n1', 1, bytes('m1'))
        await a.publishManifest(job, 1, 'n1', 2, bytes('m2'))
        await a.deleteCheckpoint(job, 1, 'n1', 2)
        await a.deleteCheckpoint(job, 1, 'n1', 2)
        await a.deleteCheckpoint(job, 1, 'n1', 1)
        expect(await a.listCheckpoints(job)).toEqual([])
        expect(await a.readManifest(job, 2)).toBeUndefined()
        await expect(a.publishManifest(job, 1, 'n1', 2, bytes('m2'))).rejects.toMatchObject({
          code: 'CHECKPOINT_FAILED',
        })
        for (const [generation, nonce] of [
          [2, 'n2'],
          [3, 'n3'],
        ] as const) {
          const lease = await b.acquireLease(job, 'a', nonce, TTL_MS)
          expect(lease).toEqual({ acquired: true, generation, lastCheckpointId: 2 })
        }
        await expect(b.publishManifest(job, 3, 'n3', 2, bytes('x'))).rejects.toMatchObject({
          code: 'CHECKPOINT_FAILED',
        })
        await b.publishManifest(job, 3, 'n3', 3, bytes('m3'))
      })

      test('a fenced owner can neither publish nor delete, whatever the id', async () => {
        await owner(a, 'a', 'n1')
        await a.publishManifest(job, 1, 'n1', 1, bytes('m1'))
        await owner(b, 'a', 'n2')
        await b.publishManifest(job, 2, 'n2', 2, bytes('m2'))
        for (const id of [1, 2, 3, 99]) {
          await expect(a.publishManifest(job, 1, 'n1', id, bytes('zombie'))).rejects.toMatchObject({
            code: 'STORE_FENCED',
          })
          await expect(a.deleteCheckpoint(job, 1, 'n1', id)).rejects.toMatchObject({ code: 'STORE_FENCED' })
        }
        // The right generation with another nonce is nobody either.
        await expect(a.publishManifest(job, 2, 'n1', 3, bytes('zombie'))).rejects.toMatchObject({
          code: 'STORE_FENCED',
        })
        expect(await b.listCheckpoints(job)).toEqual([1, 2])
        expect(textOf(await b.readManifest(job, 1))).toBe('m1')
        expect(textOf(await b.readManifest(job, 2))).toBe('m2')
      })

      test('are not published to a store that has gone back behind what its owner knows', async () => {
        await owner(a, 'a', 'n1')
        await a.publishManifest(job, 1, 'n1', 3, bytes('m3'), 0)
        await expect(a.publishManifest(job, 1, 'n1', 6, bytes('m6'), 5)).rejects.toMatchObject({ code: 'STORE_LOST' })
        expect(await b.listCheckpoints(job)).toEqual([3])
        // Under a new lease, whose floor says what was published, it is taken.
        const lease = await a.acquireLease(job, 'a', 'n2', TTL_MS, { generation: 1, checkpointId: 5 })
        expect(lease).toEqual({ acquired: true, generation: 2, lastCheckpointId: 5 })
        await a.publishManifest(job, 2, 'n2', 6, bytes('m6'), 5)
        // The answer may have been lost.
        await a.publishManifest(job, 2, 'n2', 6, bytes('m6'), 5)
        expect(await b.listCheckpoints(job)).toEqual([3, 6])
      })

      test('a large manifest is one piece', async () => {
        await owner(a, 'a', 'n1')
        const manifest = new Uint8Array(3_000_000).map((_, i) => (i * 7) & 0xff)
        await a.publishManifest(job, 1, 'n1', 1, manifest)
        expect(Buffer.compare((await b.readManifest(job, 1))!, manifest)).toBe(0)
      })
    })

    describe('jobs', () => {
      test('stored, read, replaced, listed in order', async () => {
        expect(await a.listJobs()).toEqual([])
        expect(await a.readJob(job)).toBeUndefined()
        expect(await a.swapJob('zeta', undefined, bytes('z'))).toBe(true)
        expect(await a.swapJob(job, undefined, bytes('one'))).toBe(true)
        expect(await b.swapJob(job, bytes('one'), bytes('two'))).toBe(true)
        expect(textOf(await a.readJob(job))).toBe('two')
        expect(await a.listJobs()).toEqual([job, 'zeta'])
      })

      test('only what is known is replaced, and the same may be stored again', async () => {
        expect(await a.swapJob(job, bytes('zero'), bytes('one'))).toBe(false)
        expect(await a.readJob(job)).toBeUndefined()
        expect(await a.swapJob(job, undefined, bytes('one'))).toBe(true)
        expect(await b.swapJob(job, undefined, bytes('other'))).toBe(false)
        expect(await b.swapJob(job, bytes('o'), bytes('other'))).toBe(false)
        expect(textOf(await b.readJob(job))).toBe('one')
        expect(await a.swapJob(job, bytes('one'), bytes('two'))).toBe(true)
        // The reply to the first call may have been lost.
        expect(await a.swapJob(job, bytes('one'), bytes('two'))).toBe(true)
      })

      test('of many who replace the same, one wins', async () => {
        let before: Uint8Array | undefined
        for (let round = 0; round < 5; round++) {
          const offers = Array.from({ length: 8 }, (_, i) => bytes(`${round} of ${i}`))
          const won = await Promise.all(offers.map((offer, i) => (i % 2 === 0 ? a : b).swapJob(job, before, offer)))
          expect(won.filter(Boolean)).toHaveLength(1)
          expect(textOf(await a.readJob(job))).toBe(textOf(offers[won.indexOf(true)]))
          before = offers[won.indexOf(true)]
        }
      })

      test('a job that only has a lease or chunks is not listed', async () => {
        await owner(a, 'a', 'n1')
        await a.putChunk(key(1), bytes('x'))
        expect(await a.listJobs()).toEqual([])
      })

      test('deleted with everything, its owner fenced, its name free', async () => {
        await a.swapJob(job, undefined, bytes('one'))
        await a.swapJob('zeta', undefined, bytes('z'))
        await owner(a, 'a', 'n1')
        await a.putChunk(key(1), bytes('x'))
        await a.publishManifest(job, 1, 'n1', 7, bytes('m'))
        await b.deleteJob(job)
        await b.deleteJob(job)
        expect(await a.listJobs()).toEqual(['zeta'])
        expect(await a.readJob(job)).toBeUndefined()
        expect(await a.listChunks(job)).toEqual([])
        expect(await a.listCheckpoints(job)).toEqual([])
        await expect(a.publishManifest(job, 1, 'n1', 8, bytes('m'))).rejects.toMatchObject({ code: 'STORE_FENCED' })
        expect(await b.acquireLease(job, 'b', 'n2', TTL_MS)).toEqual({
          acquired: true,
          generation: 1,
          lastCheckpointId: 0,
        })
        await a.putChunk(key(2), bytes('y'))
        expect(textOf(await b.readChunk(key(2)))).toBe('y')
      })

      test('names that could leave the store are refused', async () => {
        for (const name of ['', '.', '..', '../x', 'a/b', 'a b', '{x}', 'x*']) {
          await expect(a.swapJob(name, undefined, bytes('x'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
          await expect(a.acquireLease(name, 'a', 'n', TTL_MS)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
        }
        await expect(a.putChunk('../../x', bytes('x'))).rejects.toMatchObject({ code: 'INTERNAL' })
      })
    })

    describe('the store itself', () => {
      test('has one id for everybody', async () => {
        const [x, y] = await Promise.all([a.storeId(), b.storeId()])
        expect(x).toMatch(/^[0-9a-f]{32}$/)
        expect(y).toBe(x)
        const c = await fixture.open()
        expect(await c.storeId()).toBe(x)
        await c.close()
      })

      test('emptied under an owner, it says STORE_LOST, has another id, and takes a floor', async () => {
        const id = await a.storeId()
        await owner(a, 'a', 'n1')
        await a.publishManifest(job, 1, 'n1', 3, bytes('m'))
        await fixture.wipe()
        // A worker that has not noticed must not make the job known again.
        await b.putChunk(key(5), bytes('late'))
        await expect(a.renewLease(job, 1, 'n1', TTL_MS)).rejects.toMatchObject({ code: 'STORE_LOST' })
        await expect(a.publishManifest(job, 1, 'n1', 4, bytes('m'))).rejects.toMatchObject({ code: 'STORE_LOST' })
        expect(await a.storeId()).not.toBe(id)
        const lease = await a.acquireLease(job, 'a', 'n2', TTL_MS, { generation: 1, checkpointId: 3 })
        expect(lease).toEqual({ acquired: true, generation: 2, lastCheckpointId: 3 })
        await a.publishManifest(job, 2, 'n2', 4, bytes('full'))
        expect(await b.listCheckpoints(job)).toEqual([4])
      })

      test('describes itself', async () => {
        const description = await a.describe()
        expect(description.guarantee === 'exactly-once').toBe(description.reasons.length === 0)
      })

      test('closed, it rejects', async () => {
        const c = await fixture.open()
        await c.close()
        await c.close()
        await expect(c.listJobs()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
        await expect(c.putChunk(key(1), bytes('x'))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
      })
    })
  })
}
