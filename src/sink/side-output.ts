/**
 * Dead letters and late events on their way out of a subtask.
 *
 * Owns: encoding them with their origin. Does not own: counting (the subtask does that whether or not an output is
 * set), or the writer behind (sink/).
 */
import type { DeadLetterReason } from '../event/schema.ts'
import { DeadLetter, LateEvent } from '../gen/millrace/v1/metric.ts'
import { toDate } from './dates.ts'
import type { RecordWriter } from './sink.ts'

const noBytes = Buffer.alloc(0)

/**
 * Most bytes of a key or value in a dead letter. A compressed topic may hold records far beyond what an output topic takes
 * (1 MB by default); one that could not be written would stop the job for ever.
 */
export const DEAD_LETTER_BYTES_MAX = 256 * 1024

function bufferOf(bytes: Uint8Array, start: number, end: number): Buffer {
  return start < 0 ? noBytes : Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
}

/** Where in the input something came from. */
export interface Origin {
  readonly job: string
  readonly topic: string
  partition: number
  offset: number
}

/** Writes one dead letter. Key and value are ranges of `bytes`, -1 for null. */
export function writeDeadLetter(
  writer: RecordWriter,
  origin: Origin,
  reason: DeadLetterReason,
  bytes: Uint8Array,
  keyStart: number,
  keyEnd: number,
  valueStart: number,
  valueEnd: number,
  recordTimestampMs: number,
): void {
  const key = bufferOf(bytes, keyStart, Math.min(keyEnd, keyStart + DEAD_LETTER_BYTES_MAX))
  const value = bufferOf(bytes, valueStart, Math.min(valueEnd, valueStart + DEAD_LETTER_BYTES_MAX))
  const letter = DeadLetter.encode({
    ...origin,
    reason,
    detail: '',
    key,
    value,
    recordTime: toDate(recordTimestampMs),
    keyBytes: keyStart < 0 ? 0 : keyEnd - keyStart,
    valueBytes: valueStart < 0 ? 0 : valueEnd - valueStart,
  }).finish()
  writer.write(key.length > 0 ? key : null, letter, recordTimestampMs)
}

/** Writes one late event: its origin, key and times; its bytes are still in the input topic. */
export function writeLateEvent(
  writer: RecordWriter,
  origin: Origin,
  key: Uint8Array,
  eventTimeMs: number,
  watermarkMs: number,
  metrics: readonly string[],
): void {
  const bytes = Buffer.from(key)
  const event = LateEvent.encode({
    ...origin,
    eventTime: toDate(eventTimeMs),
    watermark: toDate(watermarkMs),
    key: bytes,
    value: noBytes,
    metrics: [...metrics],
  }).finish()
  writer.write(bytes, event, eventTimeMs)
}
