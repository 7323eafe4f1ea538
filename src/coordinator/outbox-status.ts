/** What is known of a job's outboxes, for people: what sinks are owed, and whether sources wait for them. */
import { type OutboxEpoch, outboxSize } from '../checkpoint/outbox-restore.ts'

/** What sinks are owed of one checkpoint. */
export interface OwedEpoch {
  readonly checkpointId: number
  readonly records: number
  /** Bytes of its blocks. */
  readonly bytes: number
  readonly sinks: readonly string[]
}

/** Where the outboxes of a job stand; for people. */
export interface OutboxStatus {
  /** Completed checkpoints whose outboxes are not applied yet, oldest first. */
  owed: OwedEpoch[]
  /** Sources wait for sinks. */
  held: boolean
  /** Newest checkpoint up to which sinks are known to have everything; 0 for none. Kept in the job's record at rest. */
  settledId: number
  /** Transactions that hung in a broker, partition by partition, and that sinks have ended. */
  hangingEnded: number
  /** Whether an attempt of this process has asked the sinks what they have: `owed` is all that they are owed. */
  asked: boolean
  /** What each sink promises, as far as one was opened. */
  readonly guarantees: Map<string, 'exactly-once' | 'idempotent'>
  /** Newest epoch that each sink has applied, as far as this process knows. */
  readonly applied: Map<string, number>
  /** Where each sink wrote when it last had everything that it was owed (`placeOf`). */
  readonly places: Map<string, string>
}

/** As `checkpoint 7 (12 records, 3400 bytes)`. */
export function owedText({ checkpointId, records, bytes }: OwedEpoch): string {
  return `the results of checkpoint ${checkpointId} (${records} records, ${bytes} bytes)`
}

/** Nothing owed, as far as is known. */
export function newOutboxStatus(settledId = 0): OutboxStatus {
  const maps = { guarantees: new Map(), applied: new Map(), places: new Map() }
  return { owed: [], held: false, settledId, asked: false, hangingEnded: 0, ...maps }
}

/** What sinks are owed of a checkpoint, for people. */
export function owedEpoch(epoch: OutboxEpoch): OwedEpoch {
  return { checkpointId: epoch.checkpointId, ...outboxSize(epoch), sinks: [...epoch.sinks.keys()] }
}
