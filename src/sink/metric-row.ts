/**
 * A result record as a row of a table: what sinks that upsert make of it.
 *
 * Owns: what identifies a row (metric, window, dimensions: the record's key), and its fields. Does not own: where rows go.
 */
import { MetricValue, ValueStatus } from '../gen/millrace/v1/metric.ts'

/** The newest value of a metric in one window for one group. */
export interface MetricRow {
  readonly job: string
  readonly metric: string
  /**
   * What tells the windows of a group apart: the start in epoch ms; of cumulating windows, `start/end`; of counted ones,
   * `start/number`.
   */
  readonly window: string
  /** In the order of the metric's `by`. */
  readonly dimensions: readonly { readonly name: string; readonly value: string }[]
  readonly startMs: number
  readonly endMs: number
  /** Null where there is no number. */
  readonly value: number | null
  /** Of `first` and `last` of a text. */
  readonly text: string | null
  /** Of `topK` and `histogram`. */
  readonly items: readonly { readonly label: string; readonly value: number; readonly error: number }[]
  readonly status: 'provisional' | 'final' | 'corrected'
  readonly revision: number
  /** Null before the first event. */
  readonly watermarkMs: number | null
  readonly lateCount: number
  readonly eventCount: number
  readonly attempt: number
  /** No event is behind it any more: the row is to go. */
  readonly withdrawn: boolean
}

const decoder = new TextDecoder()

/** The row of a result record: its key as metric-values.ts makes it, its value a `MetricValue`. */
export function metricRowOf(key: Uint8Array, value: Uint8Array): MetricRow {
  const message = MetricValue.decode(value)
  const [metric = '', ...parts] = JSON.parse(decoder.decode(key)) as [string, ...(number | string | null)[]]
  const dimensions = message.dimensions.map(({ name, value: text }) => ({ name, value: text }))
  const window = parts.slice(0, parts.length - dimensions.length)
  return {
    job: message.job,
    metric,
    window: window.map(String).join('/'),
    dimensions,
    startMs: message.windowStart?.getTime() ?? 0,
    endMs: message.windowEnd?.getTime() ?? 0,
    value: message.value?.value ?? null,
    text: message.text ?? null,
    items: message.items.map(({ label, value: number, error }) => ({ label, value: number, error })),
    status: statusText(message.status),
    revision: message.revision,
    watermarkMs: message.watermark?.getTime() ?? null,
    lateCount: message.lateCount,
    eventCount: message.eventCount,
    attempt: message.attempt,
    withdrawn: message.eventCount === 0,
  }
}

function statusText(status: ValueStatus): MetricRow['status'] {
  if (status === ValueStatus.VALUE_STATUS_FINAL) return 'final'
  return status === ValueStatus.VALUE_STATUS_CORRECTED ? 'corrected' : 'provisional'
}
