/** Reading through a SourceReader in tests: records as rows that compare and print well. */
import { RecordCursor } from '../../../src/event/records.ts'
import type { RecordChunk, SourceReader } from '../../../src/source/source.ts'

const decoder = new TextDecoder()

/** A record as read. */
export interface Row {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: string | null
}

const cursor = new RecordCursor('test')

/** The records of a chunk that somebody asked for; checks that the chunk keeps its own promises. */
export function rowsOf(chunk: RecordChunk): Row[] {
  const rows: Row[] = []
  if (chunk.nextOffset < chunk.firstOffset) throw new Error(`a chunk from ${chunk.firstOffset} to ${chunk.nextOffset}`)
  cursor.reset(chunk)
  while (cursor.next()) {
    const { keyStart, keyEnd, valueStart, valueEnd, bytes } = cursor
    rows.push({
      partition: chunk.partition,
      offset: cursor.offset,
      timestampMs: cursor.timestampMs,
      key: keyStart < 0 ? null : decoder.decode(bytes.subarray(keyStart, keyEnd)),
      value: valueStart < 0 ? null : decoder.decode(bytes.subarray(valueStart, valueEnd)),
    })
  }
  return rows
}

/** Everything that can be polled now, as rows. */
export function pollAll(reader: SourceReader): Row[] {
  const rows: Row[] = []
  for (let chunk = reader.poll(); chunk !== undefined; chunk = reader.poll()) rows.push(...rowsOf(chunk))
  return rows
}
