/**
 * Results, dead letters and late events as JSON: ProtoJSON of their messages, always with the same keys in the same order.
 *
 * Owns: the texts. What ProtoJSON leaves out when it is the default is written, so that every document has every key; only
 * a value that is none (of a text, of no values at all), a watermark before the first event, and a text of a metric that
 * has none are absent.
 */
import { DeadLetter, LateEvent, type MetricValue, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { RecordOutput, ResultFormat, SinkOutput } from '../job/definition.ts'
import type { SubtaskWriter } from './sink.ts'

const encoder = new TextEncoder()

/** The form of results in the records of a sink. */
export function resultFormat(output: SinkOutput, format: ResultFormat = 'protobuf'): ResultFormat {
  if (output.kind === 'kafka' || output.kind === 'log') return format
  return takesJson(output) ? 'json' : 'protobuf'
}

/** Whether an output wants JSON whatever its records are. */
export function takesJson(output: SinkOutput): boolean {
  return output.kind === 'http' || (output.kind === 'redis' && output.stream !== '')
}

/** A result as JSON. */
export function metricValueJson(value: MetricValue): Uint8Array {
  return encoder.encode(
    JSON.stringify({
      job: value.job,
      metric: value.metric,
      dimensions: value.dimensions,
      windowStart: instant(value.windowStart),
      windowEnd: instant(value.windowEnd),
      intValue: value.value?.$case === 'intValue' ? String(value.value.value) : undefined,
      doubleValue: value.value?.$case === 'doubleValue' ? double(value.value.value) : undefined,
      status: statusName(value.status),
      revision: value.revision,
      watermark: instant(value.watermark),
      lateCount: String(value.lateCount),
      eventCount: String(value.eventCount),
      attempt: value.attempt,
      items: value.items.map((item) => ({ label: item.label, value: double(item.value), error: double(item.error) })),
      text: value.text,
      error: value.error,
      retraction: value.retraction,
      immature: value.immature,
      otherGroups: String(value.otherGroups),
    }),
  )
}

/** A dead letter as JSON, from its Protobuf form. */
export function deadLetterJson(bytes: Uint8Array): Uint8Array {
  const letter = DeadLetter.decode(bytes)
  return encoder.encode(
    JSON.stringify({
      job: letter.job,
      topic: letter.topic,
      partition: letter.partition,
      offset: String(letter.offset),
      reason: letter.reason,
      detail: letter.detail,
      key: letter.key.toString('base64'),
      value: letter.value.toString('base64'),
      recordTime: instant(letter.recordTime),
      keyBytes: String(letter.keyBytes),
      valueBytes: String(letter.valueBytes),
    }),
  )
}

/** A late event as JSON, from its Protobuf form. */
export function lateEventJson(bytes: Uint8Array): Uint8Array {
  const event = LateEvent.decode(bytes)
  return encoder.encode(
    JSON.stringify({
      job: event.job,
      topic: event.topic,
      partition: event.partition,
      offset: String(event.offset),
      eventTime: instant(event.eventTime),
      watermark: instant(event.watermark),
      key: event.key.toString('base64'),
      value: event.value.toString('base64'),
      metrics: event.metrics,
    }),
  )
}

/** The writer for dead letters or late events: recoded where the output wants JSON. */
export function sideWriter(writer: SubtaskWriter, output: RecordOutput, kind: 'deadLetters' | 'late'): SubtaskWriter {
  if (!takesJson(output)) return writer
  return new RecodingWriter(writer, kind === 'late' ? lateEventJson : deadLetterJson)
}

/** Writes records with other values. */
class RecodingWriter implements SubtaskWriter {
  readonly #writer: SubtaskWriter
  readonly #recode: (value: Uint8Array) => Uint8Array

  constructor(writer: SubtaskWriter, recode: (value: Uint8Array) => Uint8Array) {
    this.#writer = writer
    this.#recode = recode
  }

  get bufferedBytes(): number {
    return this.#writer.bufferedBytes
  }

  get full(): boolean {
    return this.#writer.full
  }

  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    this.#writer.write(key, this.#recode(value), timestampMs)
  }

  flush(): Promise<void> {
    return this.#writer.flush()
  }

  close(): Promise<void> {
    return this.#writer.close()
  }
}

/** RFC 3339, without a fraction that is zero. */
function instant(date: Date | undefined): string | undefined {
  return date?.toISOString().replace('.000Z', 'Z')
}

/** JSON has no number for these. */
function double(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

function statusName(status: ValueStatus): string {
  return Object.entries(ValueStatus).find(([, code]) => code === status)?.[0] ?? 'VALUE_STATUS_UNSPECIFIED'
}
