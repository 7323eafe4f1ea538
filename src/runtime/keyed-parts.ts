/** What a keyed subtask (runtime/keyed-subtask) is made of. */
import type { OutputChannels } from '../exchange/channel.ts'
import type { InputGate } from '../exchange/input-gate.ts'
import type { BatchBuffer, BatchMessage } from '../exchange/message.ts'
import type { PartialOutput } from '../exchange/partial-batch.ts'
import type { MetricPlan } from '../job/plan.ts'
import type { FiringTable } from '../operator/firing-table.ts'
import type { PartialTable } from '../operator/partial-table.ts'
import type { ResultSink } from '../operator/result-sink.ts'
import type { PagePool } from '../state/page-pool.ts'
import type { SnapshotWriter } from './snapshot-writer.ts'
import type { SubtaskOutbox } from './subtask-outbox.ts'

/** What became of the events that came over the input edge; `forgotten` are ids, see operator/deduplicate. */
export interface InputCounters {
  readonly applied: number
  readonly late: number
  readonly filtered: number
  readonly deduplicated: number
  readonly dedupeForgotten: number
}

/** Takes the batches of the input edge. */
export interface BatchInput {
  /** Applies a batch to the tables, in processing time at `nowMs`; returns the number of events or records in it. */
  apply(batch: BatchMessage, watermarkMs: number, nowMs: number): number
  /** Counters for the checkpoint and for statistics. */
  readonly counters: InputCounters
  /** Bytes of state that is not in tables. */
  readonly stateBytes: number
  /** Up to when processing time has passed for those who send; absent where events get their time here. */
  readonly passedMs?: number
  /** Event time of the newest event of the last batch, for latency; NaN where batches carry none. */
  readonly newestMs: number
  /** Time has passed up to `watermarkMs`. */
  advance(watermarkMs: number): void
  /** True while side outputs cannot take more. */
  readonly full: boolean
  /** Makes what was written to side outputs durable. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** What a keyed subtask is made of. */
export interface KeyedParts {
  readonly operator: 'window' | 'merge'
  readonly index: number
  readonly gate: InputGate
  readonly input: BatchInput
  readonly results: readonly FiringTable[]
  readonly partials: readonly PartialTable[]
  /** The edge behind; null at the end of the graph. */
  readonly channels: OutputChannels | null
  readonly output: PartialOutput | null
  readonly metrics: readonly MetricPlan[]
  readonly sinks: readonly ResultSink[]
  readonly pool: PagePool
  /** Bytes of state of the whole attempt in this thread, and what it may have. */
  readonly stateBytes: () => number
  readonly stateLimitBytes: number
  readonly snapshots: SnapshotWriter
  /** Of sinks and side outputs that are delivered exactly once. */
  readonly outbox: SubtaskOutbox
  /** Gives a consumed batch back to its sender. */
  readonly returnCredit: (channel: number, buffer: BatchBuffer) => void
}
