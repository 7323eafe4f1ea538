/**
 * The manifest of a checkpoint: what it says, and its stored form.
 *
 * Owns: the domain type, its mapping to `millrace.v1.CheckpointManifest`, the versioned and checksummed envelope, and the
 * checks that make a decoded manifest safe to use. Does not own: how one is put together (manifest-merge.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import {
  CheckpointFile,
  CheckpointKind as GenKind,
  CheckpointManifest as GenManifest,
  type CheckpointPages as GenPages,
} from '../gen/millrace/v1/checkpoint.ts'
import { type ChunkRef, noPages, type PageList, type SplitSnapshot, type SubtaskSnapshot } from './snapshot.ts'

/** Version of the stored form that this build writes; it reads this one and all before. */
export const MANIFEST_FORMAT_VERSION = 1

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
}

/** Every chunk that a manifest refers to, once each. */
export function chunksOf(manifest: CheckpointManifest): readonly ChunkRef[] {
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
  for (const s of manifest.subtasks) {
    const global = s.pages.chunks.map((ref) => {
      let index = indexes.get(ref.key)
      if (index === undefined) {
        index = chunks.push(ref) - 1
        indexes.set(ref.key, index)
      }
      return index
    })
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
  }).finish()
  return CheckpointFile.encode({
    formatVersion: MANIFEST_FORMAT_VERSION,
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
  }
}

function kindFromGen(kind: GenKind, what: string): CheckpointKind {
  if (kind === GenKind.CHECKPOINT_KIND_CHECKPOINT) return 'checkpoint'
  if (kind === GenKind.CHECKPOINT_KIND_SAVEPOINT) return 'savepoint'
  throw corrupt(what, `its kind is ${kind}`)
}

function pagesToGen(pages: PageList, globalChunks: readonly number[]): GenPages {
  return {
    tableIndex: Array.from(pages.tableIndex),
    keyGroup: Array.from(pages.keyGroup),
    pageNumber: Array.from(pages.pageNumber),
    rowCount: Array.from(pages.rowCount),
    chunkIndex: Array.from(pages.chunkIndex, (local) => globalChunks[local]!),
    offset: Array.from(pages.offset),
    length: Array.from(pages.length),
    crc32c: Array.from(pages.crc32c),
  }
}

function pagesFromGen(
  gen: GenPages | undefined,
  tables: readonly string[],
  manifestChunks: readonly ChunkRef[],
  what: string,
): PageList {
  if (gen === undefined || gen.tableIndex.length === 0) return noPages
  const count = gen.tableIndex.length
  for (const column of [
    gen.keyGroup,
    gen.pageNumber,
    gen.rowCount,
    gen.chunkIndex,
    gen.offset,
    gen.length,
    gen.crc32c,
  ]) {
    if (column.length !== count) throw corrupt(what, 'its page columns differ in length')
  }
  const chunks: ChunkRef[] = []
  const local = new Map<number, number>()
  const chunkIndex = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    const table = gen.tableIndex[i]!
    const global = gen.chunkIndex[i]!
    const chunk = manifestChunks[global]
    if (table >= tables.length || chunk === undefined) throw corrupt(what, `page ${i} refers to nothing`)
    if (gen.offset[i]! + gen.length[i]! > chunk.sizeBytes) throw corrupt(what, `page ${i} ends outside its chunk`)
    let index = local.get(global)
    if (index === undefined) {
      index = chunks.push({ key: chunk.key, sizeBytes: chunk.sizeBytes }) - 1
      local.set(global, index)
    }
    chunkIndex[i] = index
  }
  return {
    tables,
    chunks,
    tableIndex: Uint32Array.from(gen.tableIndex),
    keyGroup: Int32Array.from(gen.keyGroup),
    pageNumber: Uint32Array.from(gen.pageNumber),
    rowCount: Uint32Array.from(gen.rowCount),
    chunkIndex,
    offset: Uint32Array.from(gen.offset),
    length: Uint32Array.from(gen.length),
    crc32c: Uint32Array.from(gen.crc32c),
  }
}

function corrupt(what: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', `${what} cannot be used: ${why}. Restore an older one`, { cause })
}
