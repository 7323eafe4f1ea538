/**
 * What each sink has, when a job starts: what it says itself, and what this process remembers of it.
 *
 * Pure. Owns: which of the two counts. Does not own: what is owed then (checkpoint/outbox-restore.ts).
 *
 * A sink's own word counts. It has none where it cannot say (HTTP), where it has lost what it had, where somebody else
 * has written to it meanwhile, and where it writes elsewhere than before: then what it is remembered to have applied is
 * not given to it again, and a store that has less has gone back.
 */
import type { SinkMarker } from '../checkpoint/outbox-restore.ts'
import type { OutboxStatus } from './outbox-status.ts'

/** What is known of sinks. */
export interface SinkKnowledge {
  readonly markers: ReadonlyMap<string, SinkMarker | null>
  /** What has become of sinks that have less than they had, for people. */
  readonly losses: readonly string[]
}

/**
 * The markers by which it is decided what is owed. `found` is what sinks say; those in `moved` write elsewhere than before,
 * and nothing up to `restoredId` is given to them there.
 */
export function knownMarkers(
  found: ReadonlyMap<string, SinkMarker | null>,
  moved: ReadonlySet<string>,
  { applied, guarantees, settledId }: OutboxStatus,
  jobId: string,
  restoredId: number,
): SinkKnowledge {
  const markers = new Map<string, SinkMarker | null>()
  const losses: string[] = []
  for (const [sink, marker] of found) {
    const remembered = applied.get(sink) ?? 0
    if (moved.has(sink)) {
      markers.set(sink, { jobId, epoch: Math.max(remembered, restoredId) })
      continue
    }
    const own = marker?.jobId === jobId ? marker.epoch : 0
    const had = Math.max(remembered, settledId)
    markers.set(sink, own === 0 && had > 0 ? { jobId, epoch: had } : marker)
    if (own >= remembered || guarantees.get(sink) !== 'exactly-once') continue
    losses.push(
      own === 0
        ? `sink ${sink} had applied the results up to checkpoint ${remembered}, and knows of none: what it writes to has ` +
            'lost data, or somebody else writes under its name'
        : `sink ${sink} had applied the results up to checkpoint ${remembered}, and has only those up to ${own}: what it ` +
            'writes to has lost data. It gets again what checkpoints still hold',
    )
  }
  return { markers, losses }
}
