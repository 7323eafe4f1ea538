/**
 * Deletes what checkpoints leave behind: subsumed manifests, then the chunks that nobody refers to any more.
 *
 * Owns: the order (a manifest goes before its chunks) and doing it in the background, one round after the other. Does
 * not own: which chunks are garbage (checkpoint/chunk-ledger.ts). What fails is left to the clean-up of the next attempt.
 */
import { ChunkLedger } from '../checkpoint/chunk-ledger.ts'
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import type { ChunkRef } from '../checkpoint/snapshot.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import type { LeaseKeeper } from './lease.ts'
import type { CoordinatorLog } from './log.ts'

/** The cleaner of one attempt. */
export class CheckpointCleaner {
  readonly #ledger = new ChunkLedger()
  readonly #job: string
  readonly #store: CheckpointStore
  readonly #lease: LeaseKeeper
  readonly #log: CoordinatorLog
  #work: Promise<void> = Promise.resolve()

  constructor(job: string, store: CheckpointStore, lease: LeaseKeeper, log: CoordinatorLog) {
    this.#job = job
    this.#store = store
    this.#lease = lease
    this.#log = log
  }

  /** Keeps what a manifest refers to. Before it is published: its publication may succeed and the answer be lost. */
  keep(manifest: CheckpointManifest): void {
    this.#ledger.add(manifest)
  }

  /** Chunks that a subtask has written, whatever becomes of the checkpoint that they were written for. */
  note(written: readonly ChunkRef[]): void {
    this.#ledger.note(written)
  }

  /** Counts as garbage what attempts before `attempt` of this lease, and earlier owners, have left among `keys`. */
  addStray(keys: readonly string[], attempt: number): void {
    const held = this.#lease.held
    if (held !== undefined) this.#ledger.addStray(keys, held.generation, attempt)
  }

  /** Deletes checkpoints, those that exist, and then all garbage. */
  forget(checkpointIds: readonly number[]): void {
    this.#work = this.#work.then(async () => {
      const held = this.#lease.held
      if (held === undefined) return
      try {
        for (const id of checkpointIds) {
          await this.#store.deleteCheckpoint(this.#job, held.generation, held.nonce, id)
          this.#ledger.remove(id)
        }
        const garbage = this.#ledger.takeGarbage()
        if (garbage.length > 0) await this.#store.deleteChunks(garbage)
      } catch (thrown) {
        const { message } = MillraceError.from(thrown)
        this.#log('warn', `old checkpoints of job ${this.#job} could not be deleted: ${message}`, { job: this.#job })
      }
    })
  }

  /** Resolves when nothing is being deleted. */
  drain(): Promise<void> {
    return this.#work
  }
}
