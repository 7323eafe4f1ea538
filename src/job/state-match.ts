/**
 * Which accumulators of a checkpoint's tables go on in which of a plan's.
 *
 * Owns: the matching, by what accumulators mean. A metric finds its state wherever a table with the same dimensions and
 * windows has all of what it needs, from the same moment on; whatever it is called, and in whatever order. Does not own:
 * what may be lost (job/state-diff.ts), or moving rows (operator/table-restore). Pure.
 *
 * A metric that finds only a part must not read it: the sum of all events by the count of the latest ones is no average.
 * It gets accumulators of its own, which begin with it. So equal accumulators may be in a table twice; `since` tells them
 * apart, here and in every checkpoint from then on.
 */
import type { JobPlan, MetricPlan, MetricRead, TablePlan } from './plan.ts'
import {
  holds,
  type MetricDescriptor,
  readsOf,
  type StateDescription,
  type TableDescriptor,
  tableKey,
} from './state-identity.ts'

/** A table of the checkpoint from which a table of the plan gets rows. */
export interface TableSource {
  readonly held: TableDescriptor
  /** By accumulator of `held`: the accumulator of the plan's table that goes on with it, or -1. */
  readonly accumulators: readonly number[]
}

/** Where a metric goes on from; indexes into the checkpoint's tables. Null: it begins. */
export type MetricOrigin = { readonly table: number; readonly reads: readonly number[] } | null

/** Where one table of the plan goes on from. */
export interface TableMatch {
  /** What the table will have, accumulators of its own for metrics that begin included. */
  readonly layout: readonly PlacedAccumulator[]
  readonly sources: readonly TableSource[]
  /** By metric of the table's descriptor. */
  readonly origins: readonly MetricOrigin[]
  /** By metric: the `since` of its accumulators. */
  readonly since: readonly number[]
}

/** An accumulator of a plan's table, by place, with the moment that it began at. */
interface PlacedAccumulator {
  readonly from: number
  readonly since: number
}

interface Option {
  readonly table: number
  readonly since: number
  readonly reads: readonly number[]
  /** Smaller is better, number by number. */
  readonly rank: readonly number[]
}

/** Matches the tables of a plan with those of a checkpoint; one match a table of `wanted`, in order. */
export function matchTables(held: StateDescription, wanted: StateDescription): readonly TableMatch[] {
  const next = 1 + Math.max(0, ...held.tables.flatMap((table) => table.accumulators.map(({ since }) => since)))
  const sameEvents = JSON.stringify(held.event) === JSON.stringify(wanted.event)
  return wanted.tables.map((table) => matchTable(sameEvents ? held.tables : [], table, next))
}

function matchTable(held: readonly TableDescriptor[], wanted: TableDescriptor, next: number): TableMatch {
  const key = tableKey(wanted)
  const alike = held.map((table) => tableKey(table) === key)
  const found = wanted.metrics.map((metric) =>
    held.flatMap((table, t) => (alike[t] ? optionsIn(table, t, wanted, metric) : [])).sort(byRank),
  )
  const whole = wanted.window.kind === 'session' || wanted.person !== undefined
  const options = (whole ? ofOneTable(found) : found).map(([best]) => best ?? null)
  const begins = options.every((option) => option === null) ? 0 : next
  const tags = new Map<string, number>()
  const taken = new Set<number>()
  let fresh = next
  const since = options.map((option) => {
    if (option === null) return begins
    const name = `${option.table} ${option.since}`
    let tag = tags.get(name)
    if (tag === undefined) {
      tag = taken.has(option.since) ? ++fresh : option.since
      tags.set(name, tag)
      taken.add(tag)
    }
    return tag
  })
  const layout = layOut(wanted.metrics, since)
  return {
    layout,
    sources: sourcesOf(held, wanted, options, since, layout),
    origins: options.map((option) => option && { table: option.table, reads: option.reads }),
    since,
  }
}

function optionsIn(held: TableDescriptor, table: number, wanted: TableDescriptor, metric: MetricDescriptor): Option[] {
  return [...new Set(held.accumulators.map(({ since }) => since))].flatMap((since): Option[] => {
    const reads = metric.reads.map((read) =>
      held.accumulators.findIndex((a) => a.since === since && holds(a, wanted.accumulators[read]!)),
    )
    if (reads.includes(-1)) return []
    const readers = held.metrics.filter((other) => other.reads.join() === reads.join())
    const itself = readers.some(({ id }) => id === metric.id)
    const alike = readers.some(({ as }) => as === metric.as)
    const rank = [itself ? 0 : 1, alike ? 0 : 1, held.id === wanted.id ? 0 : 1, since, table]
    return [{ table, since, reads, rank }]
  })
}

/**
 * Sessions, and timelines of persons, go on from one table, the one with the most metrics: another has those of the same
 * keys, which would have to be merged.
 */
function ofOneTable(found: readonly Option[][]): readonly Option[][] {
  const tables = [...new Set(found.flat().map(({ table }) => table))].sort((a, b) => a - b)
  const inTable = (table: number): Option[][] =>
    found.map((options) => options.filter((option) => option.table === table))
  const sizeOf = (table: number): number => inTable(table).filter(({ length }) => length > 0).length
  const best = tables.reduce((best, table) => (best < 0 || sizeOf(table) > sizeOf(best) ? table : best), -1)
  return inTable(best)
}

function byRank(a: Option, b: Option): number {
  const at = a.rank.findIndex((number, i) => number !== b.rank[i])
  return at < 0 ? 0 : a.rank[at]! - b.rank[at]!
}

/** The accumulators that metrics need, in the order of the plan; where all begin together, exactly the plan's. */
function layOut(metrics: readonly MetricDescriptor[], since: readonly number[]): PlacedAccumulator[] {
  const places = new Map<string, PlacedAccumulator>()
  metrics.forEach(({ reads }, m) => {
    for (const from of reads) places.set(`${from} ${since[m]}`, { from, since: since[m]! })
  })
  return [...places.values()].sort((a, b) => a.from - b.from || a.since - b.since)
}

function placeOf(layout: readonly PlacedAccumulator[], from: number, since: number): number {
  return layout.findIndex((placed) => placed.from === from && placed.since === since)
}

function sourcesOf(
  held: readonly TableDescriptor[],
  wanted: TableDescriptor,
  options: readonly (Option | null)[],
  since: readonly number[],
  layout: readonly PlacedAccumulator[],
): TableSource[] {
  const sources = new Map<number, number[]>()
  options.forEach((option, m) => {
    if (option === null) return
    let into = sources.get(option.table)
    if (into === undefined) sources.set(option.table, (into = held[option.table]!.accumulators.map(() => -1)))
    option.reads.forEach((read, i) => {
      into[read] = placeOf(layout, wanted.metrics[m]!.reads[i]!, since[m]!)
    })
  })
  return [...sources].map(([table, accumulators]) => ({ held: held[table]!, accumulators }))
}

/** The plan with accumulators of their own for metrics that begin later than their table. */
export function alignPlan(plan: JobPlan, matches: readonly TableMatch[]): JobPlan {
  if (matches.every(({ layout }) => layout.every(({ since }) => since === 0))) return plan
  const places = new Map<number, number>()
  const metrics = plan.metrics.map((metric): MetricPlan => {
    const { layout, since } = matches[metric.table]!
    const own = places.get(metric.table) ?? 0
    places.set(metric.table, own + 1)
    const at = (from: number): number => placeOf(layout, from, since[own]!)
    return { ...metric, events: at(metric.events), read: movedRead(metric.read, at) }
  })
  const tables = plan.tables.map((table, t): TablePlan => {
    const accumulators = matches[t]!.layout.map(({ from, since }, place) => {
      const { metrics: names, ...accumulator } = table.accumulators[from]!
      const readers = metrics.filter((metric) => metric.table === t && readsOf(metric).includes(place))
      return {
        ...accumulator,
        ...(since === 0 ? {} : { since }),
        ...(names === undefined ? {} : { metrics: readers.map(({ id }) => id) }),
      }
    })
    return { ...table, accumulators }
  })
  return { ...plan, tables, metrics }
}

function movedRead(read: MetricRead, at: (from: number) => number): MetricRead {
  return read.kind === 'ratio' ? { ...read, of: at(read.of), by: at(read.by) } : { ...read, of: at(read.of) }
}
