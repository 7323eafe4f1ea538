/**
 * Jobs, graphs and checkpoints: domain types (control/api.ts) to wire messages and back.
 *
 * Pure. The way back exists for what the command line reads as domain values; a description of a job stays a message.
 */
import type {
  CheckpointInfo,
  CheckpointSummary,
  EventCounts,
  JobDetails,
  JobException,
  JobGraph,
  JobRedeploy,
  JobState,
  JobStateChange,
  JobSummary,
  JobUpdate,
  SubtaskStatus,
} from '../control/api.ts'
import type * as wire from '../gen/millrace/v1/control.ts'
import { JobState as WireState } from '../gen/millrace/v1/control.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'
import { toHeld } from './transaction-messages.ts'

const stateToWire = {
  CREATED: WireState.JOB_STATE_CREATED,
  STARTING: WireState.JOB_STATE_STARTING,
  RUNNING: WireState.JOB_STATE_RUNNING,
  FINISHING: WireState.JOB_STATE_FINISHING,
  FINISHED: WireState.JOB_STATE_FINISHED,
  RESTARTING: WireState.JOB_STATE_RESTARTING,
  STOPPING: WireState.JOB_STATE_STOPPING,
  SUSPENDED: WireState.JOB_STATE_SUSPENDED,
  CANCELLING: WireState.JOB_STATE_CANCELLING,
  CANCELLED: WireState.JOB_STATE_CANCELLED,
  FAILING: WireState.JOB_STATE_FAILING,
  FAILED: WireState.JOB_STATE_FAILED,
  REDEPLOYING: WireState.JOB_STATE_REDEPLOYING,
} as const satisfies Record<JobState, WireState>

const stateFromWire = new Map<WireState, JobState>(
  Object.entries(stateToWire).map(([name, value]) => [value, name as JobState]),
)

/** A job's state from the wire; one that a newer server knows and we do not is CREATED. */
export function fromState(state: WireState): JobState {
  return stateFromWire.get(state) ?? 'CREATED'
}

/** A job in a line, for the wire. */
export function toSummary(job: JobSummary): wire.JobSummary {
  return {
    name: job.name,
    state: stateToWire[job.state],
    reason: job.reason,
    createTime: toTimestamp(job.createdAtMs),
    stateTime: toTimestamp(job.stateSinceMs),
    attempt: job.attempt,
    restarts: job.restarts,
    parallelism: job.parallelism,
    metrics: [...job.metrics],
    events: job.events,
    watermark: toTimestamp(job.watermarkMs),
    guarantee: job.guarantee,
    guaranteeReasons: [...job.guaranteeReasons],
  }
}

const noEvents: EventCounts = {
  read: 0,
  applied: 0,
  late: 0,
  deadLettered: 0,
  filtered: 0,
  lost: 0,
  deduplicated: 0,
  dedupeForgotten: 0,
}

/** A job in a line, from the wire. */
export function fromSummary(job: wire.JobSummary): JobSummary {
  return {
    name: job.name,
    state: fromState(job.state),
    reason: job.reason,
    createdAtMs: fromTimestamp(job.createTime, 0),
    stateSinceMs: fromTimestamp(job.stateTime, 0),
    attempt: job.attempt,
    restarts: job.restarts,
    parallelism: job.parallelism,
    metrics: job.metrics,
    events: job.events ?? noEvents,
    watermarkMs: fromTimestamp(job.watermark),
    guarantee: job.guarantee === 'exactly-once' ? 'exactly-once' : 'at-least-once',
    guaranteeReasons: job.guaranteeReasons,
  }
}

/** A graph for the wire. */
export function toGraph(graph: JobGraph): wire.JobGraph {
  return { operators: [...graph.operators], edges: [...graph.edges] }
}

/** A graph from the wire. */
export function fromGraph(graph: wire.JobGraph): JobGraph {
  return {
    operators: graph.operators.map((operator) => ({
      ...operator,
      kind: operator.kind,
    })),
    edges: graph.edges,
  }
}

/** A checkpoint for the wire. */
export function toCheckpoint(checkpoint: CheckpointInfo): wire.Checkpoint {
  const seconds = Math.floor(checkpoint.durationMs / 1000)
  return {
    id: checkpoint.id,
    createTime: toTimestamp(checkpoint.createdAtMs),
    duration: { seconds, nanos: Math.round((checkpoint.durationMs - seconds * 1000) * 1e6) },
    sizeBytes: checkpoint.sizeBytes,
    writtenBytes: checkpoint.writtenBytes,
    attempt: checkpoint.attempt,
  }
}

/** A checkpoint from the wire. */
export function fromCheckpoint(checkpoint: wire.Checkpoint): CheckpointInfo {
  return {
    id: checkpoint.id,
    createdAtMs: fromTimestamp(checkpoint.createTime, 0),
    durationMs: (checkpoint.duration?.seconds ?? 0) * 1000 + (checkpoint.duration?.nanos ?? 0) / 1e6,
    sizeBytes: checkpoint.sizeBytes,
    writtenBytes: checkpoint.writtenBytes,
    attempt: checkpoint.attempt,
  }
}

/** All that is known of a job, for the wire. */
export function toDetails(details: JobDetails): wire.DescribeJobResponse {
  return {
    job: toSummary(details.summary),
    graph: toGraph(details.graph),
    subtasks: details.subtasks.map(toSubtask),
    partitions: details.subtasks.flatMap(toPartitions).sort((a, b) => a.partition - b.partition),
    checkpoints: toCheckpoints(details.checkpoints),
    exceptions: details.exceptions.map(toException),
    definitionYaml: details.definitionText,
    heldPartitions: details.heldPartitions.map(toHeld),
    redeploys: details.redeploys.map(toRedeploy),
  }
}

/** A change of parallelism or definition, for the wire. */
export function toRedeploy(redeploy: JobRedeploy): wire.JobRedeploy {
  const { kind, from, to, reason, checkpointId, stateBytes, outcome, detail } = redeploy
  const time = (ms: number): wire.JobRedeploy['requestTime'] => (ms === 0 ? undefined : toTimestamp(ms))
  return {
    ...{ kind, reason, checkpointId, stateBytes, outcome, detail },
    fromParallelism: from,
    toParallelism: to,
    requestTime: time(redeploy.requestedAtMs),
    barrierTime: time(redeploy.barrierAtMs),
    stopTime: time(redeploy.stoppedAtMs),
    runTime: time(redeploy.runningAtMs),
  }
}

/** A change of parallelism or definition, from the wire. */
export function fromRedeploy(redeploy: wire.JobRedeploy): JobRedeploy {
  const { kind, reason, checkpointId, stateBytes, outcome, detail } = redeploy
  return {
    ...{ reason, checkpointId, stateBytes, detail },
    kind: kind === 'upgrade' ? kind : 'rescale',
    outcome: outcome as JobRedeploy['outcome'],
    from: redeploy.fromParallelism,
    to: redeploy.toParallelism,
    requestedAtMs: fromTimestamp(redeploy.requestTime, 0),
    barrierAtMs: fromTimestamp(redeploy.barrierTime, 0),
    stoppedAtMs: fromTimestamp(redeploy.stopTime, 0),
    runningAtMs: fromTimestamp(redeploy.runTime, 0),
  }
}

/** What becomes of a part of state, from the wire. */
export function fromStateChange({ change, kind, ...rest }: wire.StateChange): JobStateChange {
  return { ...rest, change: change as JobStateChange['change'], kind: kind as JobStateChange['kind'] }
}

/** A job for one who follows it. Its graph only where `withGraph`. */
export function toUpdate(update: JobUpdate, withGraph: boolean): wire.WatchJobResponse {
  return {
    job: toSummary(update.summary),
    graph: withGraph ? toGraph(update.graph) : undefined,
    subtasks: update.subtasks.map(toSubtask),
    checkpoints: toCheckpoints(update.checkpoints),
    progress: update.progress,
    lastException: update.lastException === null ? undefined : toException(update.lastException),
  }
}

function toSubtask({ stats, busyRatio, idleRatio, backPressuredRatio }: SubtaskStatus): wire.SubtaskStatus {
  return {
    operator: stats.operator,
    subtask: stats.subtask,
    recordsIn: stats.recordsIn,
    recordsOut: stats.recordsOut,
    bytesIn: stats.bytesIn,
    events: {
      read: stats.read,
      applied: stats.applied,
      late: stats.late,
      deadLettered: stats.deadLettered,
      filtered: stats.filtered,
      lost: stats.lost,
      deduplicated: stats.deduplicated,
      dedupeForgotten: stats.dedupeForgotten,
    },
    watermark: toTimestamp(stats.watermarkMs),
    idle: stats.idle,
    finished: stats.finished,
    busyRatio,
    idleRatio,
    backPressuredRatio,
    stateBytes: stats.stateBytes,
    results: stats.results,
    pendingRecords: stats.pendingRecords,
  }
}

function toPartitions({ stats }: SubtaskStatus): wire.PartitionStatus[] {
  return stats.partitions.map((partition) => ({
    partition: partition.partition,
    subtask: stats.subtask,
    position: partition.position,
    end: partition.end,
    lag: partition.end < 0 ? -1 : Math.max(0, partition.end - partition.position),
    watermark: toTimestamp(partition.watermarkMs),
    idle: partition.idle,
    reachable: partition.reachable,
  }))
}

function toCheckpoints(summary: CheckpointSummary): wire.CheckpointSummary {
  return {
    completed: summary.completed,
    failed: summary.failed,
    latest: summary.latest === null ? undefined : toCheckpoint(summary.latest),
    restored: summary.restored === null ? undefined : toCheckpoint(summary.restored),
    lastFailure: summary.lastFailure,
    owed: summary.owed.map(({ sinks, ...owed }) => ({ ...owed, sinks: [...sinks] })),
    sourcesHeld: summary.sourcesHeld,
  }
}

function toException(exception: JobException): wire.JobException {
  return {
    code: exception.code,
    message: exception.message,
    time: toTimestamp(exception.atMs),
    operator: exception.operator,
    subtask: exception.subtask,
    attempt: exception.attempt,
  }
}
