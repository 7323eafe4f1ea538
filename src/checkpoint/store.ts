/**
 * The store that makes a job survive: the port, and what every implementation of it must guarantee.
 *
 * Owns: the contract. Does not own: what manifests say (manifest.ts), when checkpoints are made (protocol.ts).
 * Implementations: memory-store.ts, directory-store.ts, redis-store.ts; all pass test/checkpoint/store-contract.ts.
 *
 * A job has one owner at a time, the holder of its lease: an instance (stable name from the configuration), a generation
 * (raised at every takeover, never lower again) and a nonce (random, new at every takeover). Chunks are immutable, are
 * written plainly by many threads, and count for nothing until a manifest names them. The manifest is written last, under
 * the fence; only then does the checkpoint exist.
 *
 * Consistency that callers rely on:
 * 1. Read after write, from any process: what a resolved call has written, every later read sees.
 * 2. Durable before resolved: as far as `describe` says `exactly-once`, a crash of anything loses nothing resolved.
 * 3. Fenced calls are atomic with respect to `acquireLease`: once it has given a generation away, no call of an older
 *    generation or other nonce takes effect, however late it arrives.
 * 4. `acquireLease` lets one contender win.
 * 5. A call that rejects with STORE_UNREACHABLE may or may not have taken effect. Every call may be repeated as it was:
 *    it then has the effect of one.
 */

/** Where a thread can open its chunk store. Plain data. */
export type StoreConfig =
  | {
      readonly kind: 'redis'
      /** `redis://[user:password@]host:port[/db]`, `rediss://` for TLS. */
      readonly url: string
      /** First part of every key: deployments that share a Redis differ in it. */
      readonly prefix: string
      /** User (ACL) and password, where the URL has none. Secrets: never shown. */
      readonly username?: string
      readonly password?: string
      /** What TLS needs beyond `rediss://`, PEM. */
      readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
      /** Replicas that must have what makes a checkpoint exist before it is reported; 0 unless given. */
      readonly replicas?: number
      /** A command without an answer for this long is STORE_UNREACHABLE; 4000 unless given. */
      readonly commandTimeoutMs?: number
    }
  | {
      readonly kind: 'directory'
      readonly path: string
      /** False skips fsync: faster, and at-least-once. True unless given. */
      readonly sync?: boolean
    }
  /** Shared by name within one thread: simulation and tests. */
  | { readonly kind: 'memory'; readonly name: string }

/** Writes chunks; all that a worker thread needs to take part in a checkpoint. */
export interface ChunkWriter {
  /** Stores `bytes` under `key` (see chunk-key.ts), durably when resolved. `bytes` must not change until then. */
  putChunk(key: string, bytes: Uint8Array): Promise<void>
}

/** Reads chunks; all that a worker thread needs to restore. */
export interface ChunkReader {
  /** The bytes of a chunk, or undefined when there is none. The caller owns them. */
  readChunk(key: string): Promise<Uint8Array | undefined>
}

/** The plain, unfenced part of a store: what lives in each worker thread. */
export interface ChunkStore extends ChunkWriter, ChunkReader {
  /** Removes chunks; those that are not there are no error. */
  deleteChunks(keys: readonly string[]): Promise<void>
  /** Keys of all chunks of a job, in no order. Slow on a large store: for takeovers and clean-up. */
  listChunks(job: string): Promise<readonly string[]>
  /** Gives connections and handles back; later calls reject. Idempotent. */
  close(): Promise<void>
}

/** How `acquireLease` ended. */
export type LeaseResult =
  | {
      readonly acquired: true
      readonly generation: number
      /** Highest checkpoint id ever published for this job, deleted ones included; 0 for none. Go on above it. */
      readonly lastCheckpointId: number
    }
  | {
      readonly acquired: false
      /** Instance id of the owner. */
      readonly heldBy: string
      /** When to ask again; above 0. */
      readonly retryAfterMs: number
    }

/** Lower bounds for what a lease starts with: for an owner that outlived the data of its store. */
export interface LeaseFloor {
  readonly generation: number
  readonly checkpointId: number
}

/** What a store's setup is worth. */
export interface StoreDescription {
  readonly kind: StoreConfig['kind']
  /** For people: where it is, without secrets. */
  readonly location: string
  readonly guarantee: 'exactly-once' | 'at-least-once'
  /** Why not `exactly-once`, a sentence each, with what to change; empty for `exactly-once`. */
  readonly reasons: readonly string[]
}

/**
 * Everything of a deployment that survives: job definitions, leases, checkpoints.
 *
 * `job` is a job's name: letters, digits, `.`, `_` and `-`, not starting with `.`; others are CONFIG_INVALID.
 * `instanceId` names a process over its restarts. Any call may reject with STORE_UNREACHABLE (retry: backoff). A call
 * under a lease (generation and nonce) that is not, or no longer, the owner's rejects with STORE_FENCED; with STORE_LOST
 * when the store does not know the job any more and is not the store that was opened: its data is gone.
 */
export interface CheckpointStore extends ChunkStore {
  /**
   * Makes the caller the job's owner. Succeeds when there is no owner, when the owner gave the lease back, when the
   * owner is the same instance (a restart after a crash: at once, with a higher generation), and when the owner has not
   * renewed for its `ttlMs`. A contender must ask at least twice, `retryAfterMs` apart: a directory has no clock of its
   * own and counts from the first time that it was asked. The same nonce again gets the same generation again.
   */
  acquireLease(job: string, instanceId: string, nonce: string, ttlMs: number, floor?: LeaseFloor): Promise<LeaseResult>
  /** Keeps the lease for another `ttlMs`; works also after it has run out, as long as nobody took it. */
  renewLease(job: string, generation: number, nonce: string, ttlMs: number): Promise<void>
  /** Gives the lease back: the next contender gets it at once. Does nothing when it is not ours. */
  releaseLease(job: string, generation: number, nonce: string): Promise<void>

  /**
   * Makes checkpoint `checkpointId` exist. Ids rise; an id at or below the last one published rejects with
   * CHECKPOINT_FAILED, unless it is the same manifest under the same lease: a repeated call, which succeeds.
   * `publishedId` is the highest id that the caller knows to be published: a store that knows of less has gone back in
   * time (a failover, a crash without fsync), and the call rejects with STORE_LOST.
   */
  publishManifest(
    job: string,
    generation: number,
    nonce: string,
    checkpointId: number,
    manifest: Uint8Array,
    publishedId?: number,
  ): Promise<void>
  /** Ids of the checkpoints that exist, ascending. */
  listCheckpoints(job: string): Promise<readonly number[]>
  /** The bytes of a manifest, or undefined when there is no such checkpoint. */
  readManifest(job: string, checkpointId: number): Promise<Uint8Array | undefined>
  /** Removes a checkpoint, not its chunks: delete those after it. One that is not there is no error. */
  deleteCheckpoint(job: string, generation: number, nonce: string, checkpointId: number): Promise<void>

  /**
   * Stores what is known of a job outside its checkpoints (definition, wanted state), provided that what is there is
   * still `before` (undefined: nothing). Says whether it did; true also when `bytes` are there already, so that the call
   * can be repeated. Of several that replace the same `before` by different bytes one wins.
   */
  swapJob(job: string, before: Uint8Array | undefined, bytes: Uint8Array): Promise<boolean>
  readJob(job: string): Promise<Uint8Array | undefined>
  /** Removes a job with its checkpoints, chunks and lease; whoever held it is fenced. */
  deleteJob(job: string): Promise<void>
  /** Names of all jobs that were put, ascending. */
  listJobs(): Promise<readonly string[]>

  /**
   * The id of this store, made at its first use. An owner that gets another id than before has an empty store under it
   * and should write a full checkpoint at once, under a new lease with a LeaseFloor.
   */
  storeId(): Promise<string>
  /**
   * Changes whenever another server may have answered than before: chunks that were acknowledged until then may be gone,
   * with a store that is not, or not always, durable. Constant where there is no server.
   */
  readonly connection: number
  /** What the setup of the store is worth now; asks the server anew at every call. */
  describe(): Promise<StoreDescription>
}
