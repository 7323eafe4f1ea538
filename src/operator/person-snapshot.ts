/**
 * Timelines to a checkpoint and back.
 *
 * Owns: their page sequences, and rebuilding them: adopted as they are at the same parallelism, person by person into the
 * owner of each key group at another. Does not own: the meta document (operator/table-snapshot), gains, of which a
 * checkpoint has none.
 */
import { ROW_HASH } from '../state/keyed-table.ts'
import { PagePool } from '../state/page-pool.ts'
import { Timelines } from '../state/timelines.ts'
import { adoptRecycled, type Pages, type VisitRecycled, visitRecycled } from './recycled-snapshot.ts'

/** Rows of persons, rows of events, and 1 where events have values; absent, as it was before there were any: they have none. */
export type TimelinesMeta = readonly [persons: number, events: number, valued?: number]

function personsName(table: string): string {
  return `${table}/persons/`
}

function eventsName(table: string): string {
  return `${table}/timelines/`
}

/** Whether a page sequence is one of the timelines of `table`. */
export function isTimelines(table: string, name: string): boolean {
  return name.startsWith(personsName(table)) || name.startsWith(eventsName(table))
}

/** Visits the pages of the timelines of table `id`. */
export function visitTimelines(id: string, { persons, events }: Timelines, visit: VisitRecycled): void {
  visitRecycled(personsName(id), persons, visit)
  visitRecycled(eventsName(id), events, visit)
}

/** What must be known of timelines beside their pages. */
export function timelinesMeta({ persons, events, valued }: Timelines): TimelinesMeta {
  return valued ? [persons.count, events.count, 1] : [persons.count, events.count]
}

/** Whether the events of a snapshot have values. */
export function areValued(meta: TimelinesMeta | undefined): boolean {
  return meta?.[2] === 1
}

/** Restores the timelines of the same subtask at the same parallelism; their table was `id`. */
export function adoptTimelines(into: Timelines, meta: TimelinesMeta | undefined, pages: Pages, id: string): void {
  if (areValued(meta) !== into.valued) {
    takeOverTimelines(into, meta, pages, id, () => true)
    return
  }
  const [persons, events] = meta ?? [0, 0]
  adoptRecycled(into.persons, personsName(id), persons, pages)
  adoptRecycled(into.events, eventsName(id), events, pages)
}

/** Takes over from another subtask's snapshot the persons whose hash is `mine`. Events that had no value have none. */
export function takeOverTimelines(
  into: Timelines,
  meta: TimelinesMeta | undefined,
  pages: Pages,
  id: string,
  mine: (hash: number) => boolean,
): void {
  const from = new Timelines(new PagePool(), areValued(meta))
  adoptTimelines(from, meta, pages, id)
  for (let person = 0; person < from.persons.count; person++) {
    if (from.persons.isLive(person) && mine(from.persons.u32(person, ROW_HASH))) into.takeOver(from, person)
  }
  from.release()
}
