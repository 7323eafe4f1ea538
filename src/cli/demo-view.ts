/** What `millrace demo` shows: the numbers as they grow, and the table at the end. */
import type { JobSummary } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import type { MetricInfo, MetricResult } from '../query/metric-info.ts'
import type { MillraceClient } from '../rpc/client.ts'
import { formatNumber, formatWindow, printable } from './format.ts'
import { formatValue } from './metric-view.ts'
import type { Output } from './output.ts'
import { eventsLine } from './server-commands.ts'

/** The newest values of every metric of a job. */
export async function newestValues(
  client: MillraceClient,
  metrics: readonly MetricInfo[],
  limit: number,
): Promise<MetricResult[]> {
  return Promise.all(
    metrics.map((info) =>
      client.query.query({
        job: info.job,
        metric: info.metric,
        fromMs: Number.NEGATIVE_INFINITY,
        toMs: Number.POSITIVE_INFINITY,
        filters: new Map(),
        groupBy: null,
        limit,
        latest: true,
      }),
    ),
  )
}

/** The same, or null while the job cannot be asked. */
export async function newestValuesNow(
  client: MillraceClient,
  metrics: readonly MetricInfo[],
  limit: number,
): Promise<MetricResult[] | null> {
  try {
    return await newestValues(client, metrics, limit)
  } catch (thrown) {
    if (MillraceError.from(thrown).retry === 'backoff') return null
    throw thrown
  }
}

const columns = [
  { title: 'METRIC' },
  { title: 'WINDOW' },
  { title: 'BY' },
  { title: 'VALUE', align: 'right' },
  { title: 'STATUS' },
] as const

/** The rows of a table over several metrics: of each, its newest windows, `rowsMax` rows at most. */
function rowsOf(results: readonly MetricResult[], rowsMax: number): string[][] {
  return results.flatMap((result) =>
    result.values
      .slice(-rowsMax)
      .map((value, index) => [
        index === 0 ? result.info.metric : '',
        formatWindow(value.windowStartMs, value.windowEndMs, result.info.window.timezone),
        value.dimensions.map((text) => (text === '' ? '-' : printable(text))).join(', '),
        formatValue(value),
        value.status,
      ]),
  )
}

/** The lines of the live view. */
export function liveLines(
  output: Output,
  job: JobSummary,
  results: readonly MetricResult[],
  written: number,
  total: number,
): string[] {
  const width = 30
  const done = total === 0 ? 0 : Math.min(width, Math.floor((job.events.read / total) * width))
  const bar = `${'#'.repeat(done)}${'.'.repeat(width - done)}`
  return [
    `${output.style('bold', job.name)} ${job.state}  [${bar}] ${formatNumber(written)} of ${formatNumber(total)} events sent`,
    eventsLine(job),
    '',
    ...output.tableLines(columns, rowsOf(results, 3)),
  ]
}

/** Writes the table at the end. */
export function writeNewest(output: Output, results: readonly MetricResult[], rowsMax: number): void {
  output.table(columns, rowsOf(results, rowsMax), 'no values')
}
