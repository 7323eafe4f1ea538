/** Commands on metrics: query, watch. */
import type { Command } from 'commander'
import { parseInstant } from '../core/instant.ts'
import type { MetricQuery, MetricResult, MetricValue } from '../query/api.ts'
import { compareValues, valueKey } from '../query/render.ts'
import { outputOf, type ServerOptions, untilSignal, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { usage } from './failure.ts'
import { LiveView } from './live.ts'
import { valueCells, valueColumns, valueJson, writeMetrics, writeResult } from './metric-view.ts'
import type { Output } from './output.ts'
import { collect, positiveInteger, withServer } from './shared-options.ts'

interface SelectionOptions extends ServerOptions {
  readonly from?: string
  readonly to?: string
  readonly filter: readonly string[]
  readonly groupBy?: string
  readonly limit?: number
}

/** Adds the commands to the program. */
export function addMetricCommands(program: Command, deps: CliDeps): void {
  withSelection(withServer(program.command('query')))
    .summary('ask for the values of a metric')
    .description(
      'Asks for the values of a metric as they are now, newest window last. Without a metric, lists those there are.',
    )
    .argument('[metric]', 'job/metric; a job alone lists its metrics')
    .option('--limit <values>', 'most values in the answer', positiveInteger)
    .option('--latest', 'the newest windows when there are more values than the limit, instead of an error', false)
    .addHelpText('after', queryExamples(deps.command))
    .action(async (metric: string | undefined, options: SelectionOptions & { latest: boolean }) => {
      const output = outputOf(deps, options)
      if (metric === undefined || !metric.includes('/')) {
        const metrics = await withClient(deps, options, ({ query }) => query.listMetrics(metric ?? ''))
        writeMetrics(output, metrics)
        return
      }
      const query = selection(metric, options, options.latest)
      writeResult(output, await withClient(deps, options, (client) => client.query.query(query)))
    })
  withSelection(withServer(program.command('watch')))
    .summary('follow the values of a metric')
    .description(
      'Follows the values of a metric until Ctrl-C or the end of the job. On a terminal a table is drawn anew with each\n' +
        'change; elsewhere each change is a line. A slow reader gets the latest values, not every one in between.',
    )
    .argument('<metric>', 'job/metric')
    .option('--changes', 'only what changes from now on', false)
    .option('--rows <rows>', 'rows of the table on a terminal', positiveInteger, 20)
    .action((metric: string, options: SelectionOptions & { changes: boolean; rows: number }) => {
      const query = selection(metric, options, true)
      const output = outputOf(deps, options)
      return untilSignal(deps, (signal) => watch(deps, options, query, output, signal))
    })
}

function withSelection(command: Command): Command {
  return command
    .option('--from <time>', 'windows that end after this: RFC 3339, or a day (UTC)')
    .option('--to <time>', 'windows that start before this')
    .option('--filter <name=value>', 'only this value of a dimension; may be repeated', collect, [])
    .option('--group-by <names>', 'dimensions to keep, with commas; "" for one total (counts and sums only)')
}

function queryExamples(command: string): string {
  return `
Examples:
  ${command} query                                              which metrics there are
  ${command} query engagement/purchases --latest --limit 10     the newest ten values
  ${command} query engagement/page_views --from 2024-03-01 --to 2024-03-02 --filter platform=mobile
  ${command} query engagement/page_views --group-by "" --output json`
}

function selection(metric: string, options: SelectionOptions, latest: boolean): MetricQuery {
  const slash = metric.indexOf('/')
  if (slash <= 0 || slash === metric.length - 1) throw usage(`${metric} names no metric: write job/metric`)
  const filters = new Map<string, string>()
  for (const filter of options.filter) {
    const equals = filter.indexOf('=')
    if (equals <= 0) throw usage(`--filter ${filter} is not name=value`)
    filters.set(filter.slice(0, equals), filter.slice(equals + 1))
  }
  const { groupBy } = options
  return {
    job: metric.slice(0, slash),
    metric: metric.slice(slash + 1),
    fromMs: instant('--from', options.from, Number.NEGATIVE_INFINITY),
    toMs: instant('--to', options.to, Number.POSITIVE_INFINITY),
    filters,
    groupBy:
      groupBy === undefined
        ? null
        : groupBy
            .split(',')
            .map((name) => name.trim())
            .filter((name) => name !== ''),
    limit: options.limit ?? 0,
    latest,
  }
}

function instant(flag: string, text: string | undefined, absent: number): number {
  if (text === undefined) return absent
  const ms = parseInstant(text)
  if (Number.isNaN(ms)) throw usage(`${flag} ${text} is no time: write 2024-03-13 or 2024-03-13T10:21:14Z`)
  return ms
}

function watch(
  deps: CliDeps,
  options: ServerOptions & { readonly changes: boolean; readonly rows: number },
  query: MetricQuery,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  return withClient(
    deps,
    options,
    ({ query: queries }) =>
      new Promise((resolve, reject) => {
        const view = watchView(deps, output, options.rows)
        const cancel = queries.watch(
          query,
          {
            onValues: (result) => view.show(result),
            onEnd: (error) => {
              view.end()
              if (error === null) resolve()
              else reject(error)
            },
          },
          { changesOnly: options.changes },
        )
        signal.addEventListener('abort', () => {
          cancel()
          view.end()
          resolve()
        })
      }),
  )
}

function watchView(deps: CliDeps, output: Output, rowsMax: number) {
  if (!output.live) return { show: (result: MetricResult) => writeChanges(output, result), end: () => {} }
  const live = new LiveView(output.stdout, deps.clock, deps.scheduler)
  const values = new Map<string, MetricValue>()
  return {
    show: (result: MetricResult) => {
      for (const value of result.values) values.set(valueKey(value), value)
      const newest = [...values.values()].sort(compareValues)
      for (const value of newest.splice(0, newest.length - 10 * rowsMax)) values.delete(valueKey(value))
      const rows = newest.slice(-rowsMax).map((value) => valueCells(result.info, value))
      live.draw([
        output.style('bold', `${result.info.job}/${result.info.metric}`),
        ...output.tableLines(valueColumns(result.dimensions, result.info), rows),
        output.style('dim', 'Ctrl-C ends'),
      ])
    },
    end: () => live.end(),
  }
}

function writeChanges(output: Output, result: MetricResult): void {
  for (const value of result.values) {
    if (output.format === 'json') output.jsonLine(valueJson(result, value))
    else output.line(valueCells(result.info, value).join('\t'))
  }
}
