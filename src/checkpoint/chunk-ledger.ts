/**
 * Which chunks may be deleted.
 *
 * Pure. Owns: the count of manifests that refer to each chunk. Does not own: deleting.
 *
 * Use: `add` each checkpoint found at start; `note` what every ack has written, acks of aborted checkpoints included;
 * `add` a manifest BEFORE publishing it, so that one whose publication's reply was lost keeps its chunks; `remove` it
 * after the store has deleted it. `takeGarbage` gives what to delete, at any time.
 *
 * Invariants:
 * 1. A chunk that an added, not removed manifest refers to is never garbage.
 * 2. A chunk that was noted is not garbage before the next `add`: the checkpoint in flight may refer to it. From then on
 *    it is if no manifest refers to it: a subtask that lists all its live pages and leaves a chunk out has forgotten it.
 * 3. Each key is handed out as garbage once.
 */

import { parseChunkKey } from './chunk-key.ts'
import { type CheckpointManifest, chunksOf } from './manifest.ts'
import type { ChunkRef } from './snapshot.ts'

/** The chunks of one job, counted by the manifests that refer to them. */
export class ChunkLedger {
  readonly #manifests = new Map<number, readonly string[]>()
  readonly #references = new Map<string, number>()
  /** Noted since the last `add`. */
  #fresh: string[] = []
  #garbage = new Set<string>()

  /** Ids of the checkpoints whose chunks are kept, in the order in which they were added. */
  get checkpointIds(): readonly number[] {
    return [...this.#manifests.keys()]
  }

  /** Remembers chunks that an ack says were written. */
  note(written: readonly ChunkRef[]): void {
    for (const { key } of written) this.#fresh.push(key)
  }

  /** Keeps the chunks of a manifest. Adding an id again does nothing. */
  add(manifest: CheckpointManifest): void {
    if (this.#manifests.has(manifest.checkpointId)) return
    const keys = chunksOf(manifest).map((ref) => ref.key)
    this.#manifests.set(manifest.checkpointId, keys)
    for (const key of keys) {
      this.#references.set(key, (this.#references.get(key) ?? 0) + 1)
      this.#garbage.delete(key)
    }
    for (const key of this.#fresh) if (!this.#references.has(key)) this.#garbage.add(key)
    this.#fresh = []
  }

  /** Lets go of the chunks of a manifest that has been deleted. */
  remove(checkpointId: number): void {
    for (const key of this.#manifests.get(checkpointId) ?? []) {
      const left = this.#references.get(key)! - 1
      if (left > 0) {
        this.#references.set(key, left)
      } else {
        this.#references.delete(key)
        this.#garbage.add(key)
      }
    }
    this.#manifests.delete(checkpointId)
  }

  /**
   * Adds to the garbage what earlier owners and attempts have left in the store: of `keys` (all that the store lists)
   * those that no manifest refers to and that are older than the attempt that runs now.
   */
  addStray(keys: readonly string[], generation: number, attempt: number): void {
    for (const key of keys) {
      if (this.#references.has(key)) continue
      const parts = parseChunkKey(key)
      if (parts === undefined) continue
      if (parts.generation < generation || (parts.generation === generation && parts.attempt < attempt)) {
        this.#garbage.add(key)
      }
    }
  }

  /** Chunks to delete now, once each. If deleting fails they are left to the next owner's `addStray`. */
  takeGarbage(): readonly string[] {
    const keys = [...this.#garbage]
    this.#garbage = new Set()
    return keys
  }
}
