/**
 * Savepoints and what is in them, as tables and as JSON.
 *
 * The JSON forms are API: every field is always there.
 */
import type { SavepointInfo } from '../control/api.ts'
import type { Inspection, SampleRow, TableInspection } from '../savepoint/inspection.ts'
import { formatBytes, formatNumber, formatTime, formatWatermark, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

const right = (title: string): TableColumn => ({ title, align: 'right' })
const left = (title: string): TableColumn => ({ title })

/** A savepoint for JSON. */
export function savepointJson({ createdAtMs, ...rest }: SavepointInfo) {
  return { ...rest, createTime: jsonInstant(createdAtMs) }
}

/** Writes one that was just made. */
export function writeSavepointMade(output: Output, savepoint: SavepointInfo): void {
  if (output.format === 'json') output.json({ savepoint: savepointJson(savepoint) })
  else output.line(madeText(savepoint))
}

/** A savepoint that was made, in a line. */
export function madeText({ job, name, checkpointId, sizeBytes, path }: SavepointInfo): string {
  return `savepoint ${job}/${name} of checkpoint ${checkpointId}, ${formatBytes(sizeBytes)}: ${printable(path)}`
}

/** Writes savepoints, one a row. */
export function writeSavepoints(output: Output, savepoints: readonly SavepointInfo[]): void {
  if (output.format === 'json') {
    output.json({ savepoints: savepoints.map(savepointJson) })
    return
  }
  output.table(
    [left('JOB'), left('NAME'), left('CREATED'), right('CHECKPOINT'), right('SIZE'), left('MADE BY'), left('')],
    savepoints.map((one) => [
      one.job,
      one.name,
      Number.isFinite(one.createdAtMs) ? formatTime(one.createdAtMs) : '-',
      one.problem === '' ? String(one.checkpointId) : '-',
      one.problem === '' ? formatBytes(one.sizeBytes) : '-',
      one.reason,
      printable(one.problem),
    ]),
    'no savepoints',
  )
}

/** Writes what is in a savepoint. */
export function writeInspection(output: Output, inspection: Inspection, path: string): void {
  if (output.format === 'json') output.json(inspectionJson(inspection, path))
  else for (const line of inspectionLines(output, inspection)) output.line(line)
}

function inspectionJson({ savepoint, bytes, operators, positions, tables }: Inspection, path: string) {
  const { checkpoint } = savepoint
  return {
    path,
    name: savepoint.name,
    job: checkpoint.jobName,
    jobKind: savepoint.program ? 'program' : 'definition',
    reason: savepoint.reason,
    drained: savepoint.drained,
    createTime: jsonInstant(savepoint.createdAtMs),
    submitTime: jsonInstant(savepoint.submittedAtMs),
    instanceId: savepoint.instanceId,
    checkpointId: checkpoint.checkpointId,
    attempt: checkpoint.attempt,
    parallelism: savepoint.parallelism,
    sizeBytes: bytes,
    blobs: savepoint.blobs.length,
    keyHash: { name: checkpoint.keyHashName, seed: checkpoint.keyHashSeed, groups: checkpoint.keyGroups },
    counters: checkpoint.counters,
    operators: operators.map(({ watermarkMinMs, watermarkMaxMs, ...operator }) => ({
      ...operator,
      watermarkMin: jsonInstant(watermarkMinMs),
      watermarkMax: jsonInstant(watermarkMaxMs),
    })),
    positions: positions.map(({ stopOffset, maxTimestampMs, ...position }) => ({
      ...position,
      stopOffset: jsonNumber(stopOffset),
      maxTimestamp: jsonInstant(maxTimestampMs),
    })),
    tables: tables.map(({ samples, ...table }) => ({ ...table, samples: samples.map(sampleJson) })),
    definition: savepoint.definitionText,
  }
}

function sampleJson({ startMs, endMs, ...sample }: SampleRow) {
  const instant = (ms: number | null) => (ms === null ? null : jsonInstant(ms))
  return { ...sample, start: instant(startMs), end: instant(endMs) }
}

function inspectionLines(output: Output, { savepoint, bytes, operators, positions, tables }: Inspection): string[] {
  const { checkpoint, name, reason, drained } = savepoint
  const made = { savepoint: 'while it ran', stop: 'as it was stopped', drain: 'as it was drained' }[reason]
  const lines = [
    `savepoint ${name} of job ${checkpoint.jobName}, made ${made}, ${formatTime(savepoint.createdAtMs)}`,
    `checkpoint ${checkpoint.checkpointId}, ${formatBytes(bytes)} in ${savepoint.blobs.length} blobs, parallelism ` +
      `${savepoint.parallelism}, ${checkpoint.keyGroups} key groups by ${checkpoint.keyHashName}`,
    ...(drained ? ['all of time has passed: no job goes on from here'] : []),
    `events: ${Object.entries(checkpoint.counters)
      .map(([counter, count]) => `${formatNumber(count)} ${counter}`)
      .join(', ')}`,
    '',
    ...output.tableLines(
      [left('OPERATOR'), left('KIND'), right('PARALLELISM'), right('STATE'), left('WATERMARK')],
      operators.map((operator) => [
        operator.id,
        operator.kind,
        String(operator.parallelism),
        formatBytes(operator.bytes),
        watermarks(operator.watermarkMinMs, operator.watermarkMaxMs),
      ]),
    ),
    '',
    ...output.tableLines(
      [right('PARTITION'), right('POSITION'), left('GREATEST TIME'), left('TOPIC ID')],
      positions.map((position) => [
        String(position.partition),
        formatNumber(position.offset),
        formatWatermark(position.maxTimestampMs),
        position.topicId || '-',
      ]),
    ),
  ]
  for (const table of tables) lines.push('', ...tableLines(output, table))
  return lines
}

function watermarks(minMs: number, maxMs: number): string {
  return minMs === maxMs ? formatWatermark(minMs) : `${formatWatermark(minMs)} to ${formatWatermark(maxMs)}`
}

function tableLines(output: Output, table: TableInspection): string[] {
  const { operator, kind, window, dimensions, spread } = table
  const what = kind === 'state' ? 'state' : `${kind} by ${dimensions.join(', ') || 'nothing'}, ${window}`
  const name = kind === 'state' ? operator : `${operator}/${table.table}`
  const counts = [
    `${formatNumber(table.keys)} keys`,
    kind === 'state'
      ? `${formatNumber(table.timers)} timers`
      : `${formatNumber(table.openRows)} open rows, ${formatNumber(table.closedRows)} closed`,
    ...(table.members > 0 ? [`${formatNumber(table.members)} ${kind === 'state' ? 'broadcast' : 'members'}`] : []),
    ...(table.sketches > 0 ? [`${formatNumber(table.sketches)} sketches of ${formatBytes(table.sketchBytes)}`] : []),
    formatBytes(table.bytes),
  ]
  return [
    output.style('bold', printable(name)),
    `  ${printable(what)}: ${counts.join(', ')}`,
    `  key groups: ${spread.used} of ${spread.groups} used; rows of each ${spread.least} to ${spread.most}, ` +
      `${formatNumber(Math.round(spread.mean * 10) / 10)} on average`,
    ...sampleLines(output, table).map((line) => `  ${line}`),
  ]
}

function sampleLines(output: Output, { samples, kind, dimensions }: TableInspection): string[] {
  if (samples.length === 0) return []
  const keys = kind === 'state' ? ['KEY'] : dimensions.map((dimension) => dimension.toUpperCase())
  const window = kind === 'state' ? [] : [left('WINDOW'), left('STATUS')]
  return output.tableLines(
    [...window, ...keys.map((title) => left(printable(title))), left('VALUES')],
    samples.map(({ key, startMs, endMs, status, values }) => [
      ...(kind === 'state' ? [] : [`${formatWatermark(startMs ?? 0)} – ${formatWatermark(endMs ?? 0)}`, status]),
      ...(kind === 'state' ? [printable(key.join(', '))] : key.map(printable)),
      printable(
        Object.entries(values)
          .map(([column, value]) => `${column}=${valueText(value)}`)
          .join('  '),
      ),
    ]),
  )
}

function valueText(value: unknown): string {
  if (typeof value === 'number') return formatNumber(value)
  if (typeof value === 'object' && value !== null && 'sketchBytes' in value) {
    return `<${formatBytes(Number(value.sketchBytes))}>`
  }
  return typeof value === 'string' ? value : JSON.stringify(value)
}
