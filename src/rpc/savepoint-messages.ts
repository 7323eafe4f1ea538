/** Savepoints, and what jobs begin from: domain types (control/api.ts) to wire messages and back. Pure. */
import type { JobStartDocument, SavepointInfo, StopOptions } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import * as wire from '../gen/millrace/v1/control.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

/** A savepoint for the wire. */
export function toSavepoint({ createdAtMs, ...savepoint }: SavepointInfo): wire.Savepoint {
  return { ...savepoint, createTime: Number.isFinite(createdAtMs) ? toTimestamp(createdAtMs) : undefined }
}

/** A savepoint from the wire. */
export function fromSavepoint({ createTime, ...savepoint }: wire.Savepoint): SavepointInfo {
  return { ...savepoint, createdAtMs: fromTimestamp(createTime, Number.NEGATIVE_INFINITY) }
}

/** What a submission begins from; null to begin anew, or to go on with all there is. INPUT_INVALID. */
export function toJobStart(start: wire.StartFromSavepoint | undefined): JobStartDocument | null {
  if (start === undefined) return null
  const claim = start.claimMode === wire.ClaimMode.CLAIM_MODE_CLAIM
  if (claim && start.savepoint === '')
    throw new MillraceError('INPUT_INVALID', 'start_from claims, and names no savepoint')
  return { savepoint: start.savepoint, claim, dropState: start.dropState }
}

/** The same for the wire. */
export function fromJobStart(start: JobStartDocument | null): wire.StartFromSavepoint | undefined {
  if (start === null) return undefined
  const { savepoint, claim, dropState } = start
  const claimMode = claim ? wire.ClaimMode.CLAIM_MODE_CLAIM : wire.ClaimMode.CLAIM_MODE_NO_CLAIM
  return { savepoint, claimMode, dropState: [...dropState] }
}

/** How a job is to stop. INPUT_INVALID for a name without a savepoint. */
export function toStopOptions({ savepoint, savepointName, drain }: wire.StopJobRequest): StopOptions {
  if (!savepoint && savepointName !== '') {
    throw new MillraceError('INPUT_INVALID', 'savepoint_name is set and savepoint is not: set both, or none')
  }
  return { savepoint: savepoint ? savepointName : null, drain }
}
