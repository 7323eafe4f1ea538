/**
 * Every key that Millrace has in Redis, built here and nowhere else.
 *
 *   {<prefix>:<job>}:record         hash: owner of the lease, last id, ids of the checkpoints that exist
 *   {<prefix>:<job>}:lease          string with time to live: the owner lives
 *   {<prefix>:<job>}:definition     string: as stored by swapJob
 *   {<prefix>:<job>}:manifest:<id>  string
 *   {<prefix>:<job>}:chunk:<name>   string
 *   <prefix>:jobs                   set of job names
 *   <prefix>:store-id               string
 *
 * The braces are a hash tag: in a cluster all keys of a job share a slot, as a script over several of them needs.
 */
import { MillraceError } from '../core/errors.ts'
import { checkJobName, splitChunkKey } from './chunk-key.ts'

/** Builds keys under one prefix. */
export class RedisKeys {
  readonly jobs: string
  readonly storeId: string
  readonly #prefix: string

  /** Throws CONFIG_INVALID for a prefix that would blur keys. */
  constructor(prefix: string) {
    if (!/^[A-Za-z0-9._:-]{1,64}$/.test(prefix)) {
      throw new MillraceError(
        'CONFIG_INVALID',
        `${JSON.stringify(prefix)} cannot be a Redis key prefix: use 1 to 64 letters, digits, ".", "_", ":" and "-"`,
      )
    }
    this.#prefix = prefix
    this.jobs = `${prefix}:jobs`
    this.storeId = `${prefix}:store-id`
  }

  record(job: string): string {
    return `${this.#tag(job)}:record`
  }

  lease(job: string): string {
    return `${this.#tag(job)}:lease`
  }

  definition(job: string): string {
    return `${this.#tag(job)}:definition`
  }

  manifest(job: string, checkpointId: number): string {
    return `${this.#tag(job)}:manifest:${checkpointId}`
  }

  /** Of a key as chunk-key.ts makes it. */
  chunk(chunkKey: string): string {
    const { job, name } = splitChunkKey(chunkKey)
    return `${this.#tag(job)}:chunk:${name}`
  }

  /** A SCAN pattern for all chunks of a job. Nothing in a prefix or a job's name is special in a pattern. */
  chunkPattern(job: string): string {
    return `${this.#tag(job)}:chunk:*`
  }

  /** The chunk key again from a key that matched `chunkPattern`. */
  chunkKeyOf(job: string, redisKey: string): string {
    return `${job}/${redisKey.slice(this.#tag(job).length + ':chunk:'.length)}`
  }

  #tag(job: string): string {
    checkJobName(job)
    return `{${this.#prefix}:${job}}`
  }
}
