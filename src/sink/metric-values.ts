/**
 * Results as records: a Protobuf `MetricValue`, or its JSON.
 *
 * Owns: one record a metric and fired row, keyed so that the newest value of a (metric, window, group) wins under
 * compaction; where corrections are to be retracted, the old value before the new one. Does not own: the writer behind it.
 */
import { type Dimension, MetricValue, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { Corrections, ResultFormat, TriggerDefinition } from '../job/definition.ts'
import type { JobPlan, TablePlan } from '../job/plan.ts'
import { type MatureFrom, maturityOf } from '../metrics/maturity.ts'
import { dimensionTexts } from '../operator/group-key.ts'
import { readDetail, readMetric } from '../operator/read-metric.ts'
import type { FiredRow, ResultSink } from '../operator/result-sink.ts'
import { isDue } from '../window/lateness.ts'
import { toDate } from './dates.ts'
import { metricValueJson } from './record-json.ts'
import type { SubtaskWriter } from './sink.ts'

/** How results are written. */
export interface MetricValueOptions {
  /** Default protobuf. */
  readonly format?: ResultFormat
  /** Default upsert. */
  readonly corrections?: Corrections
}

/** Writes results as records. */
export class MetricValueSink implements ResultSink {
  readonly #plan: JobPlan
  readonly #attempt: number
  readonly #writer: SubtaskWriter
  readonly #json: boolean
  readonly #retracts: boolean
  /** By metric: when its values are mature; only of tables that give results early can they be immature. */
  readonly #matureFrom: readonly (MatureFrom | null)[]
  readonly #encoder = new TextEncoder()

  constructor(plan: JobPlan, attempt: number, writer: SubtaskWriter, options: MetricValueOptions = {}) {
    this.#plan = plan
    this.#attempt = attempt
    this.#writer = writer
    this.#json = options.format === 'json'
    this.#retracts = options.corrections === 'retract'
    this.#matureFrom = plan.metrics.map(({ id, table }) => {
      if (!(plan.tables[table]!.earlyMs > 0)) return null
      const { kind, window } = plan.definition.metrics.find((metric) => metric.id === id)!
      return maturityOf(kind, window)
    })
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
      if (metric.table !== row.table) continue
      if (row.f64[row.at + metric.events]! <= 0 && !mayHaveBeenTold(row, table)) continue
      const key = this.#encoder.encode(JSON.stringify([metric.id, ...windowParts(row, table), ...texts]))
      const timestampMs = timestampOf(row, table)
      if (this.#retracts && row.before !== null && row.before[row.beforeAt + metric.events]! > 0) {
        const old = this.#valueOf(i, row, dimensions, row.before, row.beforeAt, row.revision - 1)
        this.#writer.write(key, this.#encode({ ...old, retraction: true }), timestampMs)
      }
      const value = this.#valueOf(i, row, dimensions, row.f64, row.at, row.revision)
      this.#writer.write(key, this.#encode(value), timestampMs)
    }
  }

  flush(): Promise<void> {
    return this.#writer.flush()
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #encode(value: MetricValue): Uint8Array {
    return this.#json ? metricValueJson(value) : MetricValue.encode(value).finish()
  }

  /** What columns `f64[at ..]` say; they are the row's, or those that it had. */
  #valueOf(
    index: number,
    row: FiredRow,
    dimensions: Dimension[],
    f64: Float64Array,
    at: number,
    revision: number,
  ): MetricValue {
    const metric = this.#plan.metrics[index]!
    const matureMs = this.#matureFrom[index]?.(row.endMs, dimensions.at(-1)?.value ?? '') ?? Number.NEGATIVE_INFINITY
    // What is withdrawn is a correction to nothing: no events are behind it.
    const withdrawn = row.retracted || f64[at + metric.events]! <= 0
    const value = withdrawn ? 0 : readMetric(metric, row.accumulators, f64, at)
    const detail = withdrawn ? null : readDetail(metric, row.accumulators, f64, at)
    return {
      job: this.#plan.jobName,
      metric: metric.id,
      dimensions,
      windowStart: toDate(row.startMs),
      windowEnd: toDate(row.endMs),
      value: Number.isNaN(value)
        ? undefined
        : metric.integer && Number.isSafeInteger(value)
          ? { $case: 'intValue', value }
          : { $case: 'doubleValue', value },
      status: statusOf(revision, this.#plan.tables[row.table]!.trigger),
      revision,
      watermark: toDate(row.watermarkMs),
      lateCount: row.lateCount(metric.events),
      eventCount: withdrawn ? 0 : f64[at + metric.events]!,
      attempt: this.#attempt,
      items: detail?.items.map((item) => ({ ...item })) ?? [],
      ...(detail?.text == null ? {} : { text: detail.text }),
      ...(detail?.error === undefined ? {} : { error: detail.error }),
      retraction: false,
      immature: !isDue(matureMs, row.watermarkMs),
      otherGroups: 0,
    }
  }
}

/** Whether a row that has nothing may have had something when it was last given: persons leave numbers, events are taken back. */
function mayHaveBeenTold({ revision }: FiredRow, { person, takesBack, earlyMs }: TablePlan): boolean {
  return (person !== undefined || takesBack === true) && (revision > 1 || earlyMs > 0)
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
