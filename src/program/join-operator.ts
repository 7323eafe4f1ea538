/**
 * The interval join: pairs of records of one key whose times are within bounds of each other.
 *
 * A pair (left, right) matches when left + lower <= right <= left + upper. Each record waits until the watermark says
 * that no partner can come any more. A record at or behind the watermark is late: it is counted and joins nothing.
 */
import { MillraceError } from '../core/errors.ts'
import { parseDuration } from '../job/duration.ts'
import { refuseAsync } from './code-failure.ts'
import type { Entry } from './keyed-store.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'
import type { Duration } from './windows.ts'

/** An interval join. Bounds may be negative. */
export interface IntervalJoin<L, R, Out> {
  /** Names the operator in checkpoints. */
  readonly id: string
  /** Earliest right record for a left one, as `-5m`. */
  readonly lower: Duration
  /** Latest right record for a left one. */
  readonly upper: Duration
  /** What a pair gives; undefined for nothing. Its timestamp is the later of the two. */
  join(left: L, right: R): Out | undefined
}

interface Waiting {
  readonly t: number
  readonly v: unknown
}

const LEFT = 0
const RIGHT = 1

/** The bounds of a join, ms. JOB_INVALID for bounds that are none. */
export function boundsOf({ id, lower, upper }: Pick<IntervalJoin<never, never, unknown>, 'id' | 'lower' | 'upper'>): {
  readonly lowerMs: number
  readonly upperMs: number
} {
  const bounds = { lowerMs: boundMs(lower, id), upperMs: boundMs(upper, id) }
  if (bounds.lowerMs <= bounds.upperMs) return bounds
  throw new MillraceError('JOB_INVALID', `the bounds of ${id} are the wrong way round: lower is above upper`)
}

/** Runs an interval join in one subtask. */
export function openIntervalJoin(
  join: IntervalJoin<unknown, unknown, unknown>,
  runtime: OperatorRuntime,
): KeyedOperator {
  const { lowerMs, upperMs } = boundsOf(join)
  // The watermark at which a record of either side has no partner to wait for.
  const doneMs = (side: number, t: number): number =>
    side === LEFT ? t + Math.max(0, upperMs) : t + Math.max(0, -lowerMs)
  const waitingOf = (entry: Entry, side: number): Waiting[] => (entry.slots[side] as Waiting[] | undefined) ?? []
  return {
    onRecord(side, value, timestampMs, entry) {
      if (timestampMs <= runtime.watermarkMs) {
        runtime.countLate()
        return
      }
      for (const { t, v } of waitingOf(entry!, side === LEFT ? RIGHT : LEFT)) {
        const distance = side === LEFT ? t - timestampMs : timestampMs - t
        if (distance < lowerMs || distance > upperMs) continue
        const out = side === LEFT ? join.join(value, v) : join.join(v, value)
        refuseAsync(out, join.id, 'join')
        if (out !== undefined) runtime.emit(out, Math.max(t, timestampMs))
      }
      const waiting = waitingOf(entry!, side)
      waiting.push({ t: timestampMs, v: value })
      entry!.slots[side] = waiting
      runtime.touch(entry!)
      runtime.addTimer(entry!, 'event', doneMs(side, timestampMs))
    },
    onTimer(entry, _domain, timeMs) {
      for (const side of [LEFT, RIGHT]) {
        const left = waitingOf(entry, side).filter(({ t }) => doneMs(side, t) > timeMs)
        entry.slots[side] = left.length === 0 ? undefined : left
      }
      runtime.touch(entry)
    },
  }
}

function boundMs(bound: Duration, id: string): number {
  const ms = typeof bound === 'number' ? bound : parseDuration(bound)
  if (Number.isSafeInteger(ms)) return ms
  throw new MillraceError('JOB_INVALID', `a bound of ${id} is ${JSON.stringify(bound)}: write a time, as '-5m'`)
}
