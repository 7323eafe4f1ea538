/** What the source of a program is made of. Types only. */
import type { RecordOrigin } from '../core/errors.ts'
import type { CurrentRecord } from '../program/operator.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import type { SourceReader } from '../source/source.ts'
import type { PartitionWatermarks } from '../source/watermark.ts'
import type { ProgramOutputs } from './program-outputs.ts'
import type { ReadSource } from './program-sources.ts'
import type { SubtaskOutbox } from './subtask-outbox.ts'

/** The event that is being worked on, and its bytes. */
export interface CurrentEvent extends CurrentRecord {
  bytes: Uint8Array
}

/** What a program's source is made of. */
export interface ProgramSourceParts {
  /** Id of the operator: that of the first source. */
  readonly operator: string
  readonly sources: readonly ReadSource[]
  readonly index: number
  readonly parallelism: number
  readonly job: string
  readonly maxDriftMs: number
  readonly bounded: boolean
  readonly reader: SourceReader
  readonly watermarks: PartitionWatermarks
  readonly outputs: ProgramOutputs
  readonly current: CurrentEvent
  readonly deadLetters: SubtaskWriter | null
  /** Of outputs that are delivered exactly once. */
  readonly outbox: SubtaskOutbox
  /** Records that the job's code has failed on too often. */
  readonly poison: readonly RecordOrigin[]
  /** What its snapshots say of the sources. */
  readonly meta: Uint8Array
  readonly counters: Readonly<Record<string, number>>
  readonly onFinished: () => void
  readonly onWatermark: (watermarkMs: number, idle: boolean) => void
}
