/** Reading sections with a kernel and without, for comparing. */
import type { Kernel } from '../../src/event/kernel.ts'
import { Projection } from '../../src/event/projection.ts'
import { RecordCursor, type RecordSection } from '../../src/event/records.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema } from '../../src/event/schema.ts'
import { batchOf, sections } from './support.ts'

/** Later events are refused. */
export const LATEST_MS = 1_800_000_000_000

/** What became of a section's records: each batch's rows as plain data, the reasons, what was thrown. */
export interface Outcome {
  readonly batches: unknown[]
  readonly reasons: number[]
  error: string | undefined
}

/** Reads sections as a source does, by a kernel or without one; `byKernel` counts its rows. */
export function read(
  schema: EventSchema,
  all: readonly RecordSection[],
  kernel: Kernel | null,
  seen = { byKernel: 0 },
): Outcome {
  const projection = new Projection(schema)
  const batch = new ScanBatch(schema.columns, kernel?.place)
  const cursor = new RecordCursor('events')
  const outcome: Outcome = { batches: [], reasons: [], error: undefined }
  const flush = (): void => {
    outcome.batches.push(plain(batch))
    batch.reset()
  }
  try {
    for (const section of all) {
      cursor.reset(section)
      for (;;) {
        if (batch.rows === batch.capacity) flush()
        if (kernel !== null) {
          seen.byKernel += kernel.run(cursor, batch, LATEST_MS)
          if (batch.rows === batch.capacity) continue
        }
        if (!cursor.next()) break
        const row = batch.rows
        let reason = 99
        if (cursor.valueStart >= 0) reason = projection.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, batch)
        if (reason === 0 && batch.timeMs[row]! > LATEST_MS) {
          batch.undoLast()
          reason = 98
        }
        if (reason === 0) batch.offset[row] = cursor.offset
        else outcome.reasons.push(reason)
      }
    }
  } catch (error) {
    outcome.error = String(error)
  }
  flush()
  return outcome
}

function plain(batch: ScanBatch): unknown {
  const rows = batch.rows
  const keys = Array.from({ length: rows }, (_, i) => batch.keyText(i))
  // What is behind a key up to the next one is compared too: it must be zeros.
  const end = rows === 0 ? 0 : Math.max(batch.keyStart[rows - 1]! + 12, (batch.keyEnd[rows - 1]! + 3) & ~3)
  return {
    keys,
    keyBytes: Buffer.from(batch.keyBytes.subarray(0, end)).toString('hex'),
    columns: [
      batch.timeMs,
      batch.keyHash,
      batch.keyStart,
      batch.keyEnd,
      batch.offset,
      ...batch.numbers,
      ...batch.texts,
    ].map((each) => [...each.subarray(0, rows)]),
    dictionaries: batch.dictionaries.map((d) => Array.from({ length: d.count }, (_, id) => d.text(id))),
  }
}

/** A section of values, their keys and offsets drawn too. */
export function sectionOf(values: readonly (Uint8Array | null)[], at = 0): RecordSection {
  const records = values.map((value, i) => ({
    key: i % 3 === 0 ? null : Buffer.from(`key-${i}`),
    value,
    timestampMs: 1_700_000_000_000 + ((i * 7919) % 5000),
  }))
  return sections(batchOf(at, records))[0]!
}
