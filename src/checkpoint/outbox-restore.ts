/**
 * Which outboxes sinks are still owed when a job starts: the decision, from their markers and the restored checkpoint.
 *
 * Pure. Owns: what is applied before the job goes on, and when to refuse. Does not own: which checkpoint is restored
 * (protocol-restore.ts), reading markers and applying (coordinator/outbox-coordinator.ts).
 *
 * A manifest says which earlier checkpoints were owed when it was published, and to whom: what is owed is that and its
 * own outbox, less what the markers say. It also says which checkpoint completed before it, and so on back: one beside
 * it that is not in that line was published without an answer, and its records are in a later one again.
 *
 * Rules, for each sink:
 * 1. No marker, or one of another submission of the job's name: everything that is owed.
 * 2. A marker of this submission above the restored checkpoint, or without any: STORE_LOST. The sink has results of
 *    events that would be counted, and said, again.
 * 3. Otherwise what is owed above the marker, oldest first. If the store does not have it: CHECKPOINT_CORRUPT. A sink
 *    that has lost its newest epochs has a marker below what is owed: it gets them again as far as they are retained.
 * 4. What is owed to a sink that the job no longer has cannot be given out: whoever asks says whether it may go. A sink
 *    that is gone has no marker, so it may lack all above what every sink is known to have.
 */
import type { CheckpointManifest } from './manifest.ts'
import type { OutboxBlock } from './snapshot.ts'

/** The newest epoch that a sink has applied, as it says. */
export interface SinkMarker {
  readonly jobId: string
  readonly epoch: number
}

/** What a start knows. */
export interface OutboxFacts {
  readonly jobName: string
  readonly jobId: string
  /** The checkpoint that the job goes on from; null for a fresh start. */
  readonly restored: CheckpointManifest | null
  /** All checkpoints that the store holds of this submission. */
  readonly retained: readonly CheckpointManifest[]
  /** Newest checkpoint up to which sinks are known to have had everything; 0 for none. */
  readonly settledId: number
  /** Markers of all sinks that take outboxes. */
  readonly markers: ReadonlyMap<string, SinkMarker | null>
}

/** The outbox of one checkpoint: blocks by sink, in the order of subtasks. */
export interface OutboxEpoch {
  readonly checkpointId: number
  readonly sinks: ReadonlyMap<string, readonly OutboxBlock[]>
}

/** What to do. */
export type OutboxDecision =
  | {
      readonly kind: 'apply'
      /** Ascending, each for those sinks only that are owed it. */
      readonly epochs: readonly OutboxEpoch[]
      /** Owed to sinks that the job no longer has. */
      readonly dropped: readonly OutboxEpoch[]
    }
  | { readonly kind: 'refuse'; readonly code: 'STORE_LOST' | 'CHECKPOINT_CORRUPT'; readonly message: string }

/** The outbox of a checkpoint; no sinks when it has none. */
export function outboxOf({ checkpointId, subtasks }: CheckpointManifest): OutboxEpoch {
  const sinks = new Map<string, OutboxBlock[]>()
  for (const { outbox } of subtasks) {
    for (const { sink, blocks } of outbox) {
      if (blocks.length > 0) sinks.set(sink, [...(sinks.get(sink) ?? []), ...blocks])
    }
  }
  return { checkpointId, sinks }
}

/** Records of an outbox, and the bytes of its blocks. */
export function outboxSize({ sinks }: OutboxEpoch): { readonly records: number; readonly bytes: number } {
  const blocks = [...sinks.values()].flat()
  return {
    records: blocks.reduce((sum, block) => sum + block.records, 0),
    bytes: blocks.reduce((sum, block) => sum + block.chunk.sizeBytes, 0),
  }
}

/** Decides what is applied before a job goes on. */
export function resolveOutbox(facts: OutboxFacts): OutboxDecision {
  const { jobName, jobId, restored, retained, settledId, markers } = facts
  const restoredId = restored?.checkpointId ?? 0
  for (const [sink, marker] of markers) {
    if (marker === null || marker.jobId !== jobId || marker.epoch <= restoredId) continue
    const newest = restoredId === 0 ? 'there is none in the store' : `the newest that can be restored is ${restoredId}`
    return {
      kind: 'refuse',
      code: 'STORE_LOST',
      message:
        `sink ${sink} of job ${jobName} has applied the results of checkpoint ${marker.epoch}, but ${newest}: to go on ` +
        'would give results to it twice. Restore the store, or cancel the job and submit it anew',
    }
  }
  if (restored === null) return { kind: 'apply', epochs: [], dropped: [] }
  const epochs: OutboxEpoch[] = []
  const dropped: OutboxEpoch[] = []
  for (const { checkpointId, sinks, manifest } of candidates(restored, retained, markers, jobId)) {
    const wanting = sinks.filter((sink) => !hasApplied(markers.get(sink), jobId, checkpointId))
    if (wanting.length === 0) continue
    const known = wanting.filter((sink) => markers.has(sink))
    if (manifest === undefined) {
      // What is owed to nobody that is there need not be found.
      if (known.length === 0) continue
      return {
        kind: 'refuse',
        code: 'CHECKPOINT_CORRUPT',
        message:
          `sink ${known.join(', ')} of job ${jobName} is owed the results of checkpoint ${checkpointId}, which the store ` +
          `has lost, although it has checkpoint ${restoredId}. Restore the store, or cancel the job and submit it anew`,
      }
    }
    const whole = outboxOf(manifest)
    const part = (sinks: readonly string[]): OutboxEpoch => ({
      checkpointId,
      sinks: new Map(sinks.flatMap((sink) => (whole.sinks.has(sink) ? [[sink, whole.sinks.get(sink)!]] : []))),
    })
    if (known.length > 0) epochs.push(part(known))
    const gone = checkpointId <= settledId ? [] : wanting.filter((sink) => !markers.has(sink))
    if (gone.length > 0) dropped.push(part(gone))
  }
  return { kind: 'apply', epochs, dropped }
}

/** An epoch that sinks may lack, with those that may; `manifest` is undefined when the store does not have it. */
interface Candidate {
  readonly checkpointId: number
  readonly sinks: readonly string[]
  readonly manifest: CheckpointManifest | undefined
}

/** Ascending. */
function candidates(
  restored: CheckpointManifest,
  retained: readonly CheckpointManifest[],
  markers: OutboxFacts['markers'],
  jobId: string,
): readonly Candidate[] {
  const found = new Map<number, Candidate>()
  const completed = completedUpTo(restored, retained)
  for (const manifest of completed) {
    const { checkpointId } = manifest
    const sinks = [...outboxOf(manifest).sinks.keys()]
    // Whoever has no marker is owed what is owed; one that has says itself what it lacks.
    const lacking = manifest === restored ? sinks : sinks.filter((sink) => markers.get(sink)?.jobId === jobId)
    found.set(checkpointId, { checkpointId, sinks: lacking, manifest })
  }
  for (const { checkpointId, sinks } of restored.owed) {
    const manifest = found.get(checkpointId)?.manifest ?? retained.find((m) => m.checkpointId === checkpointId)
    found.set(checkpointId, { checkpointId, sinks, manifest })
  }
  return [...found.values()].sort((a, b) => a.checkpointId - b.checkpointId)
}

/** The restored checkpoint and those that completed before it, as far as they are retained. */
function completedUpTo(restored: CheckpointManifest, retained: readonly CheckpointManifest[]): CheckpointManifest[] {
  const line: CheckpointManifest[] = []
  let next: CheckpointManifest | undefined = restored
  while (next !== undefined) {
    line.push(next)
    const { checkpointId, previousCheckpointId }: CheckpointManifest = next
    next = retained.find((m) => m.checkpointId === previousCheckpointId && m.checkpointId < checkpointId)
  }
  return line
}

function hasApplied(marker: SinkMarker | null | undefined, jobId: string, epoch: number): boolean {
  return marker != null && marker.jobId === jobId && marker.epoch >= epoch
}
