/** Commands on metrics: query, watch, lookup. */
import { type Command, Option } from 'commander'
import type { MetricQuery } from '../query/api.ts'
import type { MetricResult, MetricValue } from '../query/metric-info.ts'
import { compareValues, valueKey } from '../query/render.ts'
import { outputOf, type ServerOptions, untilEnded, untilSignal, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { type ExportForm, writeExport } from './export-view.ts'
import { writeKey } from './key-view.ts'
import { LiveView } from './live.ts'
import { valueCells, valueColumns, valueJson, writeMetrics, writeResult } from './metric-view.ts'
import type { Output } from './output.ts'
import {
  namesOf,
  type RangeOptions,
  rangeOf,
  type SelectionOptions,
  selectionOf,
  withRange,
  withSelection,
} from './selection-options.ts'
import { positiveInteger, withServer } from './shared-options.ts'

interface QueryOptions {
  readonly latest: boolean
  readonly export?: ExportForm
}

interface LookupOptions extends ServerOptions, RangeOptions {
  readonly metrics?: string
  readonly limit?: number
  readonly events: number | false
}

/** Adds the commands to the program. */
export function addMetricCommands(program: Command, deps: CliDeps): void {
  withSelection(withServer(program.command('query')))
    .summary('ask for the values of a metric')
    .description(
      'Asks for the values of a metric as they are now, newest window last. Without a metric, lists those there are. ' +
        'Conditions, totals and top lists are worked out where the values are, so that large tables stay there.',
    )
    .argument('[metric]', 'job/metric; a job alone lists its metrics')
    .option('--limit <values>', 'most values in the answer', positiveInteger)
    .option('--top <values>', 'the greatest values of each window, greatest first', positiveInteger)
    .option('--bottom <values>', 'the least values of each window, least first', positiveInteger)
    .option('--latest', 'the newest windows when there are more values than the limit, instead of an error', false)
    .addOption(
      new Option(
        '--export <form>',
        'to hand on: csv or json whose header says definition, time zone and watermark',
      ).choices(['csv', 'json']),
    )
    .action(async (metric: string | undefined, options: SelectionOptions & QueryOptions) => {
      const output = outputOf(deps, options)
      if (metric === undefined || !metric.includes('/')) {
        const metrics = await withClient(deps, options, ({ query }) => query.listMetrics(metric ?? ''))
        writeMetrics(output, metrics)
        return
      }
      const query = selectionOf(metric, options, options.latest)
      const result = await withClient(deps, options, (client) => client.query.query(query))
      if (options.export === undefined) writeResult(output, result)
      else writeExport(output, result, options.export, deps.clock.nowMs())
    })
  withRange(withServer(program.command('lookup')))
    .summary('show all that is known of one key')
    .description(
      "Shows the values of one key, such as a person, of every metric that has the event's key among its dimensions: in open\n" +
        'windows and in those that are kept. Of metrics about persons it shows what this one alone comes to (steps of funnels,\n' +
        'sessions, cohorts) in windows that can still change, and their timeline. Asks only the subtask that owns the key.',
    )
    .argument('<job>', 'name of the job')
    .argument('<key>', 'the key, as dimensions show it')
    .option('--metrics <names>', 'only these metrics, with commas')
    .option('--limit <values>', 'most values of each metric, the newest windows; default 1000', positiveInteger)
    .option('--events <count>', 'most events of each timeline, the newest', positiveInteger, 20)
    .option('--no-events', 'no timelines')
    .action(async (job: string, key: string, options: LookupOptions) => {
      const query = {
        job,
        key,
        metrics: namesOf(options.metrics ?? ''),
        ...rangeOf(options),
        limit: options.limit ?? 0,
        events: options.events === false ? 0 : options.events,
      }
      writeKey(
        outputOf(deps, options),
        query,
        await withClient(deps, options, (client) => client.query.lookupKey(query)),
      )
    })
  withSelection(withServer(program.command('watch')))
    .summary('follow the values of a metric')
    .description(
      'Follows the values of a metric until Ctrl-C or the end of the job. On a terminal a table is drawn anew with each ' +
        'change; elsewhere each change is a line. A slow reader gets the latest values, not every one in between.',
    )
    .argument('<metric>', 'job/metric')
    .option('--changes', 'only what changes from now on', false)
    .option('--rows <rows>', 'rows of the table on a terminal', positiveInteger, 20)
    .action((metric: string, options: SelectionOptions & { changes: boolean; rows: number }) => {
      const query = selectionOf(metric, options, true)
      const output = outputOf(deps, options)
      return untilSignal(deps, (signal) => watch(deps, options, query, output, signal))
    })
}

function watch(
  deps: CliDeps,
  options: ServerOptions & { readonly changes: boolean; readonly rows: number },
  query: MetricQuery,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  return withClient(deps, options, ({ query: queries }) => {
    const view = watchView(deps, output, options.rows)
    return untilEnded(
      signal,
      (onEnd) =>
        queries.watch(
          query,
          { onValues: (result) => view.show(result), onWaiting: (why) => view.wait(why), onEnd },
          { changesOnly: options.changes },
        ),
      view.end,
    )
  })
}

function watchView(deps: CliDeps, output: Output, rowsMax: number) {
  if (!output.live) {
    return {
      show: (result: MetricResult) => writeChanges(output, result),
      // Its lines are values: who reads them is told beside them.
      wait: (why: string | null) => output.note(why === null ? 'going on' : `waiting: ${why}`),
      end: () => {},
    }
  }
  const live = new LiveView(output.stdout, deps.clock, deps.scheduler)
  const values = new Map<string, MetricValue>()
  let lines: readonly string[] = []
  let waiting: string | null = null
  const draw = () =>
    live.draw([...lines, output.style('dim', waiting === null ? 'Ctrl-C ends' : `Waiting: ${waiting}`)])
  return {
    wait: (why: string | null) => {
      waiting = why
      draw()
    },
    show: (result: MetricResult) => {
      for (const value of result.values) values.set(valueKey(value, result.info.window), value)
      const newest = [...values.values()].sort(compareValues)
      for (const value of newest.splice(0, newest.length - 10 * rowsMax))
        values.delete(valueKey(value, result.info.window))
      const rows = newest.slice(-rowsMax).map((value) => valueCells(result.info, value))
      lines = [
        output.style('bold', `${result.info.job}/${result.info.metric}`),
        ...output.tableLines(valueColumns(result.dimensions, result.info), rows),
      ]
      draw()
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
