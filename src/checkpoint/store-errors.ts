/** What all checkpoint stores share: their errors, worded once, the ids that they draw, what sameness of bytes is. */
import type { Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'

/**
 * STORE_FENCED: the lease that a call was made under is not the owner's. `current` is the owner's generation if any. One
 * below the caller's is no owner that came later: generations rise, so the store has gone back, which is STORE_LOST.
 */
export function fencedError(job: string, generation: number, current: number | undefined): MillraceError {
  if (current !== undefined && current < generation) {
    return new MillraceError(
      'STORE_LOST',
      `the checkpoint store has lost its newest data: job ${job} is owned under generation ${generation}, and it knows of ` +
        `${current} only. Make it durable, then write a full checkpoint under a new lease`,
    )
  }
  const who =
    current === undefined
      ? 'nobody owns it now'
      : current === generation
        ? 'another process has that generation'
        : `generation ${current} does`
  return new MillraceError(
    'STORE_FENCED',
    `generation ${generation} no longer owns job ${job}: ${who}. Its late writes have no effect; stop it`,
  )
}

/** STORE_LOST: the store under a live owner is another, empty one. */
export function storeLostError(job: string, location: string): MillraceError {
  return new MillraceError(
    'STORE_LOST',
    `the checkpoint store (${location}) has lost its data: it does not know job ${job} and has a new store id. ` +
      'Make it persistent, then write a full checkpoint under a new lease',
  )
}

/** STORE_LOST: the store under a live owner has gone back to an earlier state. */
export function storeWentBackError(job: string, location: string, last: number, publishedId: number): MillraceError {
  return new MillraceError(
    'STORE_LOST',
    `the checkpoint store (${location}) has lost its newest data: checkpoint ${publishedId} of job ${job} was published, and ` +
      `it knows of ${last} only. Make it durable, then write a full checkpoint under a new lease`,
  )
}

/** CHECKPOINT_FAILED: an id that has been published before. */
export function staleIdError(job: string, checkpointId: number, last: number): MillraceError {
  return new MillraceError(
    'CHECKPOINT_FAILED',
    `checkpoint ${checkpointId} of job ${job} cannot be published: ids rise, and ${last} has been published`,
    { domain: 'internal', retry: 'never' },
  )
}

/** A fresh id of 128 random bits, as 32 hex digits: for nonces and store ids. */
export function randomId(random: Random): string {
  let id = ''
  for (let i = 0; i < 4; i++) id += random.nextUint32().toString(16).padStart(8, '0')
  return id
}

/** STORE_UNREACHABLE: a call after `close`. */
export function closedError(location: string): MillraceError {
  return new MillraceError('STORE_UNREACHABLE', `the checkpoint store (${location}) has been closed`)
}

/** Whether two entries of a store are the same; undefined stands for none. */
export function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
