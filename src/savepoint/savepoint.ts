/**
 * A savepoint: what it says, and its stored form.
 *
 * Owns: the domain type, its mapping to `millrace.v1.SavepointManifest`, the versioned and checksummed envelope, and the
 * checks that make a decoded one safe to use. Does not own: where files lie (savepoint-files.ts), how one is made
 * (export.ts) or started from (import.ts). Pure.
 *
 * The chunks of the checkpoint inside have the names of the savepoint's blobs as their keys: nothing in it refers to the
 * store that it was copied from.
 */
import { type CheckpointManifest, chunksOf, decodeManifest, encodeManifest } from '../checkpoint/manifest.ts'
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import { CheckpointFile } from '../gen/millrace/v1/checkpoint.ts'
import {
  SavepointManifest as GenManifest,
  SavepointFile,
  SavepointJobKind,
  type SavepointOperator,
  type SavepointTable,
} from '../gen/millrace/v1/savepoint.ts'

/** Version of the stored form that this build writes; it reads this one and all before. */
export const SAVEPOINT_FORMAT_VERSION = 1

/** Why a savepoint was made. */
export type SavepointReason = 'savepoint' | 'stop' | 'drain'

/** A file of a savepoint. */
export interface SavepointBlob {
  readonly name: string
  readonly sizeBytes: number
  /** CRC-32C of its bytes. */
  readonly crc: number
}

/** What a savepoint says beside the checkpoint in it. */
export interface SavepointFacts {
  readonly name: string
  /** Wall clock, epoch ms. */
  readonly createdAtMs: number
  readonly submittedAtMs: number
  readonly reason: SavepointReason
  /** The server that made it. */
  readonly instanceId: string
  /** Whether the job is a module in TypeScript. */
  readonly program: boolean
  /** The definition as it was submitted. */
  readonly definitionText: string
  /** The same as the server read it: a JobDefinition as JSON. */
  readonly definitionJson: string
  /** Its descriptor set; null for that of the program. */
  readonly descriptorSet: Uint8Array | null
  readonly parallelism: number
  /** All of time has passed: no job may go on from here. */
  readonly drained: boolean
  readonly operators: readonly SavepointOperator[]
  readonly tables: readonly SavepointTable[]
}

/** A savepoint, whole. Plain data. */
export interface Savepoint extends SavepointFacts {
  readonly blobs: readonly SavepointBlob[]
  /** Its chunks are keyed by the names of blobs. */
  readonly checkpoint: CheckpointManifest
}

/** Name of blob number `index`. */
export function blobName(index: number): string {
  return `blob-${String(index).padStart(6, '0')}`
}

const blobPattern = /^blob-\d{6,12}$/

/** Bytes of all blobs. */
export function savepointBytes({ blobs }: Pick<Savepoint, 'blobs'>): number {
  return blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0)
}

/** A manifest whose chunks have other keys. */
export function withChunkKeys(manifest: CheckpointManifest, keyOf: (key: string) => string): CheckpointManifest {
  return {
    ...manifest,
    subtasks: manifest.subtasks.map((snapshot) => ({
      ...snapshot,
      pages: {
        ...snapshot.pages,
        chunks: snapshot.pages.chunks.map(({ key, sizeBytes }) => ({ key: keyOf(key), sizeBytes })),
      },
    })),
  }
}

/** The stored form of a savepoint. */
export function encodeSavepoint(savepoint: Savepoint): Uint8Array {
  const { checkpoint } = savepoint
  const body = GenManifest.encode({
    name: savepoint.name,
    jobName: checkpoint.jobName,
    jobId: checkpoint.jobId,
    checkpointId: checkpoint.checkpointId,
    createdAtMs: Math.trunc(savepoint.createdAtMs),
    submittedAtMs: Math.trunc(savepoint.submittedAtMs),
    reason: savepoint.reason,
    instanceId: savepoint.instanceId,
    jobKind: savepoint.program
      ? SavepointJobKind.SAVEPOINT_JOB_KIND_PROGRAM
      : SavepointJobKind.SAVEPOINT_JOB_KIND_DEFINITION,
    definitionText: savepoint.definitionText,
    definitionJson: savepoint.definitionJson,
    descriptorSet: Buffer.from(savepoint.descriptorSet ?? []),
    parallelism: savepoint.parallelism,
    drained: savepoint.drained,
    operators: [...savepoint.operators],
    tables: [...savepoint.tables],
    blobs: savepoint.blobs.map(({ name, sizeBytes, crc }) => ({ name, sizeBytes, crc32c: crc })),
    checkpoint: CheckpointFile.decode(encodeManifest(checkpoint)),
  }).finish()
  return SavepointFile.encode({
    formatVersion: SAVEPOINT_FORMAT_VERSION,
    manifestCrc32c: crc32c(body),
    manifest: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  }).finish()
}

/**
 * A savepoint from its stored form. Throws SAVEPOINT_CORRUPT for bytes that are not one, also when names lead nowhere;
 * STATE_INCOMPATIBLE for a format of a newer build. `what` names it in messages, as `savepoint shop/before-sale`.
 */
export function decodeSavepoint(bytes: Uint8Array, what: string): Savepoint {
  let gen: GenManifest
  try {
    const file = SavepointFile.decode(bytes)
    if (file.formatVersion > SAVEPOINT_FORMAT_VERSION) {
      throw new MillraceError(
        'STATE_INCOMPATIBLE',
        `${what} has format ${file.formatVersion}, this build reads up to ${SAVEPOINT_FORMAT_VERSION}: use a newer one`,
      )
    }
    if (file.formatVersion < 1) throw corruptSavepoint(what, 'it carries no format version')
    if (crc32c(file.manifest) !== file.manifestCrc32c) throw corruptSavepoint(what, 'its checksum is wrong')
    gen = GenManifest.decode(file.manifest)
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw corruptSavepoint(what, thrown instanceof Error ? thrown.message : String(thrown), thrown)
  }
  return fromGen(gen, what)
}

/** SAVEPOINT_CORRUPT: what is wrong with which savepoint. */
export function corruptSavepoint(what: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'SAVEPOINT_CORRUPT',
    `${what} cannot be used: ${why}. Bring its files back, or use another`,
    {
      cause,
    },
  )
}

function fromGen(gen: GenManifest, what: string): Savepoint {
  const { reason, jobKind } = gen
  if (reason !== 'savepoint' && reason !== 'stop' && reason !== 'drain') {
    throw corruptSavepoint(what, `its reason is ${JSON.stringify(reason)}`)
  }
  if (jobKind === SavepointJobKind.SAVEPOINT_JOB_KIND_UNSPECIFIED) {
    throw corruptSavepoint(what, 'it does not say what kind of job it is of')
  }
  if (gen.checkpoint === undefined) throw corruptSavepoint(what, 'it holds no checkpoint')
  const blobs = gen.blobs.map(({ name, sizeBytes, crc32c: crc }) => ({ name, sizeBytes, crc }))
  const sizes = new Map(blobs.map((blob) => [blob.name, blob.sizeBytes]))
  for (const { name } of blobs) {
    // Names become paths.
    if (!blobPattern.test(name)) throw corruptSavepoint(what, `${JSON.stringify(name)} cannot name a blob`)
  }
  const checkpoint = checkpointOf(gen.checkpoint, what)
  for (const { key, sizeBytes } of chunksOf(checkpoint)) {
    if (sizes.get(key) !== sizeBytes) throw corruptSavepoint(what, `its state refers to ${key}, which it does not have`)
  }
  return {
    name: gen.name,
    createdAtMs: gen.createdAtMs,
    submittedAtMs: gen.submittedAtMs,
    reason,
    instanceId: gen.instanceId,
    program: jobKind === SavepointJobKind.SAVEPOINT_JOB_KIND_PROGRAM,
    definitionText: gen.definitionText,
    definitionJson: gen.definitionJson,
    descriptorSet: gen.descriptorSet.length === 0 ? null : new Uint8Array(gen.descriptorSet),
    parallelism: gen.parallelism,
    drained: gen.drained,
    operators: gen.operators,
    tables: gen.tables,
    blobs,
    checkpoint,
  }
}

function checkpointOf(file: CheckpointFile, what: string): CheckpointManifest {
  try {
    return decodeManifest(CheckpointFile.encode(file).finish(), `the checkpoint in ${what}`)
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    throw error.code === 'CHECKPOINT_CORRUPT' ? corruptSavepoint(what, error.message, thrown) : error
  }
}
