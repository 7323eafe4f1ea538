/**
 * Times and watermarks on the wire: google.protobuf.Timestamp, as ts-proto's Date, to and from epoch milliseconds.
 *
 * A watermark before the first event (-Infinity) is absent; after the end of a bounded input (Infinity) it is the last
 * millisecond that a Timestamp can hold.
 */
import { dateOf } from '../core/instant.ts'

const lastInstantMs = 253_402_300_799_999
const firstInstantMs = -62_135_596_800_000

/** A time for the wire; absent for -Infinity and NaN, the last instant for anything beyond it. */
export function toTimestamp(ms: number): Date | undefined {
  if (!(ms >= firstInstantMs)) return undefined
  return dateOf(Math.min(ms, lastInstantMs))
}

/** A time from the wire; `absent` where there is none, Infinity for the last instant. */
export function fromTimestamp(time: Date | undefined, absent = Number.NEGATIVE_INFINITY): number {
  if (time === undefined) return absent
  const ms = time.getTime()
  return ms >= lastInstantMs ? Number.POSITIVE_INFINITY : ms
}
