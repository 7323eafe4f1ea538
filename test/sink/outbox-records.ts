/** Owners, records and blocks for tests of sinks, and crashes. */
import { MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import type { OutboxOwner } from '../../src/sink/outbox.ts'
import { OutboxBlockWriter } from '../../src/sink/outbox-block.ts'

/** A record as a test says it. */
export interface TestRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array
  readonly timestampMs: number
}

/** Where a crash is made to happen. */
export class Crash {
  /** Steps (calls to the outside) taken. */
  steps = 0
  #at = Number.POSITIVE_INFINITY
  #after = false

  /** From step `at` on nothing reaches the outside; `after`: that step itself still does, but its answer is lost. */
  arm(at: number, after: boolean): void {
    this.steps = 0
    this.#at = at
    this.#after = after
  }

  /** One step, of a caller that waits for it. */
  async step<T>(call: () => Promise<T>): Promise<T> {
    const number = ++this.steps
    if (number > this.#at || (number === this.#at && !this.#after)) throw new Error(`crashed before step ${number}`)
    const answer = await call()
    if (number === this.#at) throw new Error(`crashed after step ${number}`)
    return answer
  }

  /** As `step`, of one that does not. */
  stepNow<T>(call: () => T): T {
    const number = ++this.steps
    if (number > this.#at || (number === this.#at && !this.#after)) throw new Error(`crashed before step ${number}`)
    const answer = call()
    if (number === this.#at) throw new Error(`crashed after step ${number}`)
    return answer
  }
}

/** An owner of sink `out` of job `job`. */
export function ownerOf(nonce: string, generation = 1, jobId = 'job-1'): OutboxOwner {
  return { job: 'job', jobId, sink: 'out', generation, nonce }
}

/** A result record: metric `m`, one dimension; `value` tells records of a key apart. */
export function resultRecord(group: string, value: number, startMs = 60_000, eventCount = 1): TestRecord {
  return {
    key: Buffer.from(JSON.stringify(['m', startMs, group])),
    value: MetricValue.encode(
      MetricValue.fromPartial({
        job: 'job',
        metric: 'm',
        dimensions: [{ name: 'group', value: group }],
        windowStart: new Date(startMs),
        windowEnd: new Date(startMs + 60_000),
        value: { $case: 'intValue', value },
        status: ValueStatus.VALUE_STATUS_FINAL,
        revision: 1,
        watermark: new Date(startMs + 60_000),
        eventCount,
      }),
    ).finish(),
    timestampMs: startMs + 59_999,
  }
}

/** The records of an epoch: some keys of their own, one that every epoch writes. */
export function recordsOf(epoch: number, count = 5): TestRecord[] {
  return Array.from({ length: count }, (_, i) => {
    return i === 0 ? resultRecord('shared', epoch) : resultRecord(`e${epoch}-${i}`, epoch * 1000 + i)
  })
}

/** Blocks of up to `perBlock` records. */
export async function* blocksOf(records: readonly TestRecord[], perBlock = 3): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < records.length; at += perBlock) {
    const writer = new OutboxBlockWriter()
    for (const { key, value, timestampMs } of records.slice(at, at + perBlock)) writer.write(key, value, timestampMs)
    yield writer.take()
  }
}
