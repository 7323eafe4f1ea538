/**
 * A checkpoint store in Redis: one primary, or a cluster's, never a replica.
 *
 * Owns: the meaning of the commands. What is fenced is one Lua script each (lua/), which compares generation and nonce
 * and acts in one step; everything else is one plain command. Keys: redis-keys.ts. Durability: redis-durability.ts.
 *
 * A lease is a key with a time to live, by the clock of the server; ownership (generation, nonce) is in the record and
 * does not end with it, so a lease that ran out and that nobody took can be renewed.
 */
import type { Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { RedisChunkStore, type RedisStoreOptions } from './redis-chunk-store.ts'
import { RedisConnection, type ScriptReply } from './redis-connection.ts'
import { durabilityReasons, redisSettingNames } from './redis-durability.ts'
import { RedisKeys } from './redis-keys.ts'
import type { ScriptName } from './redis-scripts.ts'
import type { CheckpointStore, LeaseFloor, LeaseResult, StoreDescription } from './store.ts'
import { fencedError, randomId, staleIdError, storeLostError, storeWentBackError } from './store-errors.ts'

const CHECKPOINT_FIELD = 'checkpoint:'

/** Connects a store. Rejects with STORE_UNREACHABLE or CONFIG_INVALID. */
export async function openRedisStore(options: RedisStoreOptions, random: Random): Promise<RedisCheckpointStore> {
  const keys = new RedisKeys(options.prefix)
  return new RedisCheckpointStore(await RedisConnection.open(options), keys, random, options.replicas ?? 0)
}

/** A store over one connection. */
export class RedisCheckpointStore extends RedisChunkStore implements CheckpointStore {
  readonly #random: Random
  readonly #replicas: number
  #knownId: string | undefined

  constructor(redis: RedisConnection, keys: RedisKeys, random: Random, replicas: number) {
    super(redis, keys)
    this.#random = random
    this.#replicas = replicas
  }

  async acquireLease(
    job: string,
    instanceId: string,
    nonce: string,
    ttlMs: number,
    floor?: LeaseFloor,
  ): Promise<LeaseResult> {
    const keys = [this.keys.record(job), this.keys.lease(job)]
    this.#knownId = await this.#ensureId()
    const [acquired, a, b] = await this.redis.script('acquire-lease', keys, [
      instanceId,
      nonce,
      String(Math.ceil(ttlMs)),
      String(floor?.generation ?? 0),
      String(floor?.checkpointId ?? 0),
    ])
    await this.redis.replicated(this.#replicas)
    if (acquired === 1) return { acquired: true, generation: Number(text(a)), lastCheckpointId: Number(text(b)) }
    return { acquired: false, heldBy: text(a), retryAfterMs: Math.max(1, Number(b)) }
  }

  async renewLease(job: string, generation: number, nonce: string, ttlMs: number): Promise<void> {
    const keys = [this.keys.record(job), this.keys.lease(job)]
    await this.#fenced('renew-lease', job, generation, keys, nonce, [String(Math.ceil(ttlMs))])
  }

  async releaseLease(job: string, generation: number, nonce: string): Promise<void> {
    const keys = [this.keys.record(job), this.keys.lease(job)]
    await this.redis.script('release-lease', keys, [String(generation), nonce])
  }

  async publishManifest(
    job: string,
    generation: number,
    nonce: string,
    checkpointId: number,
    manifest: Uint8Array,
    publishedId = 0,
  ): Promise<void> {
    const keys = [this.keys.record(job), this.keys.manifest(job, checkpointId)]
    const args = [String(checkpointId), manifest, String(publishedId)]
    const reply = await this.#fenced('publish-manifest', job, generation, keys, nonce, args)
    const last = Number(text(reply[1]))
    if (reply[0] === -2) throw staleIdError(job, checkpointId, last)
    if (reply[0] === -3) throw storeWentBackError(job, this.redis.location, last, publishedId)
    // Replicas get writes in their order: what has this one has every chunk that it names.
    await this.redis.replicated(this.#replicas)
  }

  async listCheckpoints(job: string): Promise<readonly number[]> {
    const fields = await this.redis.hashFields(this.keys.record(job))
    return fields
      .filter((field) => field.startsWith(CHECKPOINT_FIELD))
      .map((field) => Number(field.slice(CHECKPOINT_FIELD.length)))
      .sort((a, b) => a - b)
  }

  async readManifest(job: string, checkpointId: number): Promise<Uint8Array | undefined> {
    return this.redis.get(this.keys.manifest(job, checkpointId))
  }

  async deleteCheckpoint(job: string, generation: number, nonce: string, checkpointId: number): Promise<void> {
    const keys = [this.keys.record(job), this.keys.manifest(job, checkpointId)]
    await this.#fenced('delete-checkpoint', job, generation, keys, nonce, [String(checkpointId)])
  }

  async swapJob(job: string, before: Uint8Array | undefined, bytes: Uint8Array): Promise<boolean> {
    const key = this.keys.definition(job)
    // The name first: one without a definition is skipped by listJobs, a definition without a name would be lost.
    await this.redis.addToSet(this.keys.jobs, job)
    // No definition is empty: '' stands for none.
    const [done] = await this.redis.script('swap-definition', [key], [before ?? '', bytes])
    await this.redis.replicated(this.#replicas)
    return done === 1
  }

  async readJob(job: string): Promise<Uint8Array | undefined> {
    return this.redis.get(this.keys.definition(job))
  }

  async deleteJob(job: string): Promise<void> {
    const manifests = (await this.listCheckpoints(job)).map((id) => this.keys.manifest(job, id))
    // One command: whoever held the lease is fenced at the moment at which the checkpoints go.
    await this.redis.unlink([this.keys.record(job), this.keys.lease(job), this.keys.definition(job), ...manifests])
    await this.redis.removeFromSet(this.keys.jobs, job)
    await this.deleteChunks(await this.listChunks(job))
  }

  async listJobs(): Promise<readonly string[]> {
    const jobs: string[] = []
    for (const job of await this.redis.setMembers(this.keys.jobs)) {
      if (await this.redis.exists(this.keys.definition(job))) jobs.push(job)
    }
    return jobs.sort()
  }

  async storeId(): Promise<string> {
    const id = await this.#ensureId()
    this.#knownId ??= id
    return id
  }

  get connection(): number {
    return this.redis.connection
  }

  async describe(): Promise<StoreDescription> {
    const settings = await this.redis.settings(redisSettingNames)
    const reasons = durabilityReasons({
      appendonly: settings.get('appendonly'),
      appendfsync: settings.get('appendfsync'),
      maxmemoryPolicy: settings.get('maxmemory-policy'),
      noAppendfsyncOnRewrite: settings.get('no-appendfsync-on-rewrite'),
      ...(await this.redis.role()),
      wantedReplicas: this.#replicas,
    })
    const guarantee = reasons.length === 0 ? 'exactly-once' : 'at-least-once'
    return { kind: 'redis', location: this.redis.location, guarantee, reasons }
  }

  async #ensureId(): Promise<string> {
    for (;;) {
      const id = await this.redis.get(this.keys.storeId)
      if (id !== undefined) return Buffer.from(id).toString('latin1')
      await this.redis.setIfAbsent(this.keys.storeId, randomId(this.#random))
    }
  }

  async #fenced(
    script: ScriptName,
    job: string,
    generation: number,
    keys: readonly string[],
    nonce: string,
    rest: readonly (string | Uint8Array)[],
  ): Promise<ScriptReply> {
    const reply = await this.redis.script(script, keys, [String(generation), nonce, ...rest])
    const [status, owner] = reply
    if (status === 1 || status === -2 || status === -3) return reply
    if (status === 0) throw fencedError(job, generation, text(owner) === '' ? undefined : Number(text(owner)))
    if (status !== -1) throw new MillraceError('INTERNAL', `script ${script} returned ${String(status)}`)
    const id = await this.redis.get(this.keys.storeId)
    if (this.#knownId !== undefined && (id === undefined || Buffer.from(id).toString('latin1') !== this.#knownId)) {
      throw storeLostError(job, this.redis.location)
    }
    throw fencedError(job, generation, undefined)
  }
}

function text(value: number | Buffer | undefined): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value ?? '')
}
