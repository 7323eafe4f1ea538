/**
 * Ids of events to a checkpoint and back.
 *
 * Owns: their page sequences and what must be known beside them; rebuilding the table: adopted as it is at the same
 * parallelism and width of slices, else id by id into the owner of each key group. Does not own: whether ids of a
 * checkpoint mean anything to a plan (job/state-diff.ts).
 */
import type { DedupeDescriptor } from '../job/dedupe.ts'
import { ID_KEY_HASH, ID_PAGE_ROWS, ID_STRIDE } from '../state/id-slices.ts'
import { IdTable } from '../state/id-table.ts'
import type { Pages, VisitRecycled } from './recycled-snapshot.ts'

/** Begins the names of the sequences. No table has it: those of tables have a `|`. */
export const IDS_PREFIX = 'dedupe/'

const TEXTS = `${IDS_PREFIX}texts`

/** What must be known of ids beside their pages. */
export interface IdsMeta {
  readonly descriptor: DedupeDescriptor
  /** Start of each slice. */
  readonly slices: readonly number[]
  readonly count: number
}

function sliceName(startMs: number): string {
  return `${IDS_PREFIX}${startMs}`
}

/** Visits the pages of a table of ids. */
export function visitIds({ slices, texts }: IdTable, visit: VisitRecycled): void {
  for (const { startMs, rows, used } of slices.all) {
    rows.pages.forEach((page, i) => {
      const count = i === rows.pages.length - 1 ? used : ID_PAGE_ROWS
      visit(sliceName(startMs), i, count, count * ID_STRIDE * 4, page)
    })
  }
  texts.pages.pages.forEach((page, i) => {
    const bytes = texts.bytesUsed(i)
    visit(TEXTS, i, bytes, bytes, page)
  })
}

/** What must be known of a table of ids. */
export function idsMeta(descriptor: DedupeDescriptor, { slices, count }: IdTable): IdsMeta {
  return { descriptor, slices: slices.all.map(({ startMs }) => startMs), count }
}

/** Restores the ids of the same subtask at the same parallelism; they were kept as long as they are now. */
export function adoptIds(into: IdTable, meta: IdsMeta, pages: Pages): void {
  let used = 0
  for (const page of pages.get(TEXTS) ?? []) {
    into.texts.pages.adopt(page.bytes, page.location)
    used = page.units
  }
  for (const startMs of meta.slices) {
    const slice = into.slices.sliceOf(startMs)
    for (const page of pages.get(sliceName(startMs)) ?? [])
      into.slices.adopt(slice, slice.rows.adopt(page.bytes, page.location), page.units)
  }
  into.restored(used)
}

/** Takes over from another subtask's snapshot the ids whose key's hash is `mine`. */
export function takeOverIds(into: IdTable, meta: IdsMeta, pages: Pages, mine: (keyHash: number) => boolean): void {
  const from = new IdTable(meta.descriptor.withinMs)
  adoptIds(from, meta, pages)
  from.slices.each((row, u32, at) => {
    if (mine(u32[at + ID_KEY_HASH]!)) into.takeOver(from, row)
  })
  from.release()
}
