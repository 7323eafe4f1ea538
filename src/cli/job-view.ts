/**
 * Jobs, their parts and their checkpoints, as tables and as JSON.
 *
 * The JSON forms are API: names and units as in the protocol, every field always there.
 */
import type { CheckpointInfo, JobState, JobSummary } from '../control/api.ts'
import { formatInstant } from '../core/instant.ts'
import type * as wire from '../gen/millrace/v1/control.ts'
import { fromCheckpoint, fromRedeploy, fromSummary } from '../rpc/control-messages.ts'
import { fromTimestamp } from '../rpc/instants.ts'
import { formatBytes, formatElapsed, formatNumber, formatTime, formatWatermark, printable } from './format.ts'
import { bottleneck, treeLines } from './job-tree.ts'
import type { Output } from './output.ts'
import { redeployJson, writeRedeploys } from './redeploy-view.ts'
import type { TableColumn } from './table.ts'
import { heldJson, heldLines } from './txn-view.ts'

const right = (title: string): TableColumn => ({ title, align: 'right' })
const left = (title: string): TableColumn => ({ title })

/** A state in its colour. */
export function stateText(output: Output, state: JobState): string {
  if (state === 'RUNNING' || state === 'FINISHED') return output.style('green', state)
  if (state === 'FAILED' || state === 'FAILING') return output.style('red', state)
  if (state === 'RESTARTING' || state === 'REDEPLOYING') return output.style('yellow', state)
  return state
}

/** A watermark or time for JSON: RFC 3339, null where there is none, `end` after the last event. */
export function jsonInstant(ms: number): string | null {
  if (ms === Number.POSITIVE_INFINITY) return 'end'
  return Number.isFinite(ms) ? formatInstant(ms) : null
}

/** A number for JSON: null where there is none. */
export function jsonNumber(value: number): number | null {
  return Number.isFinite(value) ? value : null
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
  const columns = ['READ', 'APPLIED', 'LATE', 'DEAD', 'FILTERED', 'COPIES'].map(right)
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
  if (events === undefined) return ['', '', '', '', '', '']
  const { read, applied, late, deadLettered, filtered, deduplicated } = events
  return [read, applied, late, deadLettered, filtered, deduplicated].map(formatNumber)
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

/** A part with its watermark for JSON. */
const watermarkJson = <T extends { watermark?: Date | undefined }>(part: T) => ({
  ...part,
  watermark: jsonInstant(fromTimestamp(part.watermark)),
})

function checkpointsJson(checkpoints: wire.CheckpointSummary | undefined) {
  const checkpoint = (message: wire.Checkpoint | undefined) =>
    message === undefined ? null : checkpointJson(fromCheckpoint(message))
  return {
    completed: checkpoints?.completed ?? 0,
    failed: checkpoints?.failed ?? 0,
    latest: checkpoint(checkpoints?.latest),
    restored: checkpoint(checkpoints?.restored),
    lastFailure: checkpoints?.lastFailure ?? '',
    owed: checkpoints?.owed ?? [],
    sourcesHeld: checkpoints?.sourcesHeld ?? false,
  }
}

function exceptionJson(exception: wire.JobException) {
  return { ...exception, time: jsonInstant(fromTimestamp(exception.time)) }
}

/** One update of a job that is followed, for JSON. */
export function updateJson(update: wire.WatchJobResponse, graph: wire.JobGraph) {
  const { job, subtasks, checkpoints, progress, lastException } = update
  return {
    job: job === undefined ? null : jobJson(fromSummary(job)),
    progress: progress ?? { pendingRecords: -1, readPerSecond: 0 },
    graph,
    subtasks: subtasks.map(watermarkJson),
    checkpoints: checkpointsJson(checkpoints),
    lastException: lastException === undefined ? null : exceptionJson(lastException),
  }
}

/** All that is known of a job, for JSON. */
export function detailsJson(details: wire.DescribeJobResponse) {
  return {
    job: details.job === undefined ? null : jobJson(fromSummary(details.job)),
    graph: details.graph ?? { operators: [], edges: [] },
    subtasks: details.subtasks.map(watermarkJson),
    partitions: details.partitions.map(watermarkJson),
    checkpoints: checkpointsJson(details.checkpoints),
    exceptions: details.exceptions.map(exceptionJson),
    heldPartitions: details.heldPartitions.map(heldJson),
    definition: details.definitionYaml,
    redeploys: details.redeploys.map((redeploy) => redeployJson(fromRedeploy(redeploy))),
  }
}

/** Writes all that is known of a job, in sections. */
export function writeDetails(output: Output, details: wire.DescribeJobResponse, nowMs: number): void {
  if (output.format === 'json') {
    output.json(detailsJson(details))
    return
  }
  if (details.job !== undefined)
    for (const line of headLines(output, fromSummary(details.job), nowMs)) output.line(line)
  writeGraph(output, details)
  writePartitions(output, details)
  writeCheckpointSummary(output, details)
  if (details.heldPartitions.length > 0) {
    section(output, 'Held back by transactions')
    for (const line of heldLines(details.heldPartitions, nowMs)) output.line(output.style('yellow', line))
  }
  if (details.redeploys.length > 0) {
    section(output, 'Changes')
    writeRedeploys(output, details.redeploys.map(fromRedeploy))
  }
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

/** A job's own numbers, a line each. */
export function headLines(output: Output, job: JobSummary, nowMs: number): string[] {
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
        `${formatNumber(events.deadLettered)} dead-lettered + ${formatNumber(events.filtered)} filtered + ` +
        `${formatNumber(events.deduplicated)} deduplicated`,
    ],
  ]
  if (job.reason !== '') rows.splice(2, 0, ['Reason', printable(job.reason)])
  for (const reason of job.guaranteeReasons) rows.splice(-1, 0, ['', printable(reason)])
  if (events.dedupeForgotten > 0) {
    const ids = `${formatNumber(events.dedupeForgotten)} ids before their time, for want of memory: copies of those may be counted`
    rows.push(['Forgotten', ids])
  }
  if (events.lost > 0) rows.push(['Lost', `${formatNumber(events.lost)} taken away by retention before they were read`])
  return rows.map(([name, value]) => `${output.style('dim', name.padEnd(12))}${value}`)
}

/** The graph with where its time goes; a last line names what the others wait for. */
export function graphLines(
  output: Output,
  graph: wire.JobGraph,
  subtasks: readonly wire.SubtaskStatus[],
): readonly string[] {
  const slow = bottleneck(graph, subtasks)
  const lines = treeLines(output, graph, subtasks)
  return slow === null ? lines : [...lines, output.style('yellow', slow)]
}

function writeGraph(output: Output, details: wire.DescribeJobResponse): void {
  section(output, 'Graph')
  const lines = graphLines(output, details.graph ?? { operators: [], edges: [] }, details.subtasks)
  for (const line of lines) output.line(line)
  if (details.subtasks.length === 0) output.note('not deployed')
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
  for (const { checkpointId, records, bytes, sinks } of checkpoints.owed) {
    const what = `${formatNumber(records)} records, ${formatBytes(bytes)}`
    output.line(`owed to ${sinks.join(', ')}: the results of checkpoint ${checkpointId} (${what})`)
  }
  if (checkpoints.sourcesHeld) output.line('sources wait until sinks have applied some of it')
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
