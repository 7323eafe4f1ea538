/**
 * Keyed state of an operator in TypeScript, read without its module: entries counted, and some of them shown.
 *
 * Owns: the walk over key groups, one at a time in memory. Does not own: the form of pages (program/state-pages.ts).
 */
import { readPages } from '../checkpoint/page-reader.ts'
import { pageCount, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import type { SavepointOperator } from '../gen/millrace/v1/savepoint.ts'
import { BroadcastStore } from '../program/broadcast-store.ts'
import { type Entry, KeyedStore } from '../program/keyed-store.ts'
import { BROADCAST_TABLE, readBroadcastPage, readStatePage, STATE_TABLE } from '../program/state-pages.ts'
import type { TableInspection } from './inspection.ts'
import { KeyTally } from './key-tally.ts'
import { plainValue } from './plain-value.ts'
import { Samples } from './samples.ts'
import type { SavepointReader } from './store.ts'

/** Chunks at hand, of about 1 MB each. */
const CHUNKS_MAX = 32

/** Reads the state of one operator. SAVEPOINT_CORRUPT, CHECKPOINT_CORRUPT, STATE_INCOMPATIBLE. */
export async function inspectState(
  reader: SavepointReader,
  operator: SavepointOperator,
  samplesMax: number,
): Promise<TableInspection> {
  const { checkpoint } = reader.savepoint
  const chunks = rememberChunks(reader)
  const tally = new KeyTally(checkpoint.keyGroups)
  const samples = new Samples(samplesMax)
  const text = new TextEncoder()
  let bytes = 0
  let rows = 0
  let timers = 0
  let broadcast: ReadonlyMap<unknown, unknown> | null = null
  for (const snapshot of checkpoint.subtasks) {
    if (snapshot.operatorId !== operator.id) continue
    bytes += snapshot.pages.length.reduce((a, b) => a + b, 0)
    const slots = slotsOf(snapshot)
    for (const group of new Set(snapshot.pages.keyGroup)) {
      const pages = await pagesOf(snapshot, group, chunks)
      if (group < 0) {
        // Every subtask has the same.
        broadcast ??= broadcastOf(pages)
        continue
      }
      const store = new KeyedStore(operator.id, slots.length, { start: group, end: group })
      const slotOf = slots.map((_, i) => i)
      const expires = slots.map(() => true)
      for (const page of pages) readStatePage(page, group, store, slotOf, expires)
      for (const entry of store.groups[0]!.entries.values()) {
        rows++
        timers += (entry.eventTimers?.size ?? 0) + (entry.processingTimers?.size ?? 0)
        tally.addIn(group, text.encode(`${typeof entry.mapKey} ${String(entry.mapKey)}`))
        if (samples.takes(0)) samples.add(0, rowOf(entry, slots))
      }
    }
  }
  return {
    ...{
      operator: operator.id,
      table: operator.id,
      kind: 'state',
      window: '',
      dimensions: [],
      columns: operator.slots,
    },
    ...{ keys: tally.keys, openRows: rows, closedRows: 0, members: broadcast?.size ?? 0, timers, bytes },
    ...{ sketches: 0, sketchBytes: 0, spread: tally.spread, samples: samples.rows },
  }
}

function rowOf(entry: Entry, slots: readonly string[]): TableInspection['samples'][number] {
  const values: Record<string, unknown> = {}
  slots.forEach((slot, i) => {
    if (entry.slots[i] !== undefined) values[slot.slice(0, slot.lastIndexOf(':'))] = plainValue(entry.slots[i])
  })
  if (entry.eventTimers !== null) values.eventTimers = [...entry.eventTimers].sort((a, b) => a - b)
  if (entry.processingTimers !== null) values.processingTimers = [...entry.processingTimers].sort((a, b) => a - b)
  const key = Array.isArray(entry.key) ? entry.key.map(String) : [String(entry.key)]
  return { key, status: 'state', startMs: null, endMs: null, values }
}

function slotsOf(snapshot: SubtaskSnapshot): readonly string[] {
  if (snapshot.meta.length === 0) return []
  const meta = JSON.parse(new TextDecoder().decode(snapshot.meta)) as { version?: unknown; slots?: readonly string[] }
  if (meta.version === 1) return meta.slots ?? []
  throw new MillraceError(
    'STATE_INCOMPATIBLE',
    `the state of operator ${snapshot.operatorId} has version ${String(meta.version)}`,
  )
}

function broadcastOf(pages: readonly Uint8Array[]): ReadonlyMap<unknown, unknown> {
  const store = new BroadcastStore()
  for (const page of pages) readBroadcastPage(page, store)
  return store.entries
}

/** The chunks read last are at hand: pages of neighbouring key groups lie in the same ones. */
function rememberChunks(reader: ChunkReader): ChunkReader {
  const last = new Map<string, Uint8Array | undefined>()
  return {
    readChunk: async (key) => {
      const bytes = last.get(key) ?? (await reader.readChunk(key))
      last.delete(key)
      last.set(key, bytes)
      if (last.size > CHUNKS_MAX) last.delete(last.keys().next().value!)
      return bytes
    },
  }
}

/** The pages of one key group in order; of broadcast state for -1. */
async function pagesOf(snapshot: SubtaskSnapshot, group: number, reader: ChunkReader): Promise<readonly Uint8Array[]> {
  const { pages } = snapshot
  const table = group < 0 ? BROADCAST_TABLE : STATE_TABLE
  const wanted = (i: number): boolean =>
    pages.keyGroup[i] === group && pages.tables[pages.tableIndex[i]!] === table && i < pageCount(pages)
  const read: { readonly number: number; readonly bytes: Uint8Array }[] = []
  const what = `operator ${snapshot.operatorId}, subtask ${snapshot.subtask}`
  await readPages(reader, what, pages, wanted, (i, bytes) => {
    read.push({ number: pages.pageNumber[i]!, bytes: bytes.slice() })
  })
  return read.sort((a, b) => a.number - b.number).map(({ bytes }) => bytes)
}
