/** What a source subtask is made of. Types only. */
import type { RecordDecoder } from '../event/event-decoder.ts'
import type { Kernel } from '../event/kernel.ts'
import type { ScanBatch } from '../event/scan.ts'
import type { EventWeights } from '../event/weights.ts'
import type { OutputChannels } from '../exchange/channel.ts'
import type { Combiner } from '../exchange/combiner.ts'
import type { KeyedOutput } from '../exchange/keyed-output.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import type { SourceReader } from '../source/source.ts'
import type { PartitionWatermarks } from '../source/watermark.ts'
import type { SubtaskOutbox } from './subtask-outbox.ts'

/** Sets the mask of every row of a scan; returns the number of rows that some predicate takes. */
export interface PredicateEvaluator {
  evaluate(batch: ScanBatch): number
}

/** What a source subtask is made of. */
export interface SourceParts {
  readonly operator: string
  readonly index: number
  readonly parallelism: number
  readonly job: string
  readonly topic: string
  readonly maxFutureMs: number
  readonly maxDriftMs: number
  readonly bounded: boolean
  readonly reader: SourceReader
  readonly decoder: RecordDecoder
  /** Reads the usual records, the decoder the others; null where the decoder reads all. */
  readonly kernel: Kernel | null
  readonly scan: ScanBatch
  /** The weights of the scan's rows; null where all are events. */
  readonly weights: EventWeights | null
  readonly predicates: PredicateEvaluator
  /** Makes the columns of money; null where there are none. */
  readonly money: { convert(batch: ScanBatch): void } | null
  /** Folds rows before they are sent; null where the plan does not allow it. */
  readonly combiner: Combiner | null
  readonly watermarks: PartitionWatermarks
  readonly channels: OutputChannels
  readonly output: KeyedOutput
  /** Whether rows carry their partition, for late events. */
  readonly origins: boolean
  readonly deadLetters: SubtaskWriter | null
  /** Of outputs that are delivered exactly once. */
  readonly outbox: SubtaskOutbox
  /** What its snapshots say of the sources. */
  readonly meta: Uint8Array
  readonly counters: Readonly<Record<string, number>>
  readonly onFinished: () => void
  readonly onWatermark: (watermarkMs: number, idle: boolean) => void
}
