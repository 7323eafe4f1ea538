/**
 * Names of chunks: the one builder, and the parser that clean-up needs.
 *
 *   <job>/<generation>-<attempt>-<nonce>.<operator>.<subtask>.<sequence>
 *
 * Generation, attempt and nonce make the chunks of a fenced owner, or of a dead attempt, different from everybody
 * else's: it may go on writing, and nobody will ever read them.
 */
import { MillraceError } from '../core/errors.ts'

const jobPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/
const namePattern = /^[A-Za-z0-9_-]{1,64}$/
const keyPattern =
  /^([A-Za-z0-9_-][A-Za-z0-9._-]{0,127})\/(\d{1,15})-(\d{1,15})-([A-Za-z0-9_]{1,64})\.([A-Za-z0-9_-]{1,64})\.(\d{1,9})\.(\d{1,15})$/

/** The parts of a chunk's name. */
export interface ChunkKeyParts {
  readonly job: string
  readonly generation: number
  readonly attempt: number
  readonly nonce: string
  readonly operatorId: string
  readonly subtask: number
  readonly sequence: number
}

/** Throws CONFIG_INVALID unless `job` can name a job in a store. */
export function checkJobName(job: string): void {
  if (jobPattern.test(job)) return
  throw new MillraceError(
    'CONFIG_INVALID',
    `${JSON.stringify(job)} cannot name a job in a checkpoint store: use letters, digits, ".", "_" and "-"`,
  )
}

/** What all chunk keys of one attempt begin with: the coordinator makes it, threads get it with their deployment. */
export function chunkKeyPrefix(job: string, generation: number, attempt: number, nonce: string): string {
  checkJobName(job)
  if (!/^[A-Za-z0-9_]{1,64}$/.test(nonce)) {
    throw new MillraceError('INTERNAL', `a nonce is letters, digits and "_": ${JSON.stringify(nonce)}`)
  }
  return `${job}/${generation}-${attempt}-${nonce}`
}

/** The key of chunk number `sequence` of a subtask of the attempt that `prefix` names. */
export function chunkKey(prefix: string, operatorId: string, subtask: number, sequence: number): string {
  if (!namePattern.test(operatorId)) {
    throw new MillraceError(
      'CONFIG_INVALID',
      `${JSON.stringify(operatorId)} cannot be an operator id: use 1 to 64 letters, digits, "_" and "-"`,
    )
  }
  return `${prefix}.${operatorId}.${subtask}.${sequence}`
}

/** Gives the chunks of one subtask of an attempt their keys, each once. */
export class ChunkNames {
  readonly #keyOf: (sequence: number) => string
  #sequence = 0

  /** `prefix` is that of the attempt (`chunkKeyPrefix`). */
  constructor(prefix: string, operatorId: string, subtask: number) {
    this.#keyOf = (sequence) => chunkKey(prefix, operatorId, subtask, sequence)
  }

  /** A key that was not given before. */
  next(): string {
    return this.#keyOf(++this.#sequence)
  }
}

/** The parts of a key; undefined for what is not a chunk key. */
export function parseChunkKey(key: string): ChunkKeyParts | undefined {
  const match = keyPattern.exec(key)
  if (match === null) return undefined
  return {
    job: match[1]!,
    generation: Number(match[2]),
    attempt: Number(match[3]),
    nonce: match[4]!,
    operatorId: match[5]!,
    subtask: Number(match[6]),
    sequence: Number(match[7]),
  }
}

/** A chunk key as its job and the rest. Throws INTERNAL for what is not one: stores build paths and keys of it. */
export function splitChunkKey(key: string): { readonly job: string; readonly name: string } {
  const parts = parseChunkKey(key)
  if (parts === undefined) throw new MillraceError('INTERNAL', `not a chunk key: ${JSON.stringify(key)}`)
  return { job: parts.job, name: key.slice(parts.job.length + 1) }
}
