/** The Redis checkpoint store against a real server. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ChunkNames, chunkKey, chunkKeyPrefix } from '../../src/checkpoint/chunk-key.ts'
import { PageWriter } from '../../src/checkpoint/chunk-writer.ts'
import { openCheckpointStore, openChunkStore } from '../../src/checkpoint/open-store.ts'
import type { CheckpointStore, StoreConfig } from '../../src/checkpoint/store.ts'
import { randomId } from '../../src/checkpoint/store-errors.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { describeStore } from '../checkpoint/store-contract.ts'
import { durableSettings, type RedisServer, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const ports = { clock: systemClock, random: systemRandom }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const freshPrefix = (): string => `test-${randomId(systemRandom)}`

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

let shared: RedisServer

beforeAll(async () => {
  shared = await startRedis()
})

afterAll(() => shared?.stop())

describeStore('redis', async () => {
  const prefix = freshPrefix()
  const admin = new Redis(shared.url)
  const wipe = async (): Promise<void> => {
    const keys = await admin.keys(`*${prefix}*`)
    if (keys.length > 0) await admin.unlink(...keys)
  }
  return {
    open: () => openCheckpointStore({ kind: 'redis', url: shared.url, prefix }, ports),
    passTtl: async (_ttlMs, job) => {
      // What the server does when the time is up, without the wait.
      const lease = `{${prefix}:${job}}:lease`
      expect(await admin.pttl(lease)).toBeGreaterThan(0)
      await admin.pexpire(lease, 1)
      await until(async () => (await admin.exists(lease)) === 0)
    },
    wipe,
    dispose: async () => {
      await wipe()
      admin.disconnect()
    },
  }
})

describe('redis store', () => {
  const open = (url = shared.url, prefix = freshPrefix()): Promise<CheckpointStore> =>
    openCheckpointStore({ kind: 'redis', url, prefix }, ports)

  test('a zombie is fenced, and its chunks are garbage that the next owner can name', async () => {
    const prefix = freshPrefix()
    const zombie = await open(shared.url, prefix)
    const successor = await open(shared.url, prefix)
    await zombie.acquireLease('j', 'a', 'n1', 60)
    await zombie.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    await until(async () => (await successor.acquireLease('j', 'b', 'n2', 60_000)).acquired)
    await zombie.putChunk(chunkKey(chunkKeyPrefix('j', 1, 1, 'n1'), 'window', 0, 1), bytes('late'))
    for (const call of [
      zombie.publishManifest('j', 1, 'n1', 2, bytes('m2')),
      zombie.deleteCheckpoint('j', 1, 'n1', 1),
      zombie.renewLease('j', 1, 'n1', 5000),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'STORE_FENCED' })
    }
    expect(await successor.listCheckpoints('j')).toEqual([1])
    expect(await successor.listChunks('j')).toEqual(['j/1-1-n1.window.0.1'])
    await zombie.close()
    await successor.close()
  })

  test('keys of a job share one hash tag, and nothing else is written', async () => {
    const prefix = freshPrefix()
    const store = await open(shared.url, prefix)
    await store.swapJob('j', undefined, bytes('d'))
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.putChunk('j/1-1-n1.window.0.1', bytes('c'))
    await store.publishManifest('j', 1, 'n1', 1, bytes('m'))
    const admin = new Redis(shared.url)
    const tag = `{${prefix}:j}`
    expect((await admin.keys(`*${prefix}*`)).sort()).toEqual(
      [
        `${prefix}:jobs`,
        `${prefix}:store-id`,
        `${tag}:chunk:1-1-n1.window.0.1`,
        `${tag}:definition`,
        `${tag}:lease`,
        `${tag}:manifest:1`,
        `${tag}:record`,
      ].sort(),
    )
    await store.deleteJob('j')
    expect(await admin.keys(`*${prefix}*`)).toEqual([`${prefix}:store-id`])
    admin.disconnect()
    await store.close()
  })

  test('a manifest that went missing alone is still listed: it is not "no checkpoint"', async () => {
    const prefix = freshPrefix()
    const store = await open(shared.url, prefix)
    await store.acquireLease('j', 'a', 'n1', 5000)
    await store.publishManifest('j', 1, 'n1', 1, bytes('m'))
    const admin = new Redis(shared.url)
    await admin.del(`{${prefix}:j}:manifest:1`)
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect(await store.readManifest('j', 1)).toBeUndefined()
    admin.disconnect()
    await store.close()
  })

  test('a server that is not there, a bad address, a wrong prefix', async () => {
    await expect(open('redis://127.0.0.1:1')).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('127.0.0.1:1') as string,
    })
    await expect(open('not a url')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(open(shared.url, '{x}')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    const chunks = openChunkStore({ kind: 'redis', url: 'redis://127.0.0.1:1', prefix: 'x' })
    await expect(chunks.putChunk('j/1-1-n1.window.0.1', bytes('c'))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
    })
    await chunks.close()
  })
})

describe('redis that goes away', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis({ own: true })
  })

  afterAll(() => server?.stop())

  test('killed in the middle of writes: STORE_UNREACHABLE, then it works again with all that was acked', async () => {
    const config: StoreConfig = { kind: 'redis', url: server.url, prefix: 'p', commandTimeoutMs: 60_000 }
    const store = await openCheckpointStore(config, ports)
    const chunks = openChunkStore(config)
    await store.acquireLease('j', 'a', 'n1', 60_000)
    const id = await store.storeId()
    const acked: string[] = []
    const failures: unknown[] = []
    const prefix = chunkKeyPrefix('j', 1, 1, 'n1')
    let sequence = 0
    const block = new Uint8Array(300_000).fill(7)
    const writer = (async () => {
      while (failures.length === 0) {
        const key = chunkKey(prefix, 'window', 0, ++sequence)
        await chunks.putChunk(key, block).then(
          () => acked.push(key),
          (error: unknown) => failures.push(error),
        )
      }
    })()
    await until(async () => acked.length >= 5)
    await server.kill()
    await writer
    expect(failures.map(codeOf)).toEqual(['STORE_UNREACHABLE'])
    await expect(store.publishManifest('j', 1, 'n1', 1, bytes('m1'))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
    })
    await server.restart()
    // The client comes back by itself; the scripts are loaded anew; the lease is still ours.
    await until(() =>
      store.renewLease('j', 1, 'n1', 60_000).then(
        () => true,
        () => false,
      ),
    )
    await store.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    expect(await store.listCheckpoints('j')).toEqual([1])
    expect(await store.storeId()).toBe(id)
    await until(() =>
      chunks.readChunk(acked[0]!).then(
        () => true,
        () => false,
      ),
    )
    for (const key of acked) expect((await chunks.readChunk(key))?.length).toBe(block.length)
    await chunks.close()
    await store.close()
  })

  test('pages of a checkpoint that hit the outage are written again by the next', async () => {
    const config: StoreConfig = { kind: 'redis', url: server.url, prefix: 'q', commandTimeoutMs: 2000 }
    const chunks = openChunkStore(config)
    const writer = new PageWriter({
      store: chunks,
      names: new ChunkNames(chunkKeyPrefix('j', 1, 1, 'n1'), 'window', 0),
    })
    const page = new Uint8Array(100_000).fill(3)
    const first = writer.begin()
    const kept = first.write('t', -1, 0, 10, page)
    await first.finish()
    await server.kill()
    const second = writer.begin()
    second.keep('t', -1, 0, 10, kept)
    const lost = second.write('t', -1, 1, 10, page)
    await expect(second.finish()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect(writer.isStale(kept)).toBe(false)
    expect(writer.isStale(lost)).toBe(true)
    await server.restart()
    await until(() =>
      chunks.listChunks('j').then(
        () => true,
        () => false,
      ),
    )
    const third = writer.begin()
    third.keep('t', -1, 0, 10, kept)
    const again = third.write('t', -1, 1, 10, page)
    const { pages, written } = await third.finish()
    expect(pages.chunks.map((chunk) => chunk.key)).toEqual([kept.chunk, again.chunk])
    expect(written.map((chunk) => chunk.key)).toContain(lost.chunk)
    expect((await chunks.readChunk(again.chunk))?.length).toBe(page.length)
    await chunks.close()
  })

  test('a server that hangs is STORE_UNREACHABLE too, and is found again', async () => {
    const store = await openCheckpointStore(
      { kind: 'redis', url: server.url, prefix: 'r', commandTimeoutMs: 300 },
      ports,
    )
    const admin = new Redis(server.url)
    await store.swapJob('j', undefined, bytes('d'))
    await admin.call('CLIENT', 'PAUSE', '1500', 'ALL')
    await expect(store.readJob('j')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    await until(() =>
      store.readJob('j').then(
        (job) => job !== undefined,
        () => false,
      ),
    )
    admin.disconnect()
    await store.close()
  })
})

describe('durability of redis', () => {
  const cases: readonly [string, Readonly<Record<string, string>>, readonly RegExp[]][] = [
    ['fsync always, no eviction', {}, []],
    ['fsync every second', { appendfsync: 'everysec' }, [/appendfsync is everysec/]],
    ['no append-only file', { appendonly: 'no' }, [/appendonly is no/]],
    ['eviction', { 'maxmemory-policy': 'allkeys-lru' }, [/maxmemory-policy is allkeys-lru/]],
    ['no fsync while rewriting', { 'no-appendfsync-on-rewrite': 'yes' }, [/no-appendfsync-on-rewrite is yes/]],
    [
      'all wrong',
      { appendonly: 'no', 'maxmemory-policy': 'volatile-ttl' },
      [/appendonly is no/, /maxmemory-policy is volatile-ttl/],
    ],
  ]

  test.each(cases)('%s', async (_name, settings, reasons) => {
    const server = await startRedis({ own: true, settings: { ...durableSettings, ...settings } })
    try {
      const store = await openCheckpointStore({ kind: 'redis', url: server.url, prefix: 'p' }, ports)
      const description = await store.describe()
      expect(description.kind).toBe('redis')
      expect(description.guarantee).toBe(reasons.length === 0 ? 'exactly-once' : 'at-least-once')
      expect(description.reasons).toHaveLength(reasons.length)
      for (const [i, reason] of reasons.entries()) expect(description.reasons[i]).toMatch(reason)
      await store.close()
    } finally {
      await server.stop()
    }
  })

  test('a server that hides its settings, and one that wants a password', async () => {
    const server = await startRedis({ own: true })
    try {
      const admin = new Redis(server.url)
      await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-config')
      await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>other')
      admin.disconnect()
      const url = server.url.replace('redis://', 'redis://app:secret@')
      const store = await openCheckpointStore({ kind: 'redis', url, prefix: 'p' }, ports)
      const description = await store.describe()
      expect(description.guarantee).toBe('at-least-once')
      expect(description.reasons[0]).toMatch(/CONFIG GET/)
      expect(description.location).not.toMatch(/secret/)
      await store.acquireLease('j', 'a', 'n1', 5000)
      await store.close()
      for (const wrong of [server.url, server.url.replace('//', '//app:wrong@')]) {
        await expect(openCheckpointStore({ kind: 'redis', url: wrong, prefix: 'p' }, ports)).rejects.toMatchObject({
          code: 'CONFIG_INVALID',
        })
      }
    } finally {
      await server.stop()
    }
  })
})
