/**
 * Epoch milliseconds as the Date objects that generated Protobuf code takes.
 *
 * The infinite watermarks become the ends of what a Timestamp can hold.
 */
import { TIME_MS_MAX } from '../core/limits.ts'

const LAST_TIMESTAMP_MS = 253_402_300_799_999
const FIRST_TIMESTAMP_MS = -62_135_596_800_000

/** `timestampMs` as a Date within what google.protobuf.Timestamp holds (years 1 to 9999). */
export function toDate(timestampMs: number): Date {
  const bounded = Math.min(Math.max(timestampMs, -TIME_MS_MAX, FIRST_TIMESTAMP_MS), LAST_TIMESTAMP_MS)
  return new Date(bounded)
}
