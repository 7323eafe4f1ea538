/**
 * What the data plane needs from outside, as it is handed to a worker: the seam between a real thread and simulation.
 */
import type { ChunkStore, StoreConfig } from '../checkpoint/store.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import type { RecordOutput } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobProgram } from '../program/graph.ts'
import type { OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import type { RecordWriter } from '../sink/sink.ts'
import type { EndedTransaction } from '../source/kafka/ended-transaction.ts'
import type { SourceReader } from '../source/source.ts'

/** Opens the outside world for one worker. */
export interface WorkerPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** The reader of one source subtask. */
  openReader(plan: JobPlan): SourceReader
  /**
   * A writer of records to a topic of a broker or a log. `owner` names it among all writers that live: job, operator,
   * output and subtask.
   */
  openWriter(output: RecordOutput, owner: string): RecordWriter
  /**
   * The sink of an output that takes outboxes (job/delivery.ts `outboxKinds`). Nothing is done before its `open`. It
   * tells `onEnded` of transactions of its own that hung in a broker, and that it has ended.
   * Absent where there are none.
   */
  openOutboxSink?(output: RecordOutput, owner: OutboxOwner, onEnded: (ended: EndedTransaction) => void): OutboxSink
  openChunkStore(config: StoreConfig): ChunkStore
  /** The job in a module on disk, by its path. JOB_INVALID when there is none. */
  readonly loadProgram?: (file: string) => Promise<JobProgram>
}
