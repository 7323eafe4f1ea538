/**
 * Where savepoints are: the port, and what every implementation of it must guarantee.
 *
 * Owns: the contract. Implementations: savepoint-files.ts (a folder), memory-savepoints.ts (tests and simulation); both
 * pass test/savepoint/store-contract.ts.
 *
 * 1. A savepoint exists exactly when `commit` has put its manifest in place: then it is there whole, durably.
 * 2. What is read is what was written, or SAVEPOINT_CORRUPT that names the file.
 * 3. No name leads out of the folder.
 *
 * Every call may reject SAVEPOINT_FAILED when the disk does.
 */
import type { ChunkReader } from '../checkpoint/store.ts'
import type { SavepointRef } from './names.ts'
import type { Savepoint } from './savepoint.ts'

/** A savepoint that is being made. */
export interface SavepointWriter {
  /** Stores a file of it. Several at a time are fine. */
  putBlob(name: string, bytes: Uint8Array): Promise<void>
  /** Makes it exist. SAVEPOINT_EXISTS when another of its name came first. */
  commit(manifest: Uint8Array): Promise<void>
  /** Gives it up. Never rejects. */
  abandon(): Promise<void>
}

/** A savepoint that is there; its blobs are read as chunks. */
export interface SavepointReader extends ChunkReader {
  readonly savepoint: Savepoint
}

/** One of a listing. */
export interface SavepointEntry extends SavepointRef {
  /** For people. */
  readonly path: string
  /** Null when it cannot be read; `problem` says why. */
  readonly savepoint: Savepoint | null
  readonly problem: string
}

/** A folder of savepoints. */
export interface SavepointStore {
  /** Where it is, for people. */
  readonly root: string
  /** Begins a savepoint. INPUT_INVALID for a name that is none, SAVEPOINT_EXISTS. */
  create(ref: SavepointRef): Promise<SavepointWriter>
  /** Opens one. SAVEPOINT_NOT_FOUND, SAVEPOINT_CORRUPT, STATE_INCOMPATIBLE. */
  open(ref: SavepointRef): Promise<SavepointReader>
  /** Those of a job, or of all for null, in no order. */
  list(job: string | null): Promise<readonly SavepointEntry[]>
  /** Deletes one for good. SAVEPOINT_NOT_FOUND. */
  delete(ref: SavepointRef): Promise<void>
  /** Where one is, for people. */
  pathOf(ref: SavepointRef): string
}
