/**
 * A checkpoint store in a directory: the embedded default, one process on one machine (or over a file system that has
 * POSIX link and rename).
 *
 *   store-id
 *   jobs/<job>/definition-<n>       as stored by `swapJob`; the highest counts (see directory-definition.ts)
 *   jobs/<job>/lease/…              see directory-lease.ts
 *   jobs/<job>/generation-<g>/<id>  manifests; `last` remembers the newest id once its manifest is deleted
 *   jobs/<job>/chunks/<name>        see directory-chunk-store.ts
 *   trash/…                         deleted jobs on their way out
 *
 * Owns: fencing of manifests by the generation's own directory. Every file is written whole or not at all, and synced
 * with its directory before a call resolves (directory-files.ts). A crash at any step leaves the state before or after
 * the call, and garbage that opening the store, or the next takeover, removes.
 */
import { join } from 'node:path'
import type { Clock, Random } from '../core/clock.ts'
import { DirectoryChunkStore, jobDirectory } from './directory-chunk-store.ts'
import { isDefinition, readDefinition, swapDefinition } from './directory-definition.ts'
import { DirectoryLeases } from './directory-lease.ts'
import type { CheckpointStore, LeaseFloor, LeaseResult, StoreDescription } from './store.ts'
import { fencedError, randomId, staleIdError, storeLostError, storeWentBackError } from './store-errors.ts'

const GENERATION = 'generation-'

/** How a directory store is opened. */
export interface DirectoryStoreOptions {
  readonly path: string
  /** False skips fsync, and is at-least-once. */
  readonly sync: boolean
  readonly clock: Clock
  readonly random: Random
}

/** Opens (and makes) a store directory and removes what crashed writers left in it. */
export async function openDirectoryStore(options: DirectoryStoreOptions): Promise<DirectoryCheckpointStore> {
  const store = new DirectoryCheckpointStore(options)
  await store.prepare()
  return store
}

/** A handle on a store directory. */
export class DirectoryCheckpointStore extends DirectoryChunkStore implements CheckpointStore {
  readonly #random: Random
  readonly #sync: boolean
  readonly #leases: DirectoryLeases
  #knownId: string | undefined

  constructor(options: DirectoryStoreOptions) {
    super(options.path, randomId(options.random), options.sync)
    this.#random = options.random
    this.#sync = options.sync
    this.#leases = new DirectoryLeases(this.files, options.clock)
  }

  /** Makes the directories and cleans up. Called once, by `openDirectoryStore`. */
  async prepare(): Promise<void> {
    const { files } = this
    await files.makeDirectory(files.path('jobs'))
    await files.makeDirectory(files.path('trash'))
    await files.removeTemporary(files.root)
    for (const name of await files.list(files.path('trash'))) await files.removeTree(files.path('trash', name))
    for (const job of await files.list(files.path('jobs'))) await this.#clean(jobDirectory(files, job))
    await this.storeId()
  }

  async acquireLease(
    job: string,
    instanceId: string,
    nonce: string,
    ttlMs: number,
    floor?: LeaseFloor,
  ): Promise<LeaseResult> {
    this.checkOpen()
    const directory = jobDirectory(this.files, job)
    this.#knownId = await this.#ensureId()
    const claim = { instanceId, nonce, ttlMs }
    const result = await this.#leases.acquire(this.#lease(job), claim, floor, (from, to) =>
      this.#inherit(directory, from, to),
    )
    if (result.acquired) {
      await this.#removeGenerationsBelow(directory, result.generation)
      await this.#clean(directory)
    }
    return result
  }

  async renewLease(job: string, generation: number, nonce: string, _ttlMs: number): Promise<void> {
    await this.#checkOwned(job, generation, nonce)
    await this.#leases.renew(this.#lease(job), generation)
  }

  async releaseLease(job: string, generation: number, nonce: string): Promise<void> {
    this.checkOpen()
    const { ours } = await this.#leases.check(this.#lease(job), generation, nonce)
    if (ours) await this.#leases.release(this.#lease(job), generation)
  }

  async publishManifest(
    job: string,
    generation: number,
    nonce: string,
    checkpointId: number,
    manifest: Uint8Array,
    publishedId = 0,
  ): Promise<void> {
    await this.#checkOwned(job, generation, nonce)
    const directory = this.#generation(job, generation)
    const path = join(directory, String(checkpointId))
    const last = await this.#lastId(job, generation)
    if (last < publishedId) throw storeWentBackError(job, this.files.root, last, publishedId)
    try {
      if (checkpointId <= last || !(await this.files.create(path, manifest))) {
        const existing = await this.files.read(path)
        if (existing === undefined || Buffer.compare(existing, manifest) !== 0) {
          throw staleIdError(job, checkpointId, last)
        }
      }
    } finally {
      // Also after an error: a successor that removes our generation's directory makes writes fail in odd ways.
      await this.#checkOwned(job, generation, nonce)
    }
  }

  async listCheckpoints(job: string): Promise<readonly number[]> {
    this.checkOpen()
    const generation = await this.#leases.newestSealed(this.#lease(job))
    return generation === 0 ? [] : this.#ids(this.#generation(job, generation))
  }

  async readManifest(job: string, checkpointId: number): Promise<Uint8Array | undefined> {
    this.checkOpen()
    const generation = await this.#leases.newestSealed(this.#lease(job))
    return this.files.read(join(this.#generation(job, generation), String(checkpointId)))
  }

  async deleteCheckpoint(job: string, generation: number, nonce: string, checkpointId: number): Promise<void> {
    await this.#checkOwned(job, generation, nonce)
    const directory = this.#generation(job, generation)
    const ids = await this.#ids(directory)
    if (ids.at(-1) === checkpointId) {
      // The newest goes: its number must outlive it.
      const last = await this.#lastId(job, generation)
      await this.files.replace(join(directory, 'last'), Buffer.from(String(last)))
    }
    await this.files.remove(directory, [String(checkpointId)])
  }

  async swapJob(job: string, before: Uint8Array | undefined, bytes: Uint8Array): Promise<boolean> {
    this.checkOpen()
    return swapDefinition(this.files, jobDirectory(this.files, job), before, bytes)
  }

  async readJob(job: string): Promise<Uint8Array | undefined> {
    this.checkOpen()
    return (await readDefinition(this.files, jobDirectory(this.files, job))).bytes
  }

  async deleteJob(job: string): Promise<void> {
    this.checkOpen()
    const { files } = this
    const directory = jobDirectory(files, job)
    if ((await files.list(directory)).length === 0) return
    // Out of the way in one step: a crash in the middle of deleting must not leave checkpoints without their job.
    const trash = files.path('trash', `${job}-${randomId(this.#random)}`)
    await files.move(directory, trash)
    await files.removeTree(trash)
  }

  async listJobs(): Promise<readonly string[]> {
    this.checkOpen()
    const jobs: string[] = []
    for (const job of await this.files.list(this.files.path('jobs'))) {
      if ((await this.readJob(job)) !== undefined) jobs.push(job)
    }
    return jobs.sort()
  }

  async storeId(): Promise<string> {
    this.checkOpen()
    const id = await this.#ensureId()
    this.#knownId ??= id
    return id
  }

  readonly connection = 0

  async describe(): Promise<StoreDescription> {
    this.checkOpen()
    return {
      kind: 'directory',
      location: this.files.root,
      guarantee: this.#sync ? 'exactly-once' : 'at-least-once',
      reasons: this.#sync ? [] : ['files are not synced to disk (sync: false): a power cut can take checkpoints back'],
    }
  }

  async #ensureId(): Promise<string> {
    const { files } = this
    const path = files.path('store-id')
    for (;;) {
      const bytes = await files.read(path)
      if (bytes !== undefined) return Buffer.from(bytes).toString('utf8').trim()
      await files.makeDirectory(files.path('jobs'))
      await files.create(path, Buffer.from(`${randomId(this.#random)}\n`))
    }
  }

  async #checkOwned(job: string, generation: number, nonce: string): Promise<void> {
    this.checkOpen()
    const { current, ours } = await this.#leases.check(this.#lease(job), generation, nonce)
    if (ours) return
    if (current === 0 && this.#knownId !== undefined) {
      const id = await this.files.read(this.files.path('store-id'))
      const text = id === undefined ? '' : Buffer.from(id).toString('utf8').trim()
      if (text !== this.#knownId) throw storeLostError(job, this.files.root)
    }
    throw fencedError(job, generation, current === 0 ? undefined : current)
  }

  /** Links the manifests of generation `from` into the directory of `to`; returns the last id ever published. */
  async #inherit(jobPath: string, from: number, to: number): Promise<number> {
    const { files } = this
    const target = join(jobPath, `${GENERATION}${to}`)
    await files.makeDirectory(target)
    if (from === 0) return 0
    const source = join(jobPath, `${GENERATION}${from}`)
    const ids = await this.#ids(source)
    const last = Math.max(
      ids.at(-1) ?? 0,
      await this.#rememberedId(source),
      await this.#leases.sealedThrough(join(jobPath, 'lease'), from),
    )
    if (from !== to) for (const id of ids) await files.linkInto(join(source, String(id)), join(target, String(id)))
    return last
  }

  async #lastId(job: string, generation: number): Promise<number> {
    const directory = this.#generation(job, generation)
    const sealed = await this.#leases.sealedThrough(this.#lease(job), generation)
    return Math.max((await this.#ids(directory)).at(-1) ?? 0, await this.#rememberedId(directory), sealed)
  }

  async #rememberedId(generationPath: string): Promise<number> {
    const bytes = await this.files.read(join(generationPath, 'last'))
    return bytes === undefined ? 0 : Number(Buffer.from(bytes).toString('utf8'))
  }

  async #ids(generationPath: string): Promise<readonly number[]> {
    const names = await this.files.list(generationPath)
    return names
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b)
  }

  async #removeGenerationsBelow(jobPath: string, generation: number): Promise<void> {
    for (const name of await this.files.list(jobPath)) {
      if (!name.startsWith(GENERATION)) continue
      if (Number(name.slice(GENERATION.length)) < generation) await this.files.removeTree(join(jobPath, name))
    }
  }

  async #clean(jobPath: string): Promise<void> {
    for (const name of await this.files.list(jobPath)) {
      if (!isDefinition(name)) await this.files.removeTemporary(join(jobPath, name))
    }
    await this.files.removeTemporary(jobPath)
  }

  #lease(job: string): string {
    return join(jobDirectory(this.files, job), 'lease')
  }

  #generation(job: string, generation: number): string {
    return join(jobDirectory(this.files, job), `${GENERATION}${generation}`)
  }
}
