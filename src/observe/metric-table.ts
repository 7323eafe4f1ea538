/**
 * Every metric that Millrace exposes of itself, as one table: name, type, meaning, labels, and where it is read from.
 *
 * Names are those of Flink and Kafka Streams as far as they have one, in Prometheus' manner: units at the end, `_total`
 * for what only grows. docs/reference/metrics.md is made from this table. Does not own: the library that serves them
 * (observe/metrics.ts).
 */
import { latencyBucketsMs, type SubtaskStats } from '../runtime/messages.ts'
import type { MetricSpec, ObservedJob, ObservedSubtask, Sample } from './metric-spec.ts'

const bySubtask = ['job', 'operator', 'subtask'] as const
const byPartition = ['job', 'partition'] as const

type SubtaskNumber = (subtask: ObservedSubtask, nowMs: number) => number | undefined

/** A number of every subtask; undefined leaves the subtask out. */
function perSubtask(name: string, type: 'counter' | 'gauge', help: string, value: SubtaskNumber): MetricSpec {
  return {
    name,
    type,
    help,
    labels: bySubtask,
    *read(job, nowMs) {
      for (const subtask of job.subtasks) {
        const number = value(subtask, nowMs)
        if (number === undefined) continue
        const { operator, subtask: index } = subtask.stats
        yield { labels: { job: job.summary.name, operator, subtask: index }, value: number }
      }
    },
  }
}

type Partition = SubtaskStats['partitions'][number]

function perPartition(name: string, help: string, value: (partition: Partition) => number | undefined): MetricSpec {
  return {
    name,
    type: 'gauge',
    help,
    labels: byPartition,
    *read(job) {
      for (const { stats } of job.subtasks) {
        for (const partition of stats.partitions) {
          const number = value(partition)
          if (number === undefined) continue
          yield { labels: { job: job.summary.name, partition: partition.partition }, value: number }
        }
      }
    },
  }
}

function perJob(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  value: (job: ObservedJob, nowMs: number) => number | undefined,
): MetricSpec {
  return {
    name,
    type,
    help,
    labels: ['job'],
    *read(job, nowMs) {
      const number = value(job, nowMs)
      if (number !== undefined) yield { labels: { job: job.summary.name }, value: number }
    },
  }
}

function lagSeconds(watermarkMs: number, nowMs: number): number | undefined {
  return Number.isFinite(watermarkMs) ? (nowMs - watermarkMs) / 1000 : undefined
}

function unlessUnknown(count: number): number | undefined {
  return count < 0 ? undefined : count
}

/** The order of the reference, and of a scrape. */
export const metricTable: readonly MetricSpec[] = [
  {
    name: 'millrace_job_state',
    type: 'gauge',
    help: 'State of the job: 1 under the label of the state that it is in.',
    labels: ['job', 'state'],
    *read(job) {
      yield { labels: { job: job.summary.name, state: job.summary.state }, value: 1 }
    },
  },
  perJob(
    'millrace_job_attempt',
    'gauge',
    'Number of the run of the job; each start raises it, in whichever process.',
    (job) => job.summary.attempt,
  ),
  perJob('millrace_restarts_total', 'counter', 'Restarts of the job after failures.', (job) => job.summary.restarts),
  perSubtask(
    'millrace_records_in_total',
    'counter',
    'Records that entered the subtask.',
    ({ stats }) => stats.recordsIn,
  ),
  perSubtask(
    'millrace_records_out_total',
    'counter',
    'Records that left the subtask.',
    ({ stats }) => stats.recordsOut,
  ),
  perSubtask('millrace_bytes_in_total', 'counter', 'Bytes that entered the subtask.', ({ stats }) => stats.bytesIn),
  perSubtask('millrace_read_records_total', 'counter', 'Records read from the source.', ({ stats }) => stats.read),
  perSubtask(
    'millrace_applied_records_total',
    'counter',
    'Records that at least one metric counted. Read = applied + late + dead-lettered + filtered + deduplicated, but for those in flight.',
    ({ stats }) => stats.applied,
  ),
  perSubtask(
    'millrace_late_records_total',
    'counter',
    'Records that came after the last window that wanted them was closed (numLateRecordsDropped of Flink).',
    ({ stats }) => stats.late,
  ),
  perSubtask(
    'millrace_dead_lettered_records_total',
    'counter',
    'Records that could not be used.',
    ({ stats }) => stats.deadLettered,
  ),
  perSubtask(
    'millrace_filtered_records_total',
    'counter',
    'Records that no metric wanted.',
    ({ stats }) => stats.filtered,
  ),
  perSubtask(
    'millrace_deduplicated_records_total',
    'counter',
    'Records that were copies of one that was counted (only with dedupe).',
    ({ stats }) => stats.deduplicated,
  ),
  perSubtask(
    'millrace_dedupe_forgotten_ids_total',
    'counter',
    'Ids of events that were forgotten before their time, for want of memory: copies of those may be counted. No sample but 0 is good.',
    ({ stats }) => stats.dedupeForgotten,
  ),
  perSubtask(
    'millrace_lost_records_total',
    'counter',
    'Records that retention took away before they were read (only with skipLost).',
    ({ stats }) => stats.lost,
  ),
  perSubtask('millrace_results_total', 'counter', 'Results fired.', ({ stats }) => stats.results),
  perSubtask(
    'millrace_busy_time_ms_per_second',
    'gauge',
    'Milliseconds of each second that the subtask worked (busyTimeMsPerSecond).',
    ({ busyRatio }) => busyRatio * 1000,
  ),
  perSubtask(
    'millrace_idle_time_ms_per_second',
    'gauge',
    'Milliseconds of each second that the subtask had nothing to do (idleTimeMsPerSecond).',
    ({ idleRatio }) => idleRatio * 1000,
  ),
  perSubtask(
    'millrace_back_pressured_time_ms_per_second',
    'gauge',
    'Milliseconds of each second that the subtask waited for those after it (backPressuredTimeMsPerSecond).',
    ({ backPressuredRatio }) => backPressuredRatio * 1000,
  ),
  perSubtask(
    'millrace_watermark_seconds',
    'gauge',
    'Event time up to which the subtask has all input, as Unix time (currentInputWatermark). Absent before the first event and after the end of input.',
    ({ stats }) => (Number.isFinite(stats.watermarkMs) ? stats.watermarkMs / 1000 : undefined),
  ),
  perSubtask(
    'millrace_watermark_lag_seconds',
    'gauge',
    'How far the watermark of the subtask is behind the wall clock.',
    ({ stats }, nowMs) => lagSeconds(stats.watermarkMs, nowMs),
  ),
  perSubtask(
    'millrace_source_idle',
    'gauge',
    'Whether the subtask holds no other back for want of input: 1 or 0.',
    ({ stats }) => Number(stats.idle),
  ),
  perSubtask('millrace_state_bytes', 'gauge', 'Bytes of state and buffers.', ({ stats }) => stats.stateBytes),
  perSubtask(
    'millrace_pending_records',
    'gauge',
    'Records behind the end of the input (pendingRecords). Absent when unknown.',
    ({ stats }) => unlessUnknown(stats.pendingRecords),
  ),
  perPartition('millrace_partition_position', 'Offset of the next record to read.', (partition) => partition.position),
  perPartition(
    'millrace_partition_lag_records',
    'Records between the position and the end of the partition (records-lag). Absent when unknown.',
    (partition) => (partition.end < 0 ? undefined : Math.max(0, partition.end - partition.position)),
  ),
  perPartition('millrace_partition_reachable', 'Whether the partition can be fetched: 1 or 0.', (partition) =>
    Number(partition.reachable),
  ),
  {
    name: 'millrace_held_back_records',
    type: 'gauge',
    help: 'Records of a topic of the job that an open transaction has kept from readers of committed records for too long. No sample is good.',
    labels: ['job', 'topic', 'partition'],
    *read({ summary, heldPartitions }) {
      for (const { topic, partition, lastStableOffset, highWatermark } of heldPartitions) {
        yield { labels: { job: summary.name, topic, partition }, value: highWatermark - lastStableOffset }
      }
    },
  },
  {
    name: 'millrace_episodes_open',
    type: 'gauge',
    help: 'Episodes that a detector of the job has found and that are not over.',
    labels: ['job', 'detector'],
    *read({ summary, episodes = [] }) {
      for (const { detector, open } of episodes) yield { labels: { job: summary.name, detector }, value: open }
    },
  },
  perJob(
    'millrace_checkpoints_completed_total',
    'counter',
    'Checkpoints that became durable.',
    (job) => job.checkpoints.completed,
  ),
  perJob('millrace_checkpoints_failed_total', 'counter', 'Checkpoints that did not.', (job) => job.checkpoints.failed),
  perJob(
    'millrace_checkpoint_duration_seconds',
    'gauge',
    'From trigger to durable, of the last checkpoint (lastCheckpointDuration).',
    ({ checkpoints }) => (checkpoints.latest === null ? undefined : checkpoints.latest.durationMs / 1000),
  ),
  perJob(
    'millrace_checkpoint_size_bytes',
    'gauge',
    'State that the last checkpoint refers to (lastCheckpointFullSize).',
    ({ checkpoints }) => checkpoints.latest?.sizeBytes,
  ),
  perJob(
    'millrace_checkpoint_written_bytes',
    'gauge',
    'State that the last checkpoint wrote anew (lastCheckpointSize).',
    ({ checkpoints }) => checkpoints.latest?.writtenBytes,
  ),
  perJob(
    'millrace_checkpoint_age_seconds',
    'gauge',
    'Since the last checkpoint became durable.',
    ({ checkpoints }, nowMs) =>
      checkpoints.latest === null ? undefined : (nowMs - checkpoints.latest.createdAtMs) / 1000,
  ),
  perJob(
    'millrace_outboxes_unapplied',
    'gauge',
    'Checkpoints whose results some sink has not applied yet; with two, sources wait.',
    ({ checkpoints }) => checkpoints.owed.length,
  ),
  perJob('millrace_outbox_owed_records', 'gauge', 'Records in them.', ({ checkpoints }) =>
    checkpoints.owed.reduce((sum, { records }) => sum + records, 0),
  ),
  perJob('millrace_outbox_owed_bytes', 'gauge', 'Bytes in them.', ({ checkpoints }) =>
    checkpoints.owed.reduce((sum, { bytes }) => sum + bytes, 0),
  ),
  perJob(
    'millrace_hanging_transactions_ended_total',
    'counter',
    'Transactions of Kafka sinks that hung in a partition after a fault of the broker, and that the sink has ended.',
    ({ checkpoints }) => checkpoints.hangingEnded,
  ),
  perJob('millrace_sources_held', 'gauge', 'Whether sources wait for sinks: 1 or 0.', ({ checkpoints }) =>
    Number(checkpoints.sourcesHeld),
  ),
  {
    name: 'millrace_event_to_result_latency_seconds',
    type: 'histogram',
    help: 'Wall-clock time from an event to the result that it changed. Without a sum: only counts per bucket are kept.',
    labels: ['job'],
    read: readLatency,
  },
]

function* readLatency(job: ObservedJob): Iterable<Sample> {
  const counts = new Array<number>(latencyBucketsMs.length + 1).fill(0)
  for (const { stats } of job.subtasks) {
    for (let bucket = 0; bucket < counts.length; bucket++) {
      counts[bucket] = (counts[bucket] ?? 0) + (stats.latencyCounts[bucket] ?? 0)
    }
  }
  const name = job.summary.name
  let sum = 0
  for (const [bucket, count] of counts.entries()) {
    sum += count
    const boundMs = latencyBucketsMs[bucket]
    const le = boundMs === undefined ? '+Inf' : boundMs / 1000
    yield { suffix: '_bucket', labels: { job: name, le }, value: sum }
  }
  yield { suffix: '_count', labels: { job: name }, value: sum }
}
