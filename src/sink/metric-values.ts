/**
 * Results as Protobuf `MetricValue` records on a topic.
 *
 * Owns: one record a metric and fired row, keyed so that the newest value of a (metric, window, group) wins under
 * compaction. Does not own: the writer behind it.
 */
import { MetricValue, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { TriggerDefinition } from '../job/definition.ts'
import type { JobPlan, TablePlan } from '../job/plan.ts'
import { dimensionTexts } from '../operator/group-key.ts'
import { readDetail, readMetric } from '../operator/read-metric.ts'
import type { FiredRow, ResultSink } from '../operator/result-sink.ts'
import { toDate } from './dates.ts'
import type { SubtaskWriter } from './sink.ts'

/** Writes results to a topic, at least once. */
export class MetricValueSink implements ResultSink {
  readonly #plan: JobPlan
  readonly #attempt: number
  readonly #writer: SubtaskWriter
  readonly #encoder = new TextEncoder()

  constructor(plan: JobPlan, attempt: number, writer: SubtaskWriter) {
    this.#plan = plan
    this.#attempt = attempt
    this.#writer = writer
  }

  get full(): boolean {
    return this.#writer.full
  }

  accept(row: FiredRow): void {
    const table = this.#plan.tables[row.table]!
    const texts = dimensionTexts(row.groups.keyOf(row.row), table.dimensions.length)
    const dimensions = texts.map((value, i) => ({ name: table.dimensionNames[i]!, value }))
    for (let i = 0; i < this.#plan.metrics.length; i++) {
      const metric = this.#plan.metrics[i]!
      const events = row.f64[row.at + metric.events]!
      if (metric.table !== row.table || events === 0) continue
      // What is withdrawn is a correction to nothing: no events are behind it.
      const value = row.retracted ? 0 : readMetric(metric, row.accumulators, row.f64, row.at)
      const detail = row.retracted ? null : readDetail(metric, row.accumulators, row.f64, row.at)
      const message = MetricValue.encode({
        job: this.#plan.jobName,
        metric: metric.id,
        dimensions,
        windowStart: toDate(row.startMs),
        windowEnd: toDate(row.endMs),
        value: Number.isNaN(value)
          ? undefined
          : metric.integer
            ? { $case: 'intValue', value }
            : { $case: 'doubleValue', value },
        status: statusOf(row.revision, table.trigger),
        revision: row.revision,
        watermark: toDate(row.watermarkMs),
        lateCount: row.lateCount(metric.events),
        eventCount: row.retracted ? 0 : events,
        attempt: this.#attempt,
        items: detail?.items.map((item) => ({ ...item })) ?? [],
        ...(detail?.text == null ? {} : { text: detail.text }),
      }).finish()
      const key = this.#encoder.encode(JSON.stringify([metric.id, ...windowParts(row, table), ...texts]))
      this.#writer.write(key, message, timestampOf(row, table))
    }
  }

  flush(): Promise<void> {
    return this.#writer.flush()
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }
}

/** What tells the windows of a group apart. */
function windowParts({ startMs, endMs, revision }: FiredRow, { window, trigger }: TablePlan): readonly number[] {
  // Cumulating windows share their start; counted ones have nothing but their number.
  if (window.kind === 'cumulate') return [startMs, endMs]
  return trigger?.purge === true ? [startMs, revision] : [startMs]
}

/** A record is as old as its window; the global one never is, and brokers refuse what lies far in the future. */
function timestampOf({ endMs, watermarkMs }: FiredRow, { window }: TablePlan): number {
  if (window.kind !== 'global') return endMs - 1
  return Number.isFinite(watermarkMs) ? Math.max(0, watermarkMs) : 0
}

function statusOf(revision: number, trigger: TriggerDefinition | null): ValueStatus {
  // What was purged stays as it is; what was not goes on.
  if (trigger !== null) return trigger.purge ? ValueStatus.VALUE_STATUS_FINAL : ValueStatus.VALUE_STATUS_PROVISIONAL
  if (revision === 0) return ValueStatus.VALUE_STATUS_PROVISIONAL
  return revision > 1 ? ValueStatus.VALUE_STATUS_CORRECTED : ValueStatus.VALUE_STATUS_FINAL
}
