/**
 * What must hold of every run under faults, whatever the job: watched while it goes on.
 *
 * A break is noted, not thrown: it happens within the engine's own calls.
 */
import { splitChunkKey } from '../checkpoint/chunk-key.ts'
import { chunksOf, decodeManifest } from '../checkpoint/manifest.ts'
import type { MemoryStoreData } from '../checkpoint/memory-store.ts'

/** Watches the store of a run. */
export class FaultChecks {
  /** What was broken, in words; empty in a good run. */
  readonly broken: string[] = []
  readonly #job: string
  readonly #store: MemoryStoreData
  readonly #excused: () => boolean
  #generation = 0
  #published = 0

  /** `excused`: a checkpoint may be published now whose call was under way when the store lost data. */
  constructor(job: string, store: MemoryStoreData, excused: () => boolean) {
    this.#job = job
    this.#excused = excused
    this.#store = store
    store.fault = (operation, when) => {
      if (operation === 'publishManifest' && when === 'after') this.#checkPublished()
      if (operation === 'acquireLease' && when === 'after') this.#checkLease()
    }
  }

  /** The store has lost data: what it knew of generations and checkpoints counts no more. */
  storeLost(): void {
    const data = this.#store.jobs.get(this.#job)
    this.#generation = data?.generation ?? 0
    this.#published = Math.max(0, ...(data?.manifests.keys() ?? []))
  }

  /** Generations rise: whoever takes the lease over shuts out whoever had it. */
  #checkLease(): void {
    const generation = this.#store.jobs.get(this.#job)?.generation ?? 0
    if (generation < this.#generation) {
      this.broken.push(`the lease went from generation ${this.#generation} back to ${generation}`)
    }
    this.#generation = generation
  }

  /** What is published is of the owner's generation, and whole: nothing of a zombie is reachable, nothing of it is missing. */
  #checkPublished(): void {
    const data = this.#store.jobs.get(this.#job)
    if (data === undefined) return
    for (const [id, bytes] of data.manifests) {
      if (id <= this.#published) continue
      const manifest = decodeManifest(bytes, `checkpoint ${id}`)
      const { generation, previousCheckpointId } = manifest
      const gone = chunksOf(manifest).filter(({ key }) => !data.chunks.has(splitChunkKey(key).name))
      if (gone.length > 0 && !this.#excused()) {
        this.broken.push(`checkpoint ${id} was published without ${gone.length} of its chunks`)
      }
      if (generation !== data.generation) {
        this.broken.push(
          `checkpoint ${id} of generation ${generation} was published under generation ${data.generation}`,
        )
      }
      if (previousCheckpointId >= id) this.broken.push(`checkpoint ${id} says that it follows ${previousCheckpointId}`)
    }
    this.#published = Math.max(this.#published, ...data.manifests.keys())
  }
}
