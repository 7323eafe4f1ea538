/** What the loop of a thread hands to the attempts in it. Types only. */
import type { LinkMessage } from './links.ts'
import type { WorkerPorts } from './ports.ts'
import type { SubtaskContext } from './subtask.ts'

/** What an attempt may call. */
export interface AttemptEnvironment {
  readonly ports: WorkerPorts
  readonly thread: number
  readonly send: (thread: number, message: LinkMessage) => void
  readonly contextOf: (operator: string, subtask: number) => SubtaskContext
  readonly sourceFinished: (subtask: number) => void
  readonly sourceWatermark: (subtask: number, watermarkMs: number, idle: boolean) => void
  readonly schemaWanted: (subtask: number, schemaId: number) => void
  /** An epoch has so much for sinks that it should end. */
  readonly epochFull: () => void
}
