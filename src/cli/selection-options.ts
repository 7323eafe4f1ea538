/**
 * Options that say which values of a metric are meant, and what they are read as.
 *
 * `--filter` is `name=value`, `name!=value`, `name^=prefix` or `name!^=prefix`. Filters on one dimension with the same
 * sign are alternatives (a value passes with any of them, or with none of the negated ones); different dimensions must
 * all agree. `--value` is a comparison such as `>=100`; all of them must hold.
 */
import type { Command } from 'commander'
import { parseInstant } from '../core/instant.ts'
import type { DimensionFilter, MetricQuery, ReportQuery, ValueFilter } from '../query/api.ts'
import type { ServerOptions } from './context.ts'
import { usage } from './failure.ts'
import { collect } from './shared-options.ts'

/** What `withRange` adds. */
export interface RangeOptions {
  readonly from?: string
  readonly to?: string
}

/** What `withSelection` adds. */
export interface SelectionOptions extends ServerOptions, RangeOptions {
  readonly filter?: readonly string[]
  readonly value?: readonly string[]
  readonly groupBy?: string
  readonly limit?: number
  readonly top?: number
  readonly bottom?: number
}

/** Adds `--from` and `--to`. */
export function withRange(command: Command): Command {
  return command
    .option('--from <time>', 'windows that end after this: RFC 3339, or a day (UTC)')
    .option('--to <time>', 'windows that start before this')
}

/** Adds `--filter`. */
function withFilter(command: Command): Command {
  return command.option(
    '-f, --filter <condition>',
    'name=value, name!=value, name^=prefix or name!^=prefix on a dimension; several values of one are alternatives',
    collect,
  )
}

/** Adds the options of a selection. */
export function withSelection(command: Command): Command {
  return withFilter(withRange(command))
    .option('--value <comparison>', 'only values such as >=100, <5, =0 or !=0; may be repeated', collect)
    .option('--group-by <names>', 'dimensions to keep, with commas; "" for one total (counts and sums only)')
}

/** Adds the options of a report: range, groups, and dimensions to keep. */
export function withReport(command: Command): Command {
  return withFilter(withRange(command)).option(
    '--group-by <names>',
    'dimensions to keep, with commas; "" adds up all groups',
  )
}

/** What a report is asked about, from its options. USAGE as `selectionOf`. */
export function reportOf(metric: string, options: Omit<SelectionOptions, 'value' | 'top' | 'bottom'>): ReportQuery {
  const { values: _, top: __, latest: ___, ...query } = selectionOf(metric, options, false)
  return query
}

/** A query from its options. USAGE with what is wrong and how it is right. */
export function selectionOf(metric: string, options: SelectionOptions, latest: boolean): MetricQuery {
  const slash = metric.indexOf('/')
  if (slash <= 0 || slash === metric.length - 1) throw usage(`${metric} names no metric: write job/metric`)
  const { groupBy, top, bottom } = options
  if (top !== undefined && bottom !== undefined) throw usage('--top and --bottom exclude each other')
  const count = top ?? bottom
  return {
    job: metric.slice(0, slash),
    metric: metric.slice(slash + 1),
    ...rangeOf(options),
    filters: new Map(),
    groupBy: groupBy === undefined ? null : namesOf(groupBy),
    limit: options.limit ?? 0,
    latest,
    where: filtersOf(options.filter ?? []),
    values: (options.value ?? []).map(comparisonOf),
    top: count === undefined ? null : { count, ascending: bottom !== undefined },
  }
}

/** Names with commas between. */
export function namesOf(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/** The range that `--from` and `--to` give. */
export function rangeOf({ from, to }: RangeOptions): Pick<MetricQuery, 'fromMs' | 'toMs'> {
  return {
    fromMs: instant('--from', from, Number.NEGATIVE_INFINITY),
    toMs: instant('--to', to, Number.POSITIVE_INFINITY),
  }
}

function instant(flag: string, text: string | undefined, absent: number): number {
  if (text === undefined) return absent
  const ms = parseInstant(text)
  if (Number.isNaN(ms)) throw usage(`${flag} ${text} is no time: write 2024-03-13 or 2024-03-13T10:21:14Z`)
  return ms
}

/** Conditions, those of one dimension, test and sign together. */
function filtersOf(texts: readonly string[]): DimensionFilter[] {
  const filters = new Map<string, DimensionFilter & { readonly texts: string[] }>()
  for (const text of texts) {
    const match = /^([^=!^]+)(!?)(\^?)=(.*)$/s.exec(text)
    if (match === null) throw usage(`--filter ${text} is not name=value, name!=value, name^=prefix or name!^=prefix`)
    const [, name = '', not = '', prefix = '', value = ''] = match
    const key = `${name}${not}${prefix}=`
    const filter = filters.get(key) ?? { name, test: prefix === '' ? 'equals' : 'prefix', texts: [], not: not !== '' }
    filters.set(key, filter)
    filter.texts.push(value)
  }
  return [...filters.values()]
}

function comparisonOf(text: string): ValueFilter {
  const match = /^\s*(==?|!=|<=?|>=?)\s*(\S+)\s*$/.exec(text)
  const than = Number(match?.[2] ?? Number.NaN)
  if (match === null || Number.isNaN(than)) throw usage(`--value ${text} is no comparison: write ">=100" or "<5"`)
  const relation = match[1] === '=' ? '==' : (match[1] as ValueFilter['relation'])
  return { relation, than }
}
