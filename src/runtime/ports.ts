/**
 * What the data plane needs from outside, as it is handed to a worker: the seam between a real thread and simulation.
 */
import type { ChunkStore, StoreConfig } from '../checkpoint/store.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import type { SinkOutput } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobProgram } from '../program/graph.ts'
import type { RecordWriter } from '../sink/sink.ts'
import type { SourceReader } from '../source/source.ts'

/** Outputs that take records. */
export type RecordOutput = Exclude<SinkOutput, { kind: 'discard' }>

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
  openChunkStore(config: StoreConfig): ChunkStore
  /** The job in a module on disk, by its path. JOB_INVALID when there is none. */
  readonly loadProgram?: (file: string) => Promise<JobProgram>
}
