/** What the subtask of a keyed stage is made of. Types only. */
import type { PageWriter } from '../checkpoint/chunk-writer.ts'
import type { InputGate } from '../exchange/input-gate.ts'
import type { BatchBuffer } from '../exchange/message.ts'
import type { EventType, KeyedNode } from '../program/graph.ts'
import type { CurrentRecord } from '../program/operator.ts'
import type { Push } from '../program/stages.ts'
import type { ProgramOutputs } from './program-outputs.ts'
import type { StageState } from './stage-state.ts'
import type { SubtaskOutbox } from './subtask-outbox.ts'

/** What a stage's subtask is made of. */
export interface ProgramStageParts {
  readonly node: KeyedNode
  readonly index: number
  readonly parallelism: number
  readonly state: StageState
  readonly gate: InputGate
  /** Input of the operator by channel of the gate. */
  readonly inputOf: readonly number[]
  readonly eventTypes: readonly EventType<unknown>[]
  readonly outputs: ProgramOutputs
  /** What happens to results, by side; '' is the main output. */
  readonly pushes: ReadonlyMap<string, Push>
  readonly writer: PageWriter
  /** Of sinks that are delivered exactly once. */
  readonly outbox: SubtaskOutbox
  readonly stateLimitBytes: number
  readonly counters: Readonly<Record<string, number>>
  readonly current: CurrentRecord
  /** Gives a consumed batch back to its sender. */
  readonly returnCredit: (channel: number, buffer: BatchBuffer) => void
}
