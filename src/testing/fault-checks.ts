/**
 * What must hold of every run under faults, whatever the job: watched while it goes on.
 *
 * A break is noted, not thrown: it happens within the engine's own calls.
 */
import { decodeManifest } from '../checkpoint/manifest.ts'
import type { MemoryStoreData } from '../checkpoint/memory-store.ts'

/** Watches the store of a run. */
export class FaultChecks {
  /** What was broken, in words; empty in a good run. */
  readonly broken: string[] = []
  readonly #job: string
  readonly #store: MemoryStoreData
  #generation = 0
  #published = 0

  constructor(job: string, store: MemoryStoreData) {
    this.#job = job
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

  /** The newest manifest is of the owner's generation, and newer than any before: nothing of a zombie is reachable. */
  #checkPublished(): void {
    const data = this.#store.jobs.get(this.#job)
    if (data === undefined) return
    for (const [id, bytes] of data.manifests) {
      if (id <= this.#published) continue
      const { generation, previousCheckpointId } = decodeManifest(bytes, `checkpoint ${id}`)
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
