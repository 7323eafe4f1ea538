/** Fired rows without a table that fires, and a writer that keeps what it gets. */
import { hashBytes } from '../../src/core/hash.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import type { FiredRow } from '../../src/operator/result-sink.ts'
import type { RecordWriter } from '../../src/sink/sink.ts'
import { KeyedTable, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../../src/state/keyed-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { tablePlan } from '../operator/support.ts'

/** What a test says of a fired row. */
export interface Fired {
  /** The group key as text, or as bytes. */
  readonly key: string | Uint8Array
  readonly startMs: number
  readonly values: readonly number[]
  readonly endMs?: number
  readonly revision?: number
}

/** Rows as a table gives them out: one object, reused, over rows in the middle of pages. */
export function* firedRows(rows: readonly Fired[], change: Partial<FiredRow> = {}): Generator<FiredRow> {
  const columns = rows[0]?.values.length ?? 0
  const groups = new KeyedTable(new PagePool(), new Float64Array(columns), 0)
  groups.findOrInsert(1, 0, new TextEncoder().encode('another'), 0, 7)
  const accumulators = layOutAccumulators(
    tablePlan([], []),
    () => -1,
    () => -1,
  )
  const fired = { table: 0, watermarkMs: 0, lateCount: () => 0, groups, accumulators } as unknown as FiredRow
  for (const { key, startMs, endMs, values, revision } of rows) {
    const bytes = typeof key === 'string' ? new TextEncoder().encode(key) : key
    const row = groups.findOrInsert(hashBytes(bytes, 0, bytes.length), 0, bytes, 0, bytes.length)
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const at = (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64
    page.f64.set(values, at)
    yield Object.assign(fired, {
      startMs,
      endMs: endMs ?? startMs + 60_000,
      row,
      f64: page.f64,
      at,
      revision: revision ?? 1,
      ...change,
    })
  }
}

/** A writer whose flushes end when the test says so. */
export class RecordingWriter implements RecordWriter {
  readonly records: { key: Uint8Array | null; value: Uint8Array; timestampMs: number }[] = []
  bufferedBytes = 0
  readonly flushes: PromiseWithResolvers<void>[] = []
  closed = false

  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    this.records.push({ key: key?.slice() ?? null, value: value.slice(), timestampMs })
    this.bufferedBytes += (key?.length ?? 0) + value.length
  }

  flush(): Promise<void> {
    const written = this.bufferedBytes
    const flush = Promise.withResolvers<void>()
    this.flushes.push(flush)
    return flush.promise.then(() => {
      this.bufferedBytes -= written
    })
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
