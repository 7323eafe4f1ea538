/**
 * Jobs, their parts and their checkpoints, as tables and as JSON.
 *
 * The JSON forms are API: names and units as in the protocol, every field always there.
 */
import type { CheckpointInfo, JobState, JobSummary } from '../control/api.ts'
import { formatInstant } from '../core/instant.ts'
import type * as wire from '../gen/millrace/v1/control.ts'
import { fromCheckpoint, fromSummary } from '../rpc/control-messages.ts'
import { fromTimestamp } from '../rpc/instants.ts'
import { formatBytes, formatElapsed, formatNumber, formatTime, formatWatermark, printable } from './format.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

const right = (title: string): TableColumn => ({ title, align: 'right' })
const left = (title: string): TableColumn => ({ title })

/** A state in its colour. */
export function stateText(output: Output, state: JobState): string {
  if (state === 'RUNNING' || state === 'FINISHED') return output.style('green', state)
  if (state === 'FAILED' || state === 'FAILING') return output.style('red', state)
  if (state === 'RESTARTING') return output.style('yellow', state)
  return state
}

/** A watermark or time for JSON: RFC 3339, null where there is none, `end` after the last event. */
export function jsonInstant(ms: number): string | null {
  if (ms === Number.POSITIVE_INFINITY) return 'end'
  return Number.isFinite(ms) ? formatInstant(ms) : null
}

/** A job for JSON. */
export function jobJson(job: JobSummary) {
  const { createdAtMs, stateSinceMs, watermarkMs, ...rest } = job
  return {
    ...rest,
    createTime: jsonInstant(createdAtMs),
    stateTime: jsonInstant(stateSinceMs),
    watermark: jsonInstant(watermarkMs),
  }
}

/** A checkpoint for JSON. */
export function checkpointJson({ createdAtMs, ...rest }: CheckpointInfo) {
  return { ...rest, createTime: jsonInstant(createdAtMs) }
}

/** Writes jobs, one a row. */
export function writeJobs(output: Output, jobs: readonly JobSummary[], nowMs: number): void {
  if (output.format === 'json') {
    output.json({ jobs: jobs.map(jobJson) })
    return
  }
  const columns = ['READ', 'APPLIED', 'LATE', 'DEAD', 'FILTERED'].map(right)
  output.table(
    [left('NAME'), left('STATE'), left('SINCE'), right('RESTARTS'), ...columns, left('WATERMARK')],
    jobs.map((job) => [
      job.name,
      job.state,
      formatElapsed(nowMs - job.stateSinceMs),
      formatNumber(job.restarts),
      ...eventCells(job.events),
      formatWatermark(job.watermarkMs),
    ]),
    'no jobs',
  )
}

function eventCells(events: JobSummary['events'] | undefined): string[] {
  if (events === undefined) return ['', '', '', '', '']
  return [events.read, events.applied, events.late, events.deadLettered, events.filtered].map(formatNumber)
}

/** Writes what became of a job after a command. */
export function writeJobChange(output: Output, job: JobSummary, did: string): void {
  if (output.format === 'json') output.json({ job: jobJson(job) })
  else
    output.line(
      `job ${job.name} ${did}: ${stateText(output, job.state)}${job.reason === '' ? '' : ` (${printable(job.reason)})`}`,
    )
}

const checkpointColumns: readonly TableColumn[] = [
  right('ID'),
  left('CREATED'),
  right('DURATION'),
  right('SIZE'),
  right('WRITTEN'),
  right('ATTEMPT'),
]

/** Writes checkpoints, newest first. */
export function writeCheckpoints(output: Output, checkpoints: readonly CheckpointInfo[]): void {
  if (output.format === 'json') {
    output.json({ checkpoints: checkpoints.map(checkpointJson) })
    return
  }
  output.table(checkpointColumns, checkpoints.map(checkpointCells), 'no checkpoints')
}

function checkpointCells(checkpoint: CheckpointInfo): string[] {
  return [
    String(checkpoint.id),
    formatTime(checkpoint.createdAtMs),
    formatElapsed(checkpoint.durationMs),
    formatBytes(checkpoint.sizeBytes),
    formatBytes(checkpoint.writtenBytes),
    String(checkpoint.attempt),
  ]
}

/** All that is known of a job, for JSON. */
export function detailsJson(details: wire.DescribeJobResponse) {
  const watermark = <T extends { watermark?: Date | undefined }>(part: T) => ({
    ...part,
    watermark: jsonInstant(fromTimestamp(part.watermark)),
  })
  const { checkpoints } = details
  const checkpoint = (message: wire.Checkpoint | undefined) =>
    message === undefined ? null : checkpointJson(fromCheckpoint(message))
  return {
    job: details.job === undefined ? null : jobJson(fromSummary(details.job)),
    graph: details.graph ?? { operators: [], edges: [] },
    subtasks: details.subtasks.map(watermark),
    partitions: details.partitions.map(watermark),
    checkpoints: {
      completed: checkpoints?.completed ?? 0,
      failed: checkpoints?.failed ?? 0,
      latest: checkpoint(checkpoints?.latest),
      restored: checkpoint(checkpoints?.restored),
      lastFailure: checkpoints?.lastFailure ?? '',
    },
    exceptions: details.exceptions.map((exception) => ({
      ...exception,
      time: jsonInstant(fromTimestamp(exception.time)),
    })),
    definition: details.definitionYaml,
  }
}

/** Writes all that is known of a job, in sections. */
export function writeDetails(output: Output, details: wire.DescribeJobResponse, nowMs: number): void {
  if (output.format === 'json') {
    output.json(detailsJson(details))
    return
  }
  if (details.job !== undefined) writeHead(output, fromSummary(details.job), nowMs)
  writeGraph(output, details)
  writeSubtasks(output, details)
  writePartitions(output, details)
  writeCheckpointSummary(output, details)
  if (details.exceptions.length > 0) {
    section(output, 'Exceptions')
    output.table(
      [left('TIME'), left('CODE'), left('WHERE'), right('ATTEMPT'), left('MESSAGE')],
      details.exceptions.map((exception) => [
        formatTime(fromTimestamp(exception.time)),
        exception.code,
        exception.operator === '' ? 'coordinator' : `${exception.operator}[${exception.subtask}]`,
        String(exception.attempt),
        printable(exception.message),
      ]),
      '',
    )
  }
}

function section(output: Output, title: string): void {
  output.line()
  output.line(output.style('bold', title))
}

function writeHead(output: Output, job: JobSummary, nowMs: number): void {
  const { events } = job
  const rows: [string, string][] = [
    ['Job', job.name],
    ['State', `${stateText(output, job.state)} for ${formatElapsed(nowMs - job.stateSinceMs)}`],
    ['Attempt', `${job.attempt} (${formatNumber(job.restarts)} restarts)`],
    ['Parallelism', String(job.parallelism)],
    ['Watermark', formatWatermark(job.watermarkMs)],
    ['Guarantee', job.guarantee],
    [
      'Events',
      `${formatNumber(events.read)} read = ${formatNumber(events.applied)} applied + ${formatNumber(events.late)} late + ` +
        `${formatNumber(events.deadLettered)} dead-lettered + ${formatNumber(events.filtered)} filtered`,
    ],
  ]
  if (job.reason !== '') rows.splice(2, 0, ['Reason', printable(job.reason)])
  for (const reason of job.guaranteeReasons) rows.splice(-1, 0, ['', printable(reason)])
  if (events.lost > 0) rows.push(['Lost', `${formatNumber(events.lost)} taken away by retention before they were read`])
  for (const [name, value] of rows) output.line(`${output.style('dim', name.padEnd(12))}${value}`)
}

function writeGraph(output: Output, details: wire.DescribeJobResponse): void {
  section(output, 'Graph')
  const edges = new Map((details.graph?.edges ?? []).map((edge) => [edge.from, edge]))
  output.table(
    [left('OPERATOR'), left('KIND'), right('SUBTASKS'), left('TO'), left('DOES')],
    (details.graph?.operators ?? []).map((operator) => {
      const edge = edges.get(operator.id)
      const to = edge === undefined ? '' : `${edge.to} by ${edge.partitioning}`
      return [operator.id, operator.kind, String(operator.parallelism), to, printable(operator.description)]
    }),
    'no operators',
  )
}

function writeSubtasks(output: Output, details: wire.DescribeJobResponse): void {
  section(output, 'Subtasks')
  const percent = (ratio: number) => `${Math.round(ratio * 100)} %`
  output.table(
    [left('SUBTASK'), ...['IN', 'OUT', 'BUSY', 'IDLE', 'BLOCKED', 'STATE', 'PENDING'].map(right), left('WATERMARK')],
    details.subtasks.map((subtask) => [
      `${subtask.operator}[${subtask.subtask}]`,
      formatNumber(subtask.recordsIn),
      formatNumber(subtask.recordsOut),
      percent(subtask.busyRatio),
      percent(subtask.idleRatio),
      percent(subtask.backPressuredRatio),
      formatBytes(subtask.stateBytes),
      subtask.pendingRecords < 0 ? '-' : formatNumber(subtask.pendingRecords),
      `${formatWatermark(fromTimestamp(subtask.watermark))}${subtask.finished ? ' finished' : subtask.idle ? ' idle' : ''}`,
    ]),
    'not deployed',
  )
}

function writePartitions(output: Output, details: wire.DescribeJobResponse): void {
  if (details.partitions.length === 0) return
  section(output, 'Partitions')
  output.table(
    [...['PARTITION', 'SUBTASK', 'POSITION', 'END', 'LAG'].map(right), left('WATERMARK')],
    details.partitions.map((partition) => [
      String(partition.partition),
      String(partition.subtask),
      formatNumber(partition.position),
      partition.end < 0 ? '-' : formatNumber(partition.end),
      partition.lag < 0 ? '-' : formatNumber(partition.lag),
      `${formatWatermark(fromTimestamp(partition.watermark))}${partition.reachable ? (partition.idle ? ' idle' : '') : ' unreachable'}`,
    ]),
    '',
  )
}

function writeCheckpointSummary(output: Output, details: wire.DescribeJobResponse): void {
  const { checkpoints } = details
  if (checkpoints === undefined) return
  section(output, 'Checkpoints')
  output.line(`${formatNumber(checkpoints.completed)} completed, ${formatNumber(checkpoints.failed)} failed`)
  if (checkpoints.lastFailure !== '') output.line(`last failure: ${printable(checkpoints.lastFailure)}`)
  const known = [checkpoints.latest, checkpoints.restored].filter((checkpoint) => checkpoint !== undefined)
  if (known.length > 0) {
    output.table(
      [left('WHICH'), ...checkpointColumns],
      known.map((checkpoint) => [
        checkpoint === checkpoints.latest ? 'latest' : 'restored',
        ...checkpointCells(fromCheckpoint(checkpoint)),
      ]),
      '',
    )
  }
}
