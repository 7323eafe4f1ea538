/** What a metric of Millrace itself is, and what it is read from. The metrics are in observe/metric-table.ts. */
import type { SubtaskStats } from '../runtime/messages.ts'

/** What is known of a job at a scrape. A JobDetails of control/api.ts is one. */
export interface ObservedJob {
  readonly summary: {
    readonly name: string
    readonly state: string
    readonly restarts: number
    readonly attempt: number
  }
  readonly subtasks: readonly ObservedSubtask[]
  readonly heldPartitions: readonly {
    readonly topic: string
    readonly partition: number
    readonly lastStableOffset: number
    readonly highWatermark: number
  }[]
  readonly checkpoints: {
    readonly completed: number
    readonly failed: number
    readonly latest: {
      readonly id: number
      readonly createdAtMs: number
      readonly durationMs: number
      readonly sizeBytes: number
      readonly writtenBytes: number
    } | null
    readonly owed: readonly { readonly records: number; readonly bytes: number }[]
    readonly sourcesHeld: boolean
    readonly hangingEnded: number
  }
  /** Open episodes of its detectors. */
  readonly episodes?: readonly { readonly detector: string; readonly open: number }[]
}

/** One subtask of it. */
export interface ObservedSubtask {
  readonly stats: SubtaskStats
  readonly busyRatio: number
  readonly idleRatio: number
  readonly backPressuredRatio: number
}

/** One number of a metric, under its labels; for histograms the suffix says which series (`_bucket`, `_count`). */
export interface Sample {
  readonly suffix?: '_bucket' | '_count'
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** One metric. */
export interface MetricSpec {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** The samples of one job; `nowMs` is the wall clock. */
  readonly read: (job: ObservedJob, nowMs: number) => Iterable<Sample>
}
