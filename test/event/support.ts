/** Building and reading record batches in tests. */
import fc from 'fast-check'
import { Decompressor } from '../../src/event/compression.ts'
import { RecordBatchCursor } from '../../src/event/record-batch.ts'
import { type RecordBatchOptions, RecordBatchWriter, type RecordHeader } from '../../src/event/record-batch-writer.ts'
import { RecordCursor, type RecordSection } from '../../src/event/records.ts'

export interface TestRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly timestampMs: number
  readonly headers?: readonly RecordHeader[]
}

/** A record as read, in values that compare and print well: key and value in hex. */
export interface ReadRecord {
  offset: number
  timestampMs: number
  key: string | null
  value: string | null
}

const blobs = fc.oneof(
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 5, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.nat(400).map((n) => new Uint8Array(n).fill(n)) },
)

/** One to twelve records: null, empty and long keys and values, headers, times in any order. */
export const recordSets: fc.Arbitrary<(TestRecord & { headers: readonly RecordHeader[] })[]> = fc.array(
  fc.record({
    key: blobs,
    value: blobs,
    timestampMs: fc.oneof(
      fc.integer({ min: 0, max: 4_000_000_000_000 }),
      fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_500 }),
    ),
    headers: fc.array(fc.tuple(fc.string({ maxLength: 5 }), blobs), { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 12 },
)

/** One batch in a buffer of its own. */
export function batchOf(baseOffset: number, records: readonly TestRecord[], options?: RecordBatchOptions): Uint8Array {
  const writer = new RecordBatchWriter()
  for (const r of records) writer.append(r.key, r.value, r.timestampMs, undefined, r.headers ?? [])
  return writer.finish(baseOffset, options).slice()
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts))
}

/** A cursor on partition 2 of topic `events`. */
export function cursorOn(bytes: Uint8Array): RecordBatchCursor {
  const batch = new RecordBatchCursor()
  batch.reset(bytes, 0, bytes.length, 'events', 2)
  return batch
}

/** The records section of each whole batch, decompressed, asking for all records. */
export function sections(bytes: Uint8Array): RecordSection[] {
  const batch = cursorOn(bytes)
  const decompressor = new Decompressor()
  const found: RecordSection[] = []
  while (batch.next()) {
    decompressor.run(batch.codec, bytes, batch.recordsStart, batch.recordsEnd, 'events', 2, batch.baseOffset)
    found.push({
      partition: 2,
      bytes: decompressor.bytes.slice(decompressor.start, decompressor.end),
      start: 0,
      end: decompressor.end - decompressor.start,
      count: batch.count,
      baseOffset: batch.baseOffset,
      baseTimestampMs: batch.logAppendTime ? batch.maxTimestampMs : batch.baseTimestampMs,
      logAppendTime: batch.logAppendTime,
      firstOffset: batch.baseOffset,
      nextOffset: batch.nextOffset,
    })
  }
  return found
}

/** Every record of a section, or of a chunk of a reader. */
export function readAll(section: RecordSection): ReadRecord[] {
  const cursor = new RecordCursor('events')
  cursor.reset(section)
  const records: ReadRecord[] = []
  const hex = (start: number, end: number) =>
    start < 0 ? null : Buffer.from(cursor.bytes.subarray(start, end)).toString('hex')
  while (cursor.next()) {
    records.push({
      offset: cursor.offset,
      timestampMs: cursor.timestampMs,
      key: hex(cursor.keyStart, cursor.keyEnd),
      value: hex(cursor.valueStart, cursor.valueEnd),
    })
  }
  return records
}
