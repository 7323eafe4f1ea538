/**
 * Makes a checkpoint exist: puts the snapshots together, and publishes the manifest under the lease.
 *
 * Owns: the order (chunks are kept from deletion before the manifest is written, which comes last), the look at a store
 * that has lost data, and what each failure is to the protocol. Does not own: when it is time (checkpoint/protocol.ts).
 */
import { type CheckpointKind, type CheckpointManifest, encodeManifest } from '../checkpoint/manifest.ts'
import { mergeSnapshots } from '../checkpoint/manifest-merge.ts'
import type { OutboxEpoch } from '../checkpoint/outbox-restore.ts'
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { KEY_HASH_NAME, KEY_HASH_SEED } from '../core/hash.ts'
import type { JobPlan } from '../job/plan.ts'
import type { CheckpointCleaner } from './checkpoint-cleaner.ts'
import type { Deployment } from './deployment.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts } from './job-ports.ts'
import type { LeaseKeeper } from './lease.ts'
import { lostChunks } from './lost-chunks.ts'

/** Whose checkpoints. */
export interface PublisherOptions {
  readonly ports: Pick<JobPorts, 'clock' | 'store'>
  readonly plan: JobPlan
  readonly attempt: number
  readonly memory: JobMemory
  readonly lease: LeaseKeeper
  readonly deployment: Deployment
}

/** What is to be published. */
export interface Publication {
  readonly checkpointId: number
  readonly kind: CheckpointKind
  readonly snapshots: readonly SubtaskSnapshot[]
  /** Outboxes of earlier checkpoints that some sink has not applied. */
  readonly unapplied: readonly OutboxEpoch[]
  /** The store may lack chunks that subtasks believe durable. */
  readonly distrust: boolean
}

/** How it ended. `uncounted`: no failure of the job's; `lost`: the job cannot go on from this store. */
export type PublishOutcome =
  | { readonly kind: 'published'; readonly manifest: CheckpointManifest }
  | { readonly kind: 'uncounted'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'lost'; readonly error: MillraceError }

/** The publisher of one attempt. */
export class ManifestPublisher {
  readonly #options: PublisherOptions
  readonly #cleaner: CheckpointCleaner
  /** The server of the store that had everything; after another one has taken over, chunks may be gone. */
  #connection: number

  constructor(options: PublisherOptions, cleaner: CheckpointCleaner) {
    this.#options = options
    this.#cleaner = cleaner
    this.#connection = options.ports.store.connection
  }

  /** Publishes; never rejects. */
  async publish(publication: Publication): Promise<PublishOutcome> {
    const { ports, plan, lease, memory } = this.#options
    const { checkpointId } = publication
    const { connection } = ports.store
    const held = lease.held
    if (held === undefined) return { kind: 'uncounted', message: 'the lease is being acquired anew' }
    try {
      const manifest = this.#merge(publication, held.generation)
      const distrust = publication.distrust || connection !== this.#connection
      const lost = distrust ? await this.#missing(publication, manifest) : null
      if (lost !== null) return lost
      this.#cleaner.keep(manifest)
      const bytes = encodeManifest(manifest)
      const { generation, nonce } = held
      const publishedId = memory.completedCheckpointId
      await ports.store.publishManifest(plan.jobName, generation, nonce, checkpointId, bytes, publishedId)
      if (ports.store.connection !== connection) {
        return { kind: 'uncounted', message: 'another server has taken the store over while it was published' }
      }
      this.#connection = connection
      return { kind: 'published', manifest }
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      const { code, message } = error
      if (code === 'STORE_FENCED' || code === 'STORE_LOST') lease.lost(held.generation, error)
      const uncounted = code === 'STORE_UNREACHABLE' || code === 'STORE_LOST' || code === 'STORE_FENCED'
      return { kind: uncounted ? 'uncounted' : 'failed', message }
    }
  }

  #merge({ checkpointId, kind, snapshots, unapplied }: Publication, generation: number): CheckpointManifest {
    const { plan, memory, attempt, ports } = this.#options
    const header = {
      jobName: plan.jobName,
      jobId: memory.jobId,
      checkpointId,
      previousCheckpointId: memory.completedCheckpointId,
      generation,
      attempt,
      kind,
      createdAtMs: ports.clock.nowMs(),
      keyHashName: KEY_HASH_NAME,
      keyHashSeed: KEY_HASH_SEED,
      keyGroups: plan.keyGroups,
      definitionHash: plan.definitionHash,
      owed: unapplied.map((epoch) => ({ checkpointId: epoch.checkpointId, sinks: [...epoch.sinks.keys()].sort() })),
    }
    return mergeSnapshots(header, snapshots)
  }

  /** After a loss: null when every chunk is in the store. If not, asks for those to be written that can be. */
  async #missing(publication: Publication, manifest: CheckpointManifest): Promise<PublishOutcome | null> {
    const { ports, memory, deployment } = this.#options
    const { pages, owed } = await lostChunks(ports.store, manifest, publication.unapplied)
    if (owed !== null) return { kind: 'lost', error: owed }
    if (pages.length === 0) return null
    deployment.broadcast({ type: 'checkpointComplete', checkpointId: memory.completedCheckpointId, rewrite: pages })
    return { kind: 'uncounted', message: `${pages.length} chunks are lost and will be written again by the next one` }
  }
}
