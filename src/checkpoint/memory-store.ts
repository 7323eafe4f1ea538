/**
 * A checkpoint store in memory: for tests and for whole jobs under a virtual clock.
 *
 * Owns: the reference semantics of the contract, in the fewest lines. Synchronous inside, promises outside. `data` is
 * what outlives a handle: several handles over one MemoryStoreData are several processes over one store.
 *
 * Faults: `fault`, of the data or of one handle, is called before and after every operation takes effect, and may throw or
 * take its time; a throw `after` is a reply that got lost.
 */
import type { Clock, Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { checkJobName, splitChunkKey } from './chunk-key.ts'
import type { CheckpointStore, ChunkStore, LeaseFloor, LeaseResult, StoreDescription } from './store.ts'
import { fencedError, randomId, sameBytes, staleIdError, storeLostError, storeWentBackError } from './store-errors.ts'

/** Called around every operation; throws to make it fail, and gives a promise to let it take its time. */
export type StoreFault = (
  operation: keyof CheckpointStore,
  when: 'before' | 'after',
  target: string,
) => Promise<void> | void

interface JobData {
  definition: Uint8Array | undefined
  generation: number
  nonce: string
  instanceId: string
  expiresMs: number
  lastCheckpointId: number
  readonly manifests: Map<number, Uint8Array>
  readonly chunks: Map<string, Uint8Array>
}

/** What a memory store holds; outlives its handles. */
export class MemoryStoreData {
  storeId = ''
  /** See CheckpointStore.connection; raised by whoever plays a server that another one has taken over from. */
  connection = 0
  readonly jobs = new Map<string, JobData>()
  fault: StoreFault | undefined

  /** Empties the store, as a Redis without persistence does when it restarts. */
  clear(): void {
    this.storeId = ''
    this.jobs.clear()
  }

  /** What is known of a job, made when it is not there. */
  job(name: string): JobData {
    let data = this.jobs.get(name)
    if (data === undefined) {
      data = {
        definition: undefined,
        generation: 0,
        nonce: '',
        instanceId: '',
        expiresMs: 0,
        lastCheckpointId: 0,
        manifests: new Map(),
        chunks: new Map(),
      }
      this.jobs.set(name, data)
    }
    return data
  }
}

const named = new Map<string, MemoryStoreData>()

/** The data of the memory store called `name` in this thread. */
export function memoryStoreData(name: string): MemoryStoreData {
  let data = named.get(name)
  if (data === undefined) {
    data = new MemoryStoreData()
    named.set(name, data)
  }
  return data
}

/** The chunk half of a memory store. */
export class MemoryChunkStore implements ChunkStore {
  protected readonly data: MemoryStoreData
  readonly #fault: StoreFault | undefined
  #closed = false

  constructor(data: MemoryStoreData, fault?: StoreFault) {
    this.data = data
    this.#fault = fault
  }

  async putChunk(key: string, bytes: Uint8Array): Promise<void> {
    const { job, name } = splitChunkKey(key)
    await this.run('putChunk', key, () => this.data.job(job).chunks.set(name, bytes.slice()))
  }

  async readChunk(key: string): Promise<Uint8Array | undefined> {
    const { job, name } = splitChunkKey(key)
    return this.run('readChunk', key, () => this.data.jobs.get(job)?.chunks.get(name)?.slice())
  }

  async deleteChunks(keys: readonly string[]): Promise<void> {
    const targets = keys.map(splitChunkKey)
    await this.run('deleteChunks', keys.join(' '), () => {
      for (const { job, name } of targets) this.data.jobs.get(job)?.chunks.delete(name)
    })
  }

  async listChunks(job: string): Promise<readonly string[]> {
    checkJobName(job)
    return this.run('listChunks', job, () =>
      [...(this.data.jobs.get(job)?.chunks.keys() ?? [])].map((n) => `${job}/${n}`),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** Carries out one operation with its faults. */
  protected async run<T>(operation: keyof CheckpointStore, target: string, act: () => T): Promise<T> {
    if (this.#closed) throw new MillraceError('STORE_UNREACHABLE', `the memory store is closed (${operation})`)
    for (const fault of [this.#fault, this.data.fault]) await fault?.(operation, 'before', target)
    const result = act()
    for (const fault of [this.data.fault, this.#fault]) await fault?.(operation, 'after', target)
    return result
  }
}

/** A handle on a memory store. */
export class MemoryCheckpointStore extends MemoryChunkStore implements CheckpointStore {
  readonly #clock: Clock
  readonly #random: Random
  #knownId: string | undefined

  constructor(data: MemoryStoreData, clock: Clock, random: Random, fault?: StoreFault) {
    super(data, fault)
    this.#clock = clock
    this.#random = random
  }

  async acquireLease(
    job: string,
    instanceId: string,
    nonce: string,
    ttlMs: number,
    floor?: LeaseFloor,
  ): Promise<LeaseResult> {
    checkJobName(job)
    return this.run('acquireLease', job, () => {
      this.#knownId = this.#ensureId()
      const data = this.data.job(job)
      const nowMs = this.#clock.monotonicMs()
      const leftMs = data.expiresMs - nowMs
      if (data.nonce !== '' && data.instanceId !== instanceId && leftMs > 0) {
        return { acquired: false, heldBy: data.instanceId, retryAfterMs: leftMs }
      }
      if (data.nonce !== nonce || data.instanceId !== instanceId) {
        data.generation = Math.max(data.generation, floor?.generation ?? 0) + 1
        data.lastCheckpointId = Math.max(data.lastCheckpointId, floor?.checkpointId ?? 0)
      }
      data.nonce = nonce
      data.instanceId = instanceId
      data.expiresMs = nowMs + ttlMs
      return { acquired: true, generation: data.generation, lastCheckpointId: data.lastCheckpointId }
    })
  }

  async renewLease(job: string, generation: number, nonce: string, ttlMs: number): Promise<void> {
    await this.run('renewLease', job, () => {
      this.#owned(job, generation, nonce).expiresMs = this.#clock.monotonicMs() + ttlMs
    })
  }

  async releaseLease(job: string, generation: number, nonce: string): Promise<void> {
    await this.run('releaseLease', job, () => {
      const data = this.data.jobs.get(job)
      if (data === undefined || data.generation !== generation || data.nonce !== nonce) return
      data.nonce = ''
    })
  }

  async publishManifest(
    job: string,
    generation: number,
    nonce: string,
    checkpointId: number,
    manifest: Uint8Array,
    publishedId = 0,
  ): Promise<void> {
    await this.run('publishManifest', `${job} ${checkpointId}`, () => {
      const data = this.#owned(job, generation, nonce)
      if (data.lastCheckpointId < publishedId)
        throw storeWentBackError(job, 'memory', data.lastCheckpointId, publishedId)
      if (checkpointId <= data.lastCheckpointId) {
        const existing = data.manifests.get(checkpointId)
        if (existing !== undefined && Buffer.compare(existing, manifest) === 0) return
        throw staleIdError(job, checkpointId, data.lastCheckpointId)
      }
      data.manifests.set(checkpointId, manifest.slice())
      data.lastCheckpointId = checkpointId
    })
  }

  async listCheckpoints(job: string): Promise<readonly number[]> {
    checkJobName(job)
    return this.run('listCheckpoints', job, () =>
      [...(this.data.jobs.get(job)?.manifests.keys() ?? [])].sort(ascending),
    )
  }

  async readManifest(job: string, checkpointId: number): Promise<Uint8Array | undefined> {
    return this.run('readManifest', `${job} ${checkpointId}`, () =>
      this.data.jobs.get(job)?.manifests.get(checkpointId)?.slice(),
    )
  }

  async deleteCheckpoint(job: string, generation: number, nonce: string, checkpointId: number): Promise<void> {
    await this.run('deleteCheckpoint', `${job} ${checkpointId}`, () => {
      this.#owned(job, generation, nonce).manifests.delete(checkpointId)
    })
  }

  async swapJob(job: string, before: Uint8Array | undefined, bytes: Uint8Array): Promise<boolean> {
    checkJobName(job)
    return this.run('swapJob', job, () => {
      const there = this.data.jobs.get(job)?.definition
      if (sameBytes(there, bytes)) return true
      if (!sameBytes(there, before)) return false
      this.data.job(job).definition = bytes.slice()
      return true
    })
  }

  async readJob(job: string): Promise<Uint8Array | undefined> {
    checkJobName(job)
    return this.run('readJob', job, () => this.data.jobs.get(job)?.definition?.slice())
  }

  async deleteJob(job: string): Promise<void> {
    checkJobName(job)
    await this.run('deleteJob', job, () => this.data.jobs.delete(job))
  }

  async listJobs(): Promise<readonly string[]> {
    return this.run('listJobs', '', () =>
      [...this.data.jobs]
        .filter(([, data]) => data.definition !== undefined)
        .map(([name]) => name)
        .sort(),
    )
  }

  async storeId(): Promise<string> {
    return this.run('storeId', '', () => {
      const id = this.#ensureId()
      this.#knownId ??= id
      return id
    })
  }

  get connection(): number {
    return this.data.connection
  }

  async describe(): Promise<StoreDescription> {
    return {
      kind: 'memory',
      location: 'memory of this process',
      guarantee: 'at-least-once',
      reasons: ['checkpoints are in memory and end with the process: use a directory or Redis'],
    }
  }

  #ensureId(): string {
    if (this.data.storeId === '') this.data.storeId = randomId(this.#random)
    return this.data.storeId
  }

  #owned(job: string, generation: number, nonce: string): JobData {
    const data = this.data.jobs.get(job)
    if (data !== undefined && data.nonce !== '' && data.generation === generation && data.nonce === nonce) return data
    // A worker's late chunk makes an entry without an owner: that is not knowing the job.
    const known = data !== undefined && data.generation > 0
    if (!known && this.#knownId !== undefined && this.data.storeId !== this.#knownId) {
      throw storeLostError(job, 'memory')
    }
    throw fencedError(job, generation, known && data.nonce !== '' ? data.generation : undefined)
  }
}

function ascending(a: number, b: number): number {
  return a - b
}
