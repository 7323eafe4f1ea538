import { mkdtempSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DirectoryFiles } from '../../src/checkpoint/directory-files.ts'
import { type DirectoryCheckpointStore, openDirectoryStore } from '../../src/checkpoint/directory-store.ts'
import { openCheckpointStore, openChunkStore } from '../../src/checkpoint/open-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { describeStore } from './store-contract.ts'

let seed = 1
const temporary = (): string => mkdtempSync(join(tmpdir(), 'millrace-store-'))
const open = (path: string, clock: ManualClock, sync = true): Promise<DirectoryCheckpointStore> =>
  openDirectoryStore({ path, sync, clock, random: new SeededRandom(seed++) })

describeStore('directory', async () => {
  const path = temporary()
  const clock = new ManualClock()
  return {
    open: () => open(path, clock),
    passTtl: async (ttlMs) => clock.advance(ttlMs + 1),
    wipe: async () => {
      for (const name of await readdir(path)) await rm(join(path, name), { recursive: true })
    },
    dispose: () => rm(path, { recursive: true, force: true }),
  }
})

describe('directory store', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  let path: string
  let clock: ManualClock
  let store: DirectoryCheckpointStore

  beforeEach(async () => {
    path = temporary()
    clock = new ManualClock()
    store = await open(path, clock)
  })

  afterEach(() => rm(path, { recursive: true, force: true }))

  test('says what skipping fsync costs', async () => {
    expect(await store.describe()).toMatchObject({ guarantee: 'exactly-once', reasons: [] })
    const unsynced = await open(path, clock, false)
    expect(await unsynced.describe()).toMatchObject({ guarantee: 'at-least-once' })
    await unsynced.putChunk('j/1-1-n.window.0.1', bytes('x'))
    expect(await store.listChunks('j')).toEqual(['j/1-1-n.window.0.1'])
  })

  test('removes what crashed writers left, at opening and at takeover, and half-deleted jobs', async () => {
    await store.swapJob('j', undefined, bytes('definition'))
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.putChunk('j/1-1-n.window.0.1', bytes('x'))
    const garbage = ['.tmp-a-1', 'jobs/j/.tmp-a-2', 'jobs/j/chunks/.tmp-a-3', 'jobs/j/generation-1/.tmp-a-4']
    for (const name of garbage) await writeFile(join(path, name), 'half')
    await mkdir(join(path, 'trash/old'), { recursive: true })
    await writeFile(join(path, 'trash/old/definition'), 'gone')
    expect(await store.listChunks('j')).toHaveLength(1)
    await open(path, clock)
    const left = (await readdir(path, { recursive: true })).filter((name) => name.includes('.tmp-'))
    expect(left).toEqual([])
    expect(await readdir(join(path, 'trash'))).toEqual([])
    await writeFile(join(path, 'jobs/j/chunks/.tmp-a-5'), 'half')
    await store.acquireLease('j', 'a', 'n2', 5000)
    expect(await readdir(join(path, 'jobs/j/chunks'))).toEqual(['1-1-n.window.0.1'])
  })

  test('a takeover that died after its claim is taken over in turn, with every checkpoint', async () => {
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    // Died between claim and seal, some manifests linked.
    await writeFile(join(path, 'jobs/j/lease/claim-2'), JSON.stringify({ instanceId: 'b', nonce: 'dead', ttlMs: 5000 }))
    await mkdir(join(path, 'jobs/j/generation-2'))
    await expect(store.publishManifest('j', 1, 'n1', 2, bytes('m2'))).rejects.toMatchObject({ code: 'STORE_FENCED' })
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect(await store.acquireLease('j', 'a', 'n3', 5000)).toMatchObject({ acquired: false, heldBy: 'b' })
    clock.advance(5000)
    expect(await store.acquireLease('j', 'a', 'n3', 5000)).toEqual({
      acquired: true,
      generation: 3,
      lastCheckpointId: 1,
    })
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect((await readdir(join(path, 'jobs/j'))).sort()).toEqual(['generation-3', 'lease'])
  })

  test('what a paused owner writes behind its check, it writes into nothing', async () => {
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    await store.acquireLease('j', 'a', 'n2', 5000)
    // The link and the unlink that a process stopped after its check makes when it goes on.
    await mkdir(join(path, 'jobs/j/generation-1'), { recursive: true })
    await writeFile(join(path, 'jobs/j/generation-1/2'), 'zombie')
    await rm(join(path, 'jobs/j/generation-1/1'), { force: true })
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect(await readFile(join(path, 'jobs/j/generation-2/1'), 'utf8')).toBe('m1')
    expect(await store.acquireLease('j', 'a', 'n3', 5000)).toMatchObject({ generation: 3, lastCheckpointId: 1 })
    expect(await store.listCheckpoints('j')).toEqual([1])
  })

  test.each([
    ['before its manifest is in place', 'before', []],
    ['after its manifest is in place', 'after', [1]],
  ] as const)(
    'an owner that is overtaken between its check and its answer, %s, is fenced',
    async (_name, when, there) => {
      await store.acquireLease('j', 'a', 'n1', 5000)
      const other = await open(path, clock)
      const { files } = store as unknown as { files: DirectoryFiles }
      const create = files.create.bind(files)
      files.create = async (target, manifest) => {
        if (when === 'before') await other.acquireLease('j', 'a', 'n2', 5000)
        const done = await create(target, manifest)
        if (when === 'after') await other.acquireLease('j', 'a', 'n2', 5000)
        return done
      }
      await expect(store.publishManifest('j', 1, 'n1', 1, bytes('m1'))).rejects.toMatchObject({ code: 'STORE_FENCED' })
      expect(await other.listCheckpoints('j')).toEqual(there)
    },
  )

  test('a contender that was told generation 2 is next, late, does not undo generation 3', async () => {
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.acquireLease('j', 'a', 'n2', 5000)
    await store.acquireLease('j', 'a', 'n3', 5000)
    await writeFile(join(path, 'jobs/j/lease/claim-2'), JSON.stringify({ instanceId: 'b', nonce: 'x', ttlMs: 5000 }))
    await store.publishManifest('j', 3, 'n3', 1, bytes('m1'))
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect(await store.acquireLease('j', 'a', 'n4', 5000)).toMatchObject({ generation: 4, lastCheckpointId: 1 })
  })

  test('wall-clock jumps do not hand a lease over', async () => {
    const other = await open(path, clock)
    await store.acquireLease('j', 'a', 'n1', 5000)
    expect(await other.acquireLease('j', 'b', 'n2', 5000)).toMatchObject({ acquired: false, retryAfterMs: 5000 })
    clock.jumpWall(3_600_000)
    expect(await other.acquireLease('j', 'b', 'n2', 5000)).toMatchObject({ acquired: false, retryAfterMs: 5000 })
    clock.advance(4999)
    expect(await other.acquireLease('j', 'b', 'n2', 5000)).toMatchObject({ acquired: false, retryAfterMs: 1 })
    clock.advance(1)
    expect(await other.acquireLease('j', 'b', 'n2', 5000)).toMatchObject({ acquired: true })
  })

  test('publishing while contenders of the same instance take over loses no checkpoint that was reported', async () => {
    const other = await open(path, clock)
    let generation = 1
    let nonce = 'n1'
    await store.acquireLease('j', 'a', nonce, 5000)
    let reported = 0
    for (let round = 2; round < 30; round++) {
      const publishing = (async () => {
        for (let id = reported + 1; ; id++) {
          try {
            await store.publishManifest('j', generation, nonce, id, bytes(`${generation}/${id}`))
            reported = id
          } catch (error) {
            expect(error).toMatchObject({ code: 'STORE_FENCED' })
            return
          }
        }
      })()
      const lease = await other.acquireLease('j', 'a', `n${round}`, 5000)
      await publishing
      if (!lease.acquired) throw new Error('not acquired')
      const there = await other.listCheckpoints('j')
      for (let id = 1; id <= reported; id++) expect(there).toContain(id)
      // One more may be there: published, and fenced before it could be reported.
      expect(lease.lastCheckpointId).toBeGreaterThanOrEqual(reported)
      expect(lease.lastCheckpointId).toBe(there.at(-1) ?? 0)
      reported = lease.lastCheckpointId
      generation = lease.generation
      nonce = `n${round}`
    }
  })

  test('a disk that fails is STORE_UNREACHABLE and names the path', async () => {
    await rm(path, { recursive: true })
    await writeFile(path, 'a file where the directory was')
    await expect(store.putChunk('j/1-1-n.window.0.1', bytes('x'))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining(path) as string,
    })
  })

  test('a lease file that the disk damaged is CHECKPOINT_CORRUPT', async () => {
    await store.acquireLease('j', 'a', 'n1', 5000)
    await writeFile(join(path, 'jobs/j/lease/claim-1'), '{"instance')
    await expect(store.renewLease('j', 1, 'n1', 5000)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
  })

  test('opens by configuration; a chunk store makes what it needs', async () => {
    const config = { kind: 'directory', path: join(path, 'deep/er') } as const
    const chunks = openChunkStore(config)
    await chunks.putChunk('j/1-1-n.window.0.1', bytes('x'))
    const whole = await openCheckpointStore(config, { clock, random: new SeededRandom(9) })
    expect(await whole.listChunks('j')).toEqual(['j/1-1-n.window.0.1'])
    await whole.deleteJob('j')
    await chunks
      .putChunk('j/1-1-n.window.0.2', bytes('y'))
      .catch(() => chunks.putChunk('j/1-1-n.window.0.2', bytes('y')))
    expect(await whole.listChunks('j')).toEqual(['j/1-1-n.window.0.2'])
    await chunks.close()
    await whole.close()
  })
})
