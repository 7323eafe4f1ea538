/**
 * What is said when records that a reader has not read are gone. The words are the same for every source that knows
 * where its log begins and ends.
 */
import { MillraceError } from '../core/errors.ts'

/** POSITION_LOST: retention or a deletion has taken what is below `earliest`. */
export function positionLost(topic: string, partition: number, position: number, earliest: number): MillraceError {
  return new MillraceError(
    'POSITION_LOST',
    `${topic}-${partition}: ${earliest - position} records from offset ${position} on are gone, the log now begins at ` +
      `${earliest}; restore them, or start the job from 'earliest' without its checkpoint`,
  )
}

/** POSITION_LOST: the log ends before the position, as one does that lost its tail in a crash. */
export function positionBeyondEnd(topic: string, partition: number, position: number, end: number): MillraceError {
  return new MillraceError(
    'POSITION_LOST',
    `${topic}-${partition}: ${position - end} records before offset ${position} are gone, the log now ends at ${end}; ` +
      'restore them, or start the job without its checkpoint',
  )
}
