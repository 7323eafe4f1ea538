/** What is known of a job's outboxes, for people: what sinks are owed, and whether sources wait for them. */

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
  /** Newest checkpoint up to which sinks are known to have everything; 0 until an attempt has asked them. */
  settledId: number
  /** Transactions that hung in a broker, partition by partition, and that sinks have ended. */
  hangingEnded: number
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

/** Nothing owed. */
export function newOutboxStatus(): OutboxStatus {
  const maps = { guarantees: new Map(), applied: new Map(), places: new Map() }
  return { owed: [], held: false, settledId: 0, hangingEnded: 0, ...maps }
}
