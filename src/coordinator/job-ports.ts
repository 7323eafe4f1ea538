/** What the coordinator of a job is handed: the world, as ports, and its settings. Types and defaults only. */
import type { stepProtocol } from '../checkpoint/protocol.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import type { SourceDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { RestartDefinition } from '../job/restart-definition.ts'
import type { DeployMessage } from '../runtime/messages.ts'
import type { SavepointStore } from '../savepoint/store.ts'
import type { SourceEnumerator } from '../source/source.ts'
import type { CoordinatorLog } from './log.ts'
import { defaultRestartPolicy } from './restart.ts'
import type { WriterSchemas } from './schema-desk.ts'
import type { ThreadHub } from './thread-hub.ts'

/** Threads that belong to one attempt. */
export interface OwnThreads {
  readonly hub: ThreadHub
  /** Ends them. Idempotent. */
  close(): Promise<void>
}

/** The world of a job's coordinator. */
export interface JobPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly log: CoordinatorLog
  readonly hub: ThreadHub
  /** Opens threads for one attempt of a job in TypeScript; without it such jobs use the shared ones. */
  readonly openThreads?: (plan: JobPlan) => Promise<OwnThreads>
  readonly store: CheckpointStore
  /** The same store as worker threads open it. */
  readonly chunkStore: DeployMessage['chunkStore']
  /** Stable name of this process over its restarts; owns leases. */
  readonly instanceId: string
  /** Folder of savepoints; absent where none can be made. */
  readonly savepoints?: SavepointStore
  /** Schemas of the writers of framed values; absent where no registry is known. */
  readonly schemas?: WriterSchemas
  /** The rules of checkpoints; those of checkpoint/protocol.ts unless a test plants a mistake. */
  readonly protocol?: typeof stepProtocol
  /** Opens the control-plane half of a source. Called once an attempt; the attempt closes it. */
  readonly openEnumerator: (source: SourceDefinition) => Promise<SourceEnumerator>
}

/** Numbers that tests and operators may change. */
export interface JobSettings {
  /** The strategy of jobs that name none. */
  readonly restart: RestartDefinition
  readonly leaseTtlMs: number
  /** Most time from `deploy` to `deployed`; restoring reads all state. */
  readonly deployMs: number
  /** Most time from `dispose` to `disposed`; then the thread is fenced. */
  readonly disposeMs: number
  /** How long a start waits for threads that are being replaced before it makes do with the others. */
  readonly threadWaitMs: number
  /** Most time that sinks have, when an attempt starts, to say which results they have. */
  readonly sinkOpenMs: number
  /** How long a job that is told to stop waits for sinks to apply its last results; they stay owed then. */
  readonly outboxStopMs: number
  /** Pause between two checkpoints, from the end of one to the trigger of the next. */
  readonly checkpointPauseMs: number
}

/** The settings unless told otherwise. */
export const defaultJobSettings: JobSettings = {
  restart: defaultRestartPolicy,
  leaseTtlMs: 5000,
  deployMs: 300_000,
  disposeMs: 30_000,
  threadWaitMs: 10_000,
  sinkOpenMs: 120_000,
  outboxStopMs: 60_000,
  checkpointPauseMs: 0,
}
