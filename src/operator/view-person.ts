/**
 * What a table about persons knows of one of them: what they alone come to, and their events.
 *
 * Owns: finding the person, adding up what they give to one window and group. Does not own: what a timeline comes to
 * (operator/person-table), putting metrics together (query/lookup.ts). Runs between two batches, and changes nothing.
 */
import { hashBytes } from '../core/hash.ts'
import type { MetricPlan } from '../job/plan.ts'
import { Timeline } from '../metrics/timeline.ts'
import { dimensionTexts } from './group-key.ts'
import type { PartialTable } from './partial-table.ts'
import { PersonTable } from './person-table.ts'
import { readDetail, readMetric, readVolume } from './read-metric.ts'
import { AllRows, columnsOf } from './view-collect.ts'
import type { PersonEvents, PersonQuestion, ViewQuery, ViewRows } from './view-rows.ts'

const encoder = new TextEncoder()

/** The answer of the table of `metric` among `tables`; null where it is not about persons. */
export function queryPerson(
  tables: readonly PartialTable[],
  metric: MetricPlan | undefined,
  query: ViewQuery,
  about: { readonly operator: 'window' | 'merge'; readonly subtask: number; readonly watermarkMs: number },
): ViewRows | null {
  const table = tables.find(({ index }) => index === metric?.table)
  if (metric === undefined || query.person === undefined || !(table instanceof PersonTable)) return null
  const key = encoder.encode(query.person.key)
  const person = table.timelines.find(hashBytes(key, 0, key.length), key, 0, key.length)
  const collector = new AllRows(query.rowsMax)
  if (person >= 0) collect(table, metric, person, query, about.watermarkMs, collector)
  const rows = { ...about, change: -1, truncated: collector.truncated, ...columnsOf(collector.rows()) }
  return query.person.eventsMax === 0 ? rows : { ...rows, person: eventsOf(table, person, query.person) }
}

function collect(
  table: PersonTable,
  metric: MetricPlan,
  person: number,
  { fromMs, toMs }: ViewQuery,
  watermarkMs: number,
  into: AllRows,
): void {
  const { accumulators, plan } = table
  const groups = new Map<string, { startMs: number; endMs: number; dimensions: string[]; f64: Float64Array }>()
  table.tell(person, Number.NEGATIVE_INFINITY, toMs, watermarkMs, (startMs, endMs, key, f64) => {
    if (endMs <= fromMs) return
    const dimensions = dimensionTexts(key, plan.dimensions.length)
    const name = JSON.stringify([startMs, endMs, ...dimensions])
    const known = groups.get(name)
    if (known === undefined) groups.set(name, { startMs, endMs, dimensions, f64 })
    else for (let i = 0; i < f64.length; i++) known.f64[i]! += f64[i]!
  })
  for (const { f64, ...place } of groups.values()) {
    const events = f64[metric.events]!
    if (events === 0) continue
    into.add({
      ...place,
      ...{ value: readMetric(metric, accumulators, f64, 0), volume: readVolume(metric, accumulators, f64, 0), events },
      ...{ revision: 0, late: 0, provisional: true, detail: readDetail(metric, accumulators, f64, 0) },
    })
  }
}

function eventsOf(table: PersonTable, person: number, { eventsMax }: PersonQuestion): PersonEvents {
  const timeline = person < 0 ? new Timeline() : table.eventsOf(person)
  const from = Math.max(0, timeline.count - eventsMax)
  const { timeMs, bits, copies, value, bytes, textsAt, textsLength } = timeline
  const { dimensions, person: plan } = table.plan
  const texts = dimensions.filter((column) => column !== -2).length + (plan?.kind === 'paths' ? 1 : 0)
  // Behind its length each, where the table makes dimensions of its own too.
  const several = dimensions.length > 1 || texts > 1 || (texts === 1 && dimensions.includes(-2))
  return {
    timeMs: timeMs.slice(from, timeline.count),
    bits: bits.slice(from, timeline.count),
    copies: copies.slice(from, timeline.count),
    value: value.slice(from, timeline.count),
    dimensions: Array.from({ length: timeline.count - from }, (_, i) => {
      const own = bytes.slice(textsAt[from + i]!, textsAt[from + i]! + textsLength[from + i]!)
      return several && texts === 1
        ? dimensionTexts(Uint8Array.from([...own, 0]), 2).slice(0, 1)
        : dimensionTexts(own, texts)
    }),
    truncated: from > 0,
  }
}
