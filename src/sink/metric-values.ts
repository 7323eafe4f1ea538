/**
 * Results as Protobuf `MetricValue` records on a topic.
 *
 * Owns: one record a metric and fired row, keyed so that the newest value of a (metric, window, group) wins under
 * compaction, and the bound on what is buffered. Does not own: the writer behind it.
 */
import { MetricValue, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { JobPlan } from '../job/plan.ts'
import { dimensionTexts } from '../operator/group-key.ts'
import type { FiredRow, ResultSink } from '../operator/result-sink.ts'
import { toDate } from './dates.ts'
import type { RecordWriter } from './sink.ts'

/** Buffered bytes at which a flush starts, and from which on the sink is full. */
const FLUSH_BYTES = 256 * 1024
const FULL_BYTES = 4 * 1024 * 1024

/** What of an accumulator row a metric's value is; see JobPlan. */
export type ReadValue = (f64: Float64Array, at: number) => number

/** Writes results to a topic, at least once. */
export class MetricValueSink implements ResultSink {
  readonly #plan: JobPlan
  readonly #attempt: number
  readonly #writer: RecordWriter
  readonly #readers: readonly ReadValue[]
  readonly #wake: () => void
  readonly #encoder = new TextEncoder()
  #flushing: Promise<void> | null = null
  #failure: unknown = null

  /** `readers` by metric; `wake` is called when the sink can take more again. */
  constructor(plan: JobPlan, attempt: number, writer: RecordWriter, readers: readonly ReadValue[], wake: () => void) {
    this.#plan = plan
    this.#attempt = attempt
    this.#writer = writer
    this.#readers = readers
    this.#wake = wake
  }

  get full(): boolean {
    if (this.#failure !== null) throw this.#failure
    return this.#writer.bufferedBytes >= FULL_BYTES
  }

  accept(row: FiredRow): void {
    const table = this.#plan.tables[row.table]!
    const texts = dimensionTexts(row.groups.keyOf(row.row), table.dimensions.length)
    const dimensions = texts.map((value, i) => ({ name: table.dimensionNames[i]!, value }))
    for (let i = 0; i < this.#plan.metrics.length; i++) {
      const metric = this.#plan.metrics[i]!
      const events = row.f64[row.at + metric.events]!
      if (metric.table !== row.table || events === 0) continue
      const value = this.#readers[i]!(row.f64, row.at)
      const message = MetricValue.encode({
        job: this.#plan.jobName,
        metric: metric.id,
        dimensions,
        windowStart: toDate(row.startMs),
        windowEnd: toDate(row.endMs),
        value: metric.integer ? { $case: 'intValue', value } : { $case: 'doubleValue', value },
        status: row.revision > 1 ? ValueStatus.VALUE_STATUS_CORRECTED : ValueStatus.VALUE_STATUS_FINAL,
        revision: row.revision,
        watermark: toDate(row.watermarkMs),
        lateCount: row.lateCount(metric.events),
        eventCount: events,
        attempt: this.#attempt,
      }).finish()
      const key = this.#encoder.encode(JSON.stringify([metric.id, row.startMs, ...texts]))
      this.#writer.write(key, message, row.endMs - 1)
    }
    if (this.#writer.bufferedBytes >= FLUSH_BYTES) this.#flushSoon()
  }

  async flush(): Promise<void> {
    if (this.#flushing !== null) await this.#flushing
    if (this.#failure !== null) throw this.#failure
    await this.#writer.flush()
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #flushSoon(): void {
    if (this.#flushing !== null) return
    this.#flushing = this.#writer
      .flush()
      .catch((error: unknown) => {
        this.#failure = error
      })
      .finally(() => {
        this.#flushing = null
        this.#wake()
      })
  }
}
