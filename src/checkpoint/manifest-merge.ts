/**
 * From the snapshots of all subtasks to a manifest, and what a manifest says about chunks worth rewriting.
 *
 * Pure. Owns: completeness checks, totals, the rule by which sparse chunks are left. Does not own: which chunks may be
 * deleted (chunk-ledger.ts).
 */
import { invariant } from '../core/errors.ts'
import { type CheckpointManifest, pageChunksOf } from './manifest.ts'
import type { ChunkRef, OutboxPart, SubtaskSnapshot } from './snapshot.ts'

/** A manifest but for what the snapshots say. */
export type ManifestHeader = Omit<CheckpointManifest, 'subtasks' | 'counters'>

/**
 * The manifest of one checkpoint: the snapshots, ordered by operator and subtask, and the sum of their counters on top
 * of `baseCounters` (what the job had counted before its subtasks' own counters began at 0; empty if they never do).
 * Blocks of an outbox that the checkpoint before this one has are left out: a subtask may reach the next barrier before it
 * hears that the last one counts. Throws INTERNAL when a subtask is missing or there twice.
 */
export function mergeSnapshots(
  header: ManifestHeader,
  snapshots: readonly SubtaskSnapshot[],
  baseCounters: Readonly<Record<string, number>> = {},
): CheckpointManifest {
  const sorted = [...snapshots].sort(
    (a, b) => Number(a.operatorId > b.operatorId) - Number(a.operatorId < b.operatorId) || a.subtask - b.subtask,
  )
  let previous: SubtaskSnapshot | undefined
  for (const s of sorted) {
    const expected = previous?.operatorId === s.operatorId ? previous.subtask + 1 : 0
    const name = `${s.operatorId}/${s.subtask} of checkpoint ${header.checkpointId}`
    invariant(s.subtask === expected, `${name}: expected subtask ${expected}`)
    invariant(s.subtask < s.parallelism, `${name}: parallelism is ${s.parallelism}`)
    const last = expected === 0 ? previous : undefined
    invariant(
      last === undefined || last.subtask === last.parallelism - 1,
      `${name}: ${last?.operatorId} lacks subtasks`,
    )
    previous = s
  }
  invariant(
    previous === undefined || previous.subtask === previous.parallelism - 1,
    `checkpoint ${header.checkpointId}: ${previous?.operatorId} lacks subtasks`,
  )
  const counters = new Map(Object.entries(baseCounters))
  for (const s of sorted) {
    for (const [name, count] of Object.entries(s.counters)) counters.set(name, (counters.get(name) ?? 0) + count)
  }
  const subtasks = sorted.map((s) => ({ ...s, outbox: outboxSince(s.outbox, header), written: [] }))
  return { ...header, counters: Object.fromEntries(counters), subtasks }
}

/** What was not part of the checkpoint before; all of it is this one's now, what aborted ones had ended too. */
function outboxSince(outbox: readonly OutboxPart[], header: ManifestHeader): readonly OutboxPart[] {
  const { checkpointId, previousCheckpointId } = header
  return outbox.flatMap(({ sink, blocks }) => {
    const left = blocks.filter(({ epoch }) => epoch > previousCheckpointId)
    return left.length === 0 ? [] : [{ sink, blocks: left.map((block) => ({ ...block, epoch: checkpointId })) }]
  })
}

/** Bytes of a manifest's state: `live` in pages, `stored` in the chunks that hold them. */
export function stateBytes(manifest: CheckpointManifest): { readonly live: number; readonly stored: number } {
  let live = 0
  for (const { pages } of manifest.subtasks) for (const length of pages.length) live += length
  let stored = 0
  for (const { sizeBytes } of pageChunksOf(manifest)) stored += sizeBytes
  return { live, stored }
}

/** Bounds of `rewriteHints`. */
export interface RewriteLimits {
  /** Live bytes to write again at one checkpoint, at least one chunk. */
  readonly bytesMax: number
  /** A chunk below this many bytes is small. */
  readonly smallBytes: number
  /** Small chunks a subtask may have before they are put together. */
  readonly smallCountMax: number
}

/** An eighth of the state a checkpoint, at least 4 MB; 64 chunks below 64 KB. */
export function defaultRewriteLimits(liveBytes: number): RewriteLimits {
  return { bytesMax: Math.max(4 * 1024 * 1024, liveBytes / 8), smallBytes: 64 * 1024, smallCountMax: 64 }
}

/**
 * Keys of the chunks whose live pages the next checkpoint should write anew, so that the store's size stays near twice
 * the state: those under half live, the emptiest first, and small ones where a subtask has too many. Every subtask gets
 * the whole list and takes what it has pages in (`PageWriter.rewrite`).
 */
export function rewriteHints(
  manifest: CheckpointManifest,
  limits: RewriteLimits = defaultRewriteLimits(stateBytes(manifest).live),
): readonly string[] {
  const chunks = new Map<string, { readonly ref: ChunkRef; live: number; wanted: boolean }>()
  for (const { pages } of manifest.subtasks) {
    const local = pages.chunks.map((ref) => {
      let use = chunks.get(ref.key)
      if (use === undefined) {
        use = { ref, live: 0, wanted: false }
        chunks.set(ref.key, use)
      }
      return use
    })
    for (let i = 0; i < pages.chunkIndex.length; i++) local[pages.chunkIndex[i]!]!.live += pages.length[i]!
    const small = local.filter((use) => use.ref.sizeBytes < limits.smallBytes)
    if (small.length > limits.smallCountMax) for (const use of small) use.wanted = true
  }
  const wanted = [...chunks.values()].filter((use) => use.wanted || use.live * 2 < use.ref.sizeBytes)
  wanted.sort((a, b) => a.live / a.ref.sizeBytes - b.live / b.ref.sizeBytes || (a.ref.key < b.ref.key ? -1 : 1))
  const keys: string[] = []
  let bytes = 0
  for (const use of wanted) {
    if (keys.length > 0 && bytes + use.live > limits.bytesMax) continue
    bytes += use.live
    keys.push(use.ref.key)
  }
  return keys
}
