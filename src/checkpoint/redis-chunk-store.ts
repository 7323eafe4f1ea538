/**
 * Chunks as Redis strings: written by SET, freed by UNLINK.
 *
 * Owns: nothing but those keys; one connection, light enough for every worker thread.
 */
import { RedisConnection, type RedisConnectionOptions } from './redis-connection.ts'
import { RedisKeys } from './redis-keys.ts'
import type { ChunkStore } from './store.ts'

/** Where the keys are. */
export interface RedisStoreOptions extends RedisConnectionOptions {
  readonly prefix: string
  /** Replicas that are waited for; 0 unless given. */
  readonly replicas?: number
}

/** The chunk half of a Redis store. */
export class RedisChunkStore implements ChunkStore {
  protected readonly redis: RedisConnection
  protected readonly keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.redis = redis
    this.keys = keys
  }

  async putChunk(key: string, bytes: Uint8Array): Promise<void> {
    await this.redis.set(this.keys.chunk(key), bytes)
  }

  async readChunk(key: string): Promise<Uint8Array | undefined> {
    return this.redis.get(this.keys.chunk(key))
  }

  async deleteChunks(keys: readonly string[]): Promise<void> {
    await this.redis.unlink(keys.map((key) => this.keys.chunk(key)))
  }

  async listChunks(job: string): Promise<readonly string[]> {
    const found = await this.redis.scan(this.keys.chunkPattern(job))
    return found.map((key) => this.keys.chunkKeyOf(job, key))
  }

  async close(): Promise<void> {
    await this.redis.close()
  }
}

/** Connects a chunk store. Rejects with STORE_UNREACHABLE or CONFIG_INVALID. */
export async function openRedisChunkStore(options: RedisStoreOptions): Promise<RedisChunkStore> {
  const keys = new RedisKeys(options.prefix)
  return new RedisChunkStore(await RedisConnection.open(options), keys)
}
