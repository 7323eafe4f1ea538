/**
 * The manifest of a checkpoint: what it says, and its stored form.
 *
 * Owns: the domain type, its mapping to `millrace.v1.CheckpointManifest`, the versioned and checksummed envelope, and the
 * checks that make a decoded manifest safe to use (those of pages and outboxes: manifest-parts.ts). Does not own: how one
 * is put together (manifest-merge.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import {
  CheckpointFile,
  CheckpointKind as GenKind,
  CheckpointManifest as GenManifest,
} from '../gen/millrace/v1/checkpoint.ts'
import { corrupt, outboxFromGen, outboxToGen, pagesFromGen, pagesToGen } from './manifest-parts.ts'
import type { ChunkRef, SplitSnapshot, SubtaskSnapshot } from './snapshot.ts'

/** Newest version of the stored form; this build reads it and all before. */
export const MANIFEST_FORMAT_VERSION = 2

/** The version of a manifest without outboxes: builds that know of none may read it, and would lose those of others. */
const FORMAT_WITHOUT_OUTBOX = 1

/** Why a checkpoint was made: `checkpoint` is dropped by retention, `savepoint` is kept until somebody deletes it. */
export type CheckpointKind = 'checkpoint' | 'savepoint'

/** All that a job needs to go on from one consistent point. Plain data. */
export interface CheckpointManifest {
  readonly jobName: string
  /** Unique per submitted job. */
  readonly jobId: string
  readonly checkpointId: number
  /** The newest checkpoint when this one was made; 0 for none. */
  readonly previousCheckpointId: number
  readonly generation: number
  readonly attempt: number
  readonly kind: CheckpointKind
  /** Wall clock, epoch ms. */
  readonly createdAtMs: number
  readonly keyHashName: string
  readonly keyHashSeed: number
  readonly keyGroups: number
  readonly definitionHash: string
  /** Totals over all subtasks since the job first started. */
  readonly counters: Readonly<Record<string, number>>
  /** One per subtask, each with its own chunk table; `written` is empty. */
  readonly subtasks: readonly SubtaskSnapshot[]
  /** Earlier checkpoints whose outboxes some sink had not applied when this one was published, ascending. */
  readonly owed: readonly OwedOutbox[]
}

/** An outbox that waits for sinks. */
export interface OwedOutbox {
  readonly checkpointId: number
  /** Sinks that it has records for, ascending. */
  readonly sinks: readonly string[]
}

/** Every chunk that a manifest refers to, once each: pages first, then blocks of outboxes. */
export function chunksOf(manifest: CheckpointManifest): readonly ChunkRef[] {
  const chunks = new Map(pageChunksOf(manifest).map((ref) => [ref.key, ref]))
  for (const { outbox } of manifest.subtasks) {
    for (const { blocks } of outbox) for (const { chunk } of blocks) chunks.set(chunk.key, chunk)
  }
  return [...chunks.values()]
}

/** Every chunk that holds pages of a manifest, once each. */
export function pageChunksOf(manifest: CheckpointManifest): readonly ChunkRef[] {
  const chunks = new Map<string, ChunkRef>()
  for (const { pages } of manifest.subtasks) for (const ref of pages.chunks) chunks.set(ref.key, ref)
  return [...chunks.values()]
}

/** The stored form of a manifest. */
export function encodeManifest(manifest: CheckpointManifest): Uint8Array {
  const chunks: ChunkRef[] = []
  const indexes = new Map<string, number>()
  const splits: GenManifest['splits'] = []
  const subtasks: GenManifest['subtasks'] = []
  const indexOf = (ref: ChunkRef): number => {
    let index = indexes.get(ref.key)
    if (index === undefined) {
      index = chunks.push(ref) - 1
      indexes.set(ref.key, index)
    }
    return index
  }
  for (const s of manifest.subtasks) {
    const global = s.pages.chunks.map(indexOf)
    for (const { state, partition, offset, stopOffset, topicId, maxTimestampMs } of s.splits) {
      splits.push({
        operatorId: s.operatorId,
        subtask: s.subtask,
        partition,
        offset,
        stopOffset,
        topicId,
        state,
        maxTimestampMs,
      })
    }
    subtasks.push({
      operatorId: s.operatorId,
      subtask: s.subtask,
      parallelism: s.parallelism,
      watermark: s.watermarkMs,
      meta: Buffer.from(s.meta.buffer, s.meta.byteOffset, s.meta.byteLength),
      tables: [...s.pages.tables],
      pages: pagesToGen(s.pages, global),
      counters: { ...s.counters },
      outbox: s.outbox.map((part) => outboxToGen(part, indexOf)),
    })
  }
  const body = GenManifest.encode({
    jobName: manifest.jobName,
    jobId: manifest.jobId,
    checkpointId: manifest.checkpointId,
    previousCheckpointId: manifest.previousCheckpointId,
    generation: manifest.generation,
    attempt: manifest.attempt,
    kind: manifest.kind === 'savepoint' ? GenKind.CHECKPOINT_KIND_SAVEPOINT : GenKind.CHECKPOINT_KIND_CHECKPOINT,
    createdAtMs: Math.trunc(manifest.createdAtMs),
    keyHashName: manifest.keyHashName,
    keyHashSeed: manifest.keyHashSeed,
    keyGroups: manifest.keyGroups,
    definitionHash: manifest.definitionHash,
    chunks: chunks.map(({ key, sizeBytes }) => ({ key, sizeBytes })),
    splits,
    subtasks,
    counters: { ...manifest.counters },
    owed: manifest.owed.map(({ checkpointId, sinks }) => ({ checkpointId, sinks: [...sinks] })),
  }).finish()
  const plain = manifest.owed.length === 0 && manifest.subtasks.every(({ outbox }) => outbox.length === 0)
  return CheckpointFile.encode({
    formatVersion: plain ? FORMAT_WITHOUT_OUTBOX : MANIFEST_FORMAT_VERSION,
    manifestCrc32c: crc32c(body),
    manifest: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  }).finish()
}

/**
 * A manifest from its stored form. Throws CHECKPOINT_CORRUPT for bytes that are not one (also when indexes point
 * nowhere), STATE_INCOMPATIBLE for a format of a newer build. `what` names it in messages, as `checkpoint 7 of job j`.
 */
export function decodeManifest(bytes: Uint8Array, what: string): CheckpointManifest {
  let gen: GenManifest
  try {
    const file = CheckpointFile.decode(bytes)
    if (file.formatVersion > MANIFEST_FORMAT_VERSION) {
      throw new MillraceError(
        'STATE_INCOMPATIBLE',
        `${what} has format ${file.formatVersion}, this build reads up to ${MANIFEST_FORMAT_VERSION}: use a newer one`,
      )
    }
    if (file.formatVersion < 1) throw corrupt(what, 'it carries no format version')
    if (crc32c(file.manifest) !== file.manifestCrc32c) throw corrupt(what, 'its checksum is wrong')
    gen = GenManifest.decode(file.manifest)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw corrupt(what, error instanceof Error ? error.message : String(error), error)
  }
  return fromGen(gen, what)
}

function fromGen(gen: GenManifest, what: string): CheckpointManifest {
  if (gen.checkpointId < 1) throw corrupt(what, 'it carries no checkpoint id')
  const kind = kindFromGen(gen.kind, what)
  const splits = new Map<string, SplitSnapshot[]>()
  for (const { operatorId, subtask, ...split } of gen.splits) {
    const owner = `${operatorId}/${subtask}`
    const list = splits.get(owner)
    if (list === undefined) splits.set(owner, [split])
    else list.push(split)
  }
  const subtasks = gen.subtasks.map((s): SubtaskSnapshot => {
    const owner = `${s.operatorId}/${s.subtask}`
    const own = splits.get(owner) ?? []
    splits.delete(owner)
    return {
      operatorId: s.operatorId,
      subtask: s.subtask,
      parallelism: s.parallelism,
      watermarkMs: s.watermark,
      // A copy of its own: the message's bytes are views of the whole file, and threads clone what a view looks into.
      meta: new Uint8Array(s.meta),
      counters: s.counters,
      splits: own,
      pages: pagesFromGen(s.pages, s.tables, gen.chunks, `${what}, subtask ${owner}`),
      outbox: s.outbox.map((part) => outboxFromGen(part, gen.checkpointId, gen.chunks, `${what}, subtask ${owner}`)),
      written: [],
    }
  })
  if (splits.size > 0) throw corrupt(what, `it has splits of ${[...splits.keys()].join(', ')} but no such subtask`)
  return {
    jobName: gen.jobName,
    jobId: gen.jobId,
    checkpointId: gen.checkpointId,
    previousCheckpointId: gen.previousCheckpointId,
    generation: gen.generation,
    attempt: gen.attempt,
    kind,
    createdAtMs: gen.createdAtMs,
    keyHashName: gen.keyHashName,
    keyHashSeed: gen.keyHashSeed,
    keyGroups: gen.keyGroups,
    definitionHash: gen.definitionHash,
    counters: gen.counters,
    subtasks,
    owed: gen.owed,
  }
}

function kindFromGen(kind: GenKind, what: string): CheckpointKind {
  if (kind === GenKind.CHECKPOINT_KIND_CHECKPOINT) return 'checkpoint'
  if (kind === GenKind.CHECKPOINT_KIND_SAVEPOINT) return 'savepoint'
  throw corrupt(what, `its kind is ${kind}`)
}
