/**
 * What each error code means at each step of a transaction, as a table. Pure.
 *
 *   done        it holds: now, or since an earlier try
 *   again       ask the same broker again after a pause
 *   elsewhere   another broker coordinates or leads by now: find it, ask it
 *   fenced      another owner has taken the transactional id, or the broker has ended the transaction by its timeout
 *   failed      this transaction cannot end well; a new one may
 *   refused     no transaction will, until somebody changes something
 *
 * A connection that is lost has no code. Then InitProducerId, AddPartitionsToTxn and Produce are asked again (each may be
 * repeated: a new epoch, a set, a sequence number), and the outcome of EndTxn is unknown.
 */

/** A step of a transaction. */
export type TransactionStep = 'find' | 'init' | 'add' | 'produce' | 'end'

/** What to do after an answer. */
export type TransactionVerdict = 'done' | 'again' | 'elsewhere' | 'fenced' | 'failed' | 'refused'

const everywhere: ReadonlyMap<number, TransactionVerdict> = new Map<number, TransactionVerdict>([
  [0, 'done'],
  [2, 'again'], // CORRUPT_MESSAGE: damaged on the way
  [3, 'elsewhere'], // UNKNOWN_TOPIC_OR_PARTITION: metadata that is on its way; a topic that is gone ends the patience
  [5, 'elsewhere'], // LEADER_NOT_AVAILABLE
  [6, 'elsewhere'], // NOT_LEADER_OR_FOLLOWER
  [7, 'again'], // REQUEST_TIMED_OUT: written or not, the sequence number tells
  [8, 'elsewhere'], // BROKER_NOT_AVAILABLE
  [9, 'elsewhere'], // REPLICA_NOT_AVAILABLE
  [13, 'elsewhere'], // NETWORK_EXCEPTION
  [14, 'again'], // COORDINATOR_LOAD_IN_PROGRESS
  [15, 'elsewhere'], // COORDINATOR_NOT_AVAILABLE
  [16, 'elsewhere'], // NOT_COORDINATOR
  [19, 'again'], // NOT_ENOUGH_REPLICAS
  [20, 'again'], // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  [47, 'fenced'], // INVALID_PRODUCER_EPOCH
  [48, 'failed'], // INVALID_TXN_STATE
  [51, 'again'], // CONCURRENT_TRANSACTIONS: the last transaction is still being ended
  [52, 'elsewhere'], // TRANSACTION_COORDINATOR_FENCED
  [56, 'elsewhere'], // KAFKA_STORAGE_ERROR
  [74, 'elsewhere'], // FENCED_LEADER_EPOCH
  [75, 'elsewhere'], // UNKNOWN_LEADER_EPOCH
  [89, 'again'], // THROTTLING_QUOTA_EXCEEDED
  [90, 'fenced'], // PRODUCER_FENCED
  [10, 'refused'], // MESSAGE_TOO_LARGE
  [17, 'refused'], // INVALID_TOPIC_EXCEPTION
  [18, 'refused'], // RECORD_LIST_TOO_LARGE
  [29, 'refused'], // TOPIC_AUTHORIZATION_FAILED
  [31, 'refused'], // CLUSTER_AUTHORIZATION_FAILED
  [32, 'refused'], // INVALID_TIMESTAMP
  [35, 'refused'], // UNSUPPORTED_VERSION
  [42, 'refused'], // INVALID_REQUEST
  [43, 'refused'], // UNSUPPORTED_FOR_MESSAGE_FORMAT
  [44, 'refused'], // POLICY_VIOLATION
  [50, 'refused'], // INVALID_TRANSACTION_TIMEOUT
  [53, 'refused'], // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  [76, 'refused'], // UNSUPPORTED_COMPRESSION_TYPE
  [87, 'refused'], // INVALID_RECORD
])

const byStep: Readonly<Partial<Record<TransactionStep, ReadonlyMap<number, TransactionVerdict>>>> = {
  // The batch was taken by an earlier try.
  produce: new Map([[46, 'done']]),
}

/** What `errorCode` means at `step`. Codes that are in no table end the transaction, and a new one may do better. */
export function transactionVerdict(step: TransactionStep, errorCode: number): TransactionVerdict {
  return byStep[step]?.get(errorCode) ?? everywhere.get(errorCode) ?? 'failed'
}
