/**
 * The checkpoint of one keyed subtask: changed pages are copied at the barrier and written in the background.
 *
 * Owns: walking the subtask's tables at the barrier. Does not own: chunks (checkpoint/chunk-writer), the names and
 * facts of tables (operator/table-snapshot).
 */
import type { PageWriter } from '../checkpoint/chunk-writer.ts'
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { describeDedupe } from '../job/dedupe.ts'
import type { Deduplicator } from '../operator/deduplicate.ts'
import { idsMeta, visitIds } from '../operator/id-snapshot.ts'
import {
  type DescribedTables,
  encodeMeta,
  type SnapshotTable,
  type VisitPage,
  visitPages,
} from '../operator/table-snapshot.ts'

/** Takes snapshots of the tables of one subtask. */
export class SnapshotWriter {
  readonly #operatorId: string
  readonly #subtask: number
  readonly #parallelism: number
  readonly #tables: readonly SnapshotTable[]
  readonly #described: DescribedTables
  readonly #writer: PageWriter
  readonly #dedupe: Deduplicator | null

  constructor(
    operatorId: string,
    subtask: number,
    parallelism: number,
    tables: readonly SnapshotTable[],
    described: DescribedTables,
    writer: PageWriter,
    dedupe: Deduplicator | null = null,
  ) {
    this.#dedupe = dedupe
    this.#operatorId = operatorId
    this.#subtask = subtask
    this.#parallelism = parallelism
    this.#tables = tables
    this.#described = described
    this.#writer = writer
  }

  /**
   * Copies what changed, at once: state may change as soon as this returns. The promise gives the snapshot when every
   * byte of it is durable; when it rejects, the next snapshot writes again what this one did not.
   */
  copy(watermarkMs: number, counters: Readonly<Record<string, number>>): Promise<SubtaskSnapshot> {
    const writer = this.#writer
    const pack = writer.begin()
    const take: VisitPage = (sequence, number, units, byteLength, page) => {
      if (page.dirty === 1 || page.location === null || writer.isStale(page.location)) {
        page.location = pack.write(sequence, -1, number, units, page.u8.subarray(0, byteLength))
        page.dirty = 0
      } else {
        pack.keep(sequence, -1, number, units, page.location)
      }
    }
    visitPages(this.#tables, take)
    const dedupe = this.#dedupe
    if (dedupe !== null) visitIds(dedupe.ids, take)
    const ids = dedupe === null ? null : idsMeta(describeDedupe(dedupe.plan), dedupe.ids)
    const meta = encodeMeta(this.#tables, this.#described, ids)
    return pack.finish().then(({ pages, written }) => ({
      operatorId: this.#operatorId,
      subtask: this.#subtask,
      parallelism: this.#parallelism,
      watermarkMs,
      meta,
      counters,
      splits: [],
      pages,
      outbox: [],
      written,
    }))
  }

  /** Asks for the pages in these chunks to be written anew next time. */
  rewrite(chunks: readonly string[]): void {
    this.#writer.rewrite(chunks)
  }
}
