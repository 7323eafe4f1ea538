/** A Redis with a replica: what is waited for, and a failover to a replica that had not yet heard of everything. */
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCheckpointStore } from '../../src/checkpoint/open-store.ts'
import type { CheckpointStore } from '../../src/checkpoint/store.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { durableSettings, type RedisServer, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const ports = { clock: systemClock, random: systemRandom }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

let primary: RedisServer
let replica: RedisServer
let replicaAdmin: Redis
let store: CheckpointStore

beforeEach(async () => {
  primary = await startRedis({ own: true, settings: durableSettings })
  replica = await startRedis({ own: true, settings: durableSettings })
  replicaAdmin = new Redis(replica.url)
  await replicaAdmin.replicaof('127.0.0.1', Number(new URL(primary.url).port))
  await until(async () => (await replicaAdmin.info('replication')).includes('master_link_status:up'))
  store = await openCheckpointStore(
    { kind: 'redis', url: primary.url, prefix: 'f', replicas: 1, commandTimeoutMs: 1000 },
    ports,
  )
})

afterEach(async () => {
  await store?.close()
  replicaAdmin?.disconnect()
  await Promise.all([primary?.stop(), replica?.stop()])
})

describe('a Redis with a replica', () => {
  test('what was reported as published is on the replica, with the lease and the job', async () => {
    await store.swapJob('j', undefined, bytes('job'))
    await store.acquireLease('j', 'a', 'n1', 60_000)
    await store.putChunk('j/1-1-n1.window.0.1', bytes('chunk'))
    await store.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    await primary.kill()
    await replicaAdmin.replicaof('NO', 'ONE')
    const after = await openCheckpointStore({ kind: 'redis', url: replica.url, prefix: 'f' }, ports)
    expect(await after.listCheckpoints('j')).toEqual([1])
    expect(await after.listChunks('j')).toEqual(['j/1-1-n1.window.0.1'])
    expect(Buffer.from((await after.readJob('j'))!).toString()).toBe('job')
    expect(await after.acquireLease('j', 'a', 'n2', 60_000)).toEqual({
      acquired: true,
      generation: 2,
      lastCheckpointId: 1,
    })
    await after.close()
  })

  test('a checkpoint that the replica does not get is not reported, and the setup says what it lacks', async () => {
    await until(async () => (await store.describe()).guarantee === 'exactly-once')
    await store.acquireLease('j', 'a', 'n1', 60_000)
    await replicaAdmin.replicaof('NO', 'ONE')
    await until(async () => (await store.describe()).guarantee === 'at-least-once')
    expect((await store.describe()).reasons[0]).toMatch(/0 replicas are connected, and 1 are waited for/)
    await expect(store.publishManifest('j', 1, 'n1', 1, bytes('m1'))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('0 of 1 replicas'),
    })
  })

  test('a failover that lost the newest checkpoint is told to the owner that knows of it, never passed over', async () => {
    const port = Number(new URL(primary.url).port)
    const careless = await openCheckpointStore({ kind: 'redis', url: primary.url, prefix: 'f' }, ports)
    await careless.acquireLease('j', 'a', 'n1', 60_000)
    await careless.publishManifest('j', 1, 'n1', 1, bytes('m1'))
    await until(async () => (await replicaAdmin.exists('{f:j}:manifest:1')) === 1 || (await replicaAdmin.dbsize()) >= 4)
    const { connection } = careless
    // The replica hears nothing more; then it takes the place of the primary, at its address.
    await replicaAdmin.replicaof('NO', 'ONE')
    await careless.publishManifest('j', 1, 'n1', 2, bytes('m2'), 1)
    await primary.kill()
    const promoted = await startRedis({ own: true, port, settings: durableSettings })
    const admin = new Redis(promoted.url)
    await admin.replicaof('127.0.0.1', Number(new URL(replica.url).port))
    await until(async () => (await admin.info('replication')).includes('master_link_status:up'))
    await admin.replicaof('NO', 'ONE')
    await until(async () => careless.connection > connection)
    expect(await careless.listCheckpoints('j')).toEqual([1])
    await careless.renewLease('j', 1, 'n1', 60_000)
    await expect(careless.publishManifest('j', 1, 'n1', 3, bytes('m3'), 2)).rejects.toMatchObject({
      code: 'STORE_LOST',
      message: expect.stringContaining('checkpoint 2 of job j was published, and it knows of 1 only'),
    })
    admin.disconnect()
    await careless.close()
    await promoted.stop()
  })
})
