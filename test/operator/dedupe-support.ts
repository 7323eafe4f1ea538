/** Deduplication at any parallelism, without threads: events by key, checkpoints, and what a naive set makes of the same. */
import { hashBytes } from '../../src/core/hash.ts'
import { keyGroupOf, keyGroupRangeOf, subtaskOf } from '../../src/core/key-groups.ts'
import { EventBatch, layOutEventBatch } from '../../src/exchange/event-batch.ts'
import type { DedupePlan } from '../../src/job/dedupe.ts'
import { Deduplicator } from '../../src/operator/deduplicate.ts'
import { adoptIds, type IdsMeta, idsMeta, takeOverIds, visitIds } from '../../src/operator/id-snapshot.ts'
import type { RecycledPage } from '../../src/operator/recycled-snapshot.ts'
import type { PageLocation } from '../../src/state/pages.ts'

export const KEY_GROUPS = 16
const layout = layOutEventBatch(0, 1, false, false, true)
const encoder = new TextEncoder()

/** An event; weight -1: taken back. */
export interface Copy {
  readonly key: string
  readonly id: string
  readonly timeMs: number
  readonly weight: number
}

/** What became of an event. */
export type Fate = 'counted' | 'late' | 'copy'

/** A batch of events. */
export function batchOf(rows: readonly Copy[]): EventBatch {
  const batch = new EventBatch(layout, new ArrayBuffer(layout.byteLength) as never)
  batch.clear()
  let at = batch.bytesUsed
  const put = (text: string): number => {
    const bytes = encoder.encode(text)
    at = Math.ceil(at / 4) * 4
    batch.bytes.set(bytes, at)
    at += bytes.length
    return bytes.length
  }
  rows.forEach(({ key, id, timeMs, weight }, row) => {
    const bytes = encoder.encode(key)
    batch.timeMs[row] = timeMs
    batch.mask[row] = 1
    batch.weight![row] = weight
    batch.hash[row] = hashBytes(bytes, 0, bytes.length)
    batch.keyLength[row] = put(key)
    batch.keyStart[row] = at - batch.keyLength[row]!
    batch.texts[0]![row] = id === '' ? 0 : row + 1
    batch.entryLength[0]![row + 1] = put(id)
    batch.entryStart[0]![row + 1] = at - batch.entryLength[0]![row + 1]!
  })
  batch.header[0] = rows.length
  return batch
}

export interface Snapshot {
  readonly meta: IdsMeta
  readonly pages: Map<string, RecycledPage[]>
  /** Pages that had changed since the one before. */
  readonly written: number
}

/** The ids of one subtask, copied. */
export function snapshotOf({ plan, ids }: Deduplicator): Snapshot {
  const pages = new Map<string, RecycledPage[]>()
  let written = 0
  visitIds(ids, (sequence, _number, units, byteLength, page) => {
    written += page.dirty
    page.dirty = 0
    page.location ??= {} as PageLocation
    const stored = { units, bytes: page.u8.slice(0, byteLength), location: page.location }
    pages.set(sequence, [...(pages.get(sequence) ?? []), stored])
  })
  return { meta: idsMeta({ by: plan.by, withinMs: plan.withinMs }, ids), pages, written }
}

/** Subtasks that deduplicate. What is open to a table is what lies less than `openMs` behind the watermark. */
export class DedupeCluster {
  readonly subtasks: readonly Deduplicator[]
  readonly #openMs: number

  constructor(plan: DedupePlan, parallelism: number, openMs: number, from: readonly Snapshot[] = []) {
    this.#openMs = openMs
    this.subtasks = Array.from({ length: parallelism }, (_, index) => {
      const dedupe = new Deduplicator(plan, 0, 1 / parallelism, 0)
      const range = keyGroupRangeOf(index, KEY_GROUPS, parallelism)
      if (from.length === parallelism && from[0]!.meta.descriptor.withinMs === plan.withinMs)
        adoptIds(dedupe.ids, from[index]!.meta, from[index]!.pages)
      else {
        for (const { meta, pages } of from) {
          takeOverIds(dedupe.ids, meta, pages, (hash) => {
            const group = keyGroupOf(hash, KEY_GROUPS)
            return group >= range.start && group <= range.end
          })
        }
      }
      return dedupe
    })
  }

  /** Applies a batch and says what became of each event. */
  apply(rows: readonly Copy[], watermarkMs: number): Fate[] {
    const fates: Fate[] = rows.map(() => 'copy')
    this.subtasks.forEach((dedupe, index) => {
      const own = rows.flatMap((row, i) => (this.#ownerOf(row.key) === index ? [i] : []))
      const batch = batchOf(own.map((i) => rows[i]!))
      const accepted = new Uint8Array(own.length)
      const late = (row: number): void => {
        fates[own[row]!] = 'late'
      }
      let copies = own.length
      dedupe.judge(batch, watermarkMs, late)
      do {
        for (let row = 0; row < own.length; row++) {
          if (batch.mask[row] === 0) continue
          if (batch.timeMs[row]! + this.#openMs <= watermarkMs) late(row)
          else {
            accepted[row] = 1
            fates[own[row]!] = 'counted'
          }
        }
      } while (!dedupe.settle(batch, accepted, watermarkMs, late))
      copies = dedupe.finish(batch)
      const told = own.filter((i) => fates[i] === 'copy').length
      if (told !== copies) throw new Error(`${copies} copies were counted where there are ${told}`)
    })
    return fates
  }

  snapshot(): Snapshot[] {
    return this.subtasks.map(snapshotOf)
  }

  #ownerOf(key: string): number {
    const bytes = encoder.encode(key)
    return subtaskOf(keyGroupOf(hashBytes(bytes, 0, bytes.length), KEY_GROUPS), KEY_GROUPS, this.subtasks.length)
  }
}

/** What the definition says, event by event, with a map. */
export class NaiveDedupe {
  readonly #seen = new Map<string, { timeMs: number; signs: Set<number> }>()
  readonly #withinMs: number
  readonly #openMs: number

  constructor(withinMs: number, openMs: number) {
    this.#withinMs = withinMs
    this.#openMs = openMs
  }

  apply({ key, id, timeMs, weight }: Copy, watermarkMs: number): Fate {
    const open = timeMs + this.#openMs > watermarkMs
    if (id === '') return open ? 'counted' : 'late'
    const name = JSON.stringify([key, id])
    const seen = this.#seen.get(name)
    const remembered = seen !== undefined && seen.timeMs + this.#withinMs > watermarkMs
    if (remembered && seen.signs.has(weight)) {
      seen.timeMs = Math.max(seen.timeMs, timeMs)
      return 'copy'
    }
    if (!open || (!remembered && timeMs + this.#withinMs <= watermarkMs)) return 'late'
    if (remembered) {
      seen.signs.add(weight)
      seen.timeMs = Math.max(seen.timeMs, timeMs)
    } else this.#seen.set(name, { timeMs, signs: new Set([weight]) })
    return 'counted'
  }
}
