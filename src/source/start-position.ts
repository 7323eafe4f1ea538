/**
 * Start positions to offsets, for enumerators that can look a timestamp up at once.
 */
import { assertNever, MillraceError } from '../core/errors.ts'
import type { PartitionInfo, StartPosition } from './source.ts'

/**
 * The offset at which each partition starts, in their order. `offsetAt` finds the first record at or after a time, or
 * the end. Throws CONFIG_INVALID for an offset that is not a whole number from 0 on.
 */
export function resolveStart(
  start: StartPosition,
  partitions: readonly PartitionInfo[],
  offsetAt: (info: PartitionInfo, timestampMs: number) => number,
): number[] {
  return partitions.map((info) => {
    switch (start.kind) {
      case 'earliest':
        return info.earliest
      case 'latest':
        return info.end
      case 'timestamp':
        return offsetAt(info, start.timestampMs)
      case 'offsets': {
        const offset = start.offsets[info.partition]
        if (offset === undefined) return start.otherwise === 'earliest' ? info.earliest : info.end
        if (Number.isSafeInteger(offset) && offset >= 0) return offset
        throw new MillraceError(
          'CONFIG_INVALID',
          `start offset ${offset} of partition ${info.partition} is not a whole number from 0 on`,
        )
      }
      default:
        return assertNever(start)
    }
  })
}
