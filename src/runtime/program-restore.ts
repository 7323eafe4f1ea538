/**
 * Reads a checkpoint back into the state of one keyed operator of a program.
 *
 * Owns: which pages are one's own (by key group), and how parts of state find each other again by name and kind. Does not
 * own: whether a part may go (job/state-diff.ts).
 */
import { readPages } from '../checkpoint/page-reader.ts'
import { pageLocation, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import type { KeyGroupRange } from '../core/key-groups.ts'
import type { KeyedNode } from '../program/graph.ts'
import { decodeSlots } from '../program/stage-meta.ts'
import { BROADCAST_TABLE, readBroadcastPage, readStatePage } from '../program/state-pages.ts'
import type { StageState } from './stage-state.ts'

/**
 * Fills `state` of subtask `index` from the snapshots of its operator. Resolves to the snapshots whose chunks it goes on
 * referring to (its own, at the same parallelism). Throws CHECKPOINT_CORRUPT, STATE_INCOMPATIBLE.
 */
export async function restoreStage(
  node: KeyedNode,
  state: StageState,
  snapshots: readonly SubtaskSnapshot[],
  index: number,
  parallelism: number,
  range: KeyGroupRange,
  reader: ChunkReader,
): Promise<readonly SubtaskSnapshot[]> {
  const adopt = snapshots.every((snapshot) => snapshot.parallelism === parallelism)
  const own = snapshots.filter((snapshot) => adopt && snapshot.subtask === index)
  for (const snapshot of adopt ? own : snapshots) await restoreOne(node, state, snapshot, range, reader, adopt)
  state.enqueueTimers()
  return own
}

async function restoreOne(
  node: KeyedNode,
  state: StageState,
  snapshot: SubtaskSnapshot,
  range: KeyGroupRange,
  reader: ChunkReader,
  adopt: boolean,
): Promise<void> {
  const { pages } = snapshot
  const slotOf = slotsOf(node, snapshot)
  // What the next snapshot says of its slots must be true of every page that it refers to.
  const asWritten = adopt && slotOf.every((slot, i) => slot === i)
  const what = `operator ${node.id}, subtask ${snapshot.subtask}`
  const isBroadcast = (i: number): boolean => pages.tables[pages.tableIndex[i]!] === BROADCAST_TABLE
  const wanted = (i: number): boolean =>
    isBroadcast(i) || (pages.keyGroup[i]! >= range.start && pages.keyGroup[i]! <= range.end)
  const read: { readonly i: number; readonly bytes: Uint8Array }[] = []
  await readPages(reader, what, pages, wanted, (i, bytes) => void read.push({ i, bytes: bytes.slice() }))
  // Later pages of a group replace what earlier ones say.
  read.sort((a, b) => pages.pageNumber[a.i]! - pages.pageNumber[b.i]!)
  for (const { i, bytes } of read) {
    if (isBroadcast(i)) {
      readBroadcastPage(bytes, state.broadcast)
      continue
    }
    const group = pages.keyGroup[i]!
    readStatePage(bytes, group, state.store, slotOf, node.expires ?? [])
    const page = { number: pages.pageNumber[i]!, rows: pages.rowCount[i]! }
    state.pages.adopt(group, page, asWritten ? pageLocation(pages, i) : null)
  }
}

/**
 * Where each slot of a snapshot is now; -1 for one that is gone, or of another kind: whoever began the attempt has asked
 * whether that is wanted.
 */
function slotsOf(node: KeyedNode, snapshot: SubtaskSnapshot): number[] {
  if (snapshot.meta.length === 0) return []
  const slots = decodeSlots(JSON.parse(new TextDecoder().decode(snapshot.meta)))
  if (slots !== null) return slots.map((slot) => node.slots.indexOf(slot))
  throw new MillraceError('STATE_INCOMPATIBLE', `the state of operator ${node.id} is of a later version: use that`)
}
