/**
 * Opens stores by their configuration.
 *
 * Owns: which implementation serves which kind. A thread loads only the code of the kind that it uses: a worker over a
 * directory never loads the Redis client.
 */
import type { Clock, Random } from '../core/clock.ts'
import { assertNever } from '../core/errors.ts'
import { systemRandom } from '../core/system.ts'
import type { CheckpointStore, ChunkStore, StoreConfig } from './store.ts'
import { closedError, randomId } from './store-errors.ts'

/** Ports that stores need. */
export interface StorePorts {
  readonly clock: Clock
  readonly random: Random
}

/** Opens a whole store, for a coordinator. Rejects with STORE_UNREACHABLE or CONFIG_INVALID. */
export async function openCheckpointStore(config: StoreConfig, ports: StorePorts): Promise<CheckpointStore> {
  switch (config.kind) {
    case 'redis': {
      const { openRedisStore } = await import('./redis-store.ts')
      return openRedisStore(config, ports.random)
    }
    case 'directory': {
      const { openDirectoryStore } = await import('./directory-store.ts')
      return openDirectoryStore({ path: config.path, sync: config.sync ?? true, ...ports })
    }
    case 'memory': {
      const { MemoryCheckpointStore, memoryStoreData } = await import('./memory-store.ts')
      return new MemoryCheckpointStore(memoryStoreData(config.name), ports.clock, ports.random)
    }
    default:
      return assertNever(config)
  }
}

/**
 * The chunk half of a store, for a worker thread. Returns at once and connects at the first call; what opening fails
 * with, that call rejects with, and the next one tries again.
 */
export function openChunkStore(config: StoreConfig, random: Random = systemRandom): ChunkStore {
  return new LazyChunkStore(config, random)
}

class LazyChunkStore implements ChunkStore {
  readonly #config: StoreConfig
  readonly #random: Random
  #opening: Promise<ChunkStore> | undefined
  #closed = false

  constructor(config: StoreConfig, random: Random) {
    this.#config = config
    this.#random = random
  }

  async putChunk(key: string, bytes: Uint8Array): Promise<void> {
    await (await this.#store()).putChunk(key, bytes)
  }

  async readChunk(key: string): Promise<Uint8Array | undefined> {
    return (await this.#store()).readChunk(key)
  }

  async deleteChunks(keys: readonly string[]): Promise<void> {
    await (await this.#store()).deleteChunks(keys)
  }

  async listChunks(job: string): Promise<readonly string[]> {
    return (await this.#store()).listChunks(job)
  }

  async close(): Promise<void> {
    this.#closed = true
    const store = await this.#opening?.catch(() => undefined)
    await store?.close()
  }

  async #store(): Promise<ChunkStore> {
    if (this.#closed) throw closedError(this.#config.kind)
    this.#opening ??= open(this.#config, this.#random).catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }
}

async function open(config: StoreConfig, random: Random): Promise<ChunkStore> {
  switch (config.kind) {
    case 'redis': {
      const { openRedisChunkStore } = await import('./redis-chunk-store.ts')
      return openRedisChunkStore(config)
    }
    case 'directory': {
      const { DirectoryChunkStore } = await import('./directory-chunk-store.ts')
      return new DirectoryChunkStore(config.path, randomId(random), config.sync ?? true)
    }
    case 'memory': {
      const { MemoryChunkStore, memoryStoreData } = await import('./memory-store.ts')
      return new MemoryChunkStore(memoryStoreData(config.name))
    }
    default:
      return assertNever(config)
  }
}
