/**
 * Kafka's error codes: their names, and which of them pass by themselves.
 *
 * Owns the table only; what a code means for a partition is decided where it is met (leader-fetcher.ts, enumerator).
 */
import { MillraceError } from '../../core/errors.ts'

/** The codes that Millrace acts on by number. */
export const kafkaErrors = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  UNSUPPORTED_VERSION: 35,
  UNKNOWN_TOPIC_ID: 100,
  OPERATION_NOT_ATTEMPTED: 55,
} as const

interface KafkaErrorInfo {
  readonly name: string
  readonly passes: boolean
}

const passes = (name: string): KafkaErrorInfo => ({ name, passes: true })
const stays = (name: string): KafkaErrorInfo => ({ name, passes: false })

const table: ReadonlyMap<number, KafkaErrorInfo> = new Map([
  [-1, passes('UNKNOWN_SERVER_ERROR')],
  [1, stays('OFFSET_OUT_OF_RANGE')],
  [2, stays('CORRUPT_MESSAGE')],
  [3, passes('UNKNOWN_TOPIC_OR_PARTITION')],
  [5, passes('LEADER_NOT_AVAILABLE')],
  [6, passes('NOT_LEADER_OR_FOLLOWER')],
  [7, passes('REQUEST_TIMED_OUT')],
  [8, passes('BROKER_NOT_AVAILABLE')],
  [9, passes('REPLICA_NOT_AVAILABLE')],
  [10, stays('MESSAGE_TOO_LARGE')],
  [13, passes('NETWORK_EXCEPTION')],
  [14, passes('COORDINATOR_LOAD_IN_PROGRESS')],
  [15, passes('COORDINATOR_NOT_AVAILABLE')],
  [16, passes('NOT_COORDINATOR')],
  [17, stays('INVALID_TOPIC_EXCEPTION')],
  [18, stays('RECORD_LIST_TOO_LARGE')],
  [19, passes('NOT_ENOUGH_REPLICAS')],
  [20, passes('NOT_ENOUGH_REPLICAS_AFTER_APPEND')],
  [25, stays('UNKNOWN_MEMBER_ID')],
  [29, stays('TOPIC_AUTHORIZATION_FAILED')],
  [30, stays('GROUP_AUTHORIZATION_FAILED')],
  [31, stays('CLUSTER_AUTHORIZATION_FAILED')],
  [32, stays('INVALID_TIMESTAMP')],
  [35, stays('UNSUPPORTED_VERSION')],
  [36, stays('TOPIC_ALREADY_EXISTS')],
  [40, stays('INVALID_CONFIG')],
  [42, stays('INVALID_REQUEST')],
  [43, stays('UNSUPPORTED_FOR_MESSAGE_FORMAT')],
  [44, stays('POLICY_VIOLATION')],
  [45, stays('OUT_OF_ORDER_SEQUENCE_NUMBER')],
  [46, stays('DUPLICATE_SEQUENCE_NUMBER')],
  [47, stays('INVALID_PRODUCER_EPOCH')],
  [48, stays('INVALID_TXN_STATE')],
  [49, stays('INVALID_PRODUCER_ID_MAPPING')],
  [50, stays('INVALID_TRANSACTION_TIMEOUT')],
  [51, passes('CONCURRENT_TRANSACTIONS')],
  [52, stays('TRANSACTION_COORDINATOR_FENCED')],
  [53, stays('TRANSACTIONAL_ID_AUTHORIZATION_FAILED')],
  [55, stays('OPERATION_NOT_ATTEMPTED')],
  [56, passes('KAFKA_STORAGE_ERROR')],
  [59, stays('UNKNOWN_PRODUCER_ID')],
  [74, passes('FENCED_LEADER_EPOCH')],
  [75, passes('UNKNOWN_LEADER_EPOCH')],
  [76, stays('UNSUPPORTED_COMPRESSION_TYPE')],
  [78, passes('OFFSET_NOT_AVAILABLE')],
  [87, stays('INVALID_RECORD')],
  [89, passes('THROTTLING_QUOTA_EXCEEDED')],
  [90, stays('PRODUCER_FENCED')],
  [100, passes('UNKNOWN_TOPIC_ID')],
  [105, stays('TRANSACTIONAL_ID_NOT_FOUND')],
  [120, stays('TRANSACTION_ABORTABLE')],
])

/** The protocol's name of an error code, with its number. */
export function kafkaErrorName(code: number): string {
  return `${table.get(code)?.name ?? 'UNKNOWN'} (${code})`
}

/** Whether asking again later, maybe another broker, can help. Codes that are not known do not pass. */
export function kafkaErrorPasses(code: number): boolean {
  return table.get(code)?.passes ?? false
}

/** A MillraceError for an error code that a broker answered to `what` (as "Fetch of events-3"). */
export function brokerError(code: number, what: string): MillraceError {
  const hint =
    code === 29 || code === 30 || code === 31 || code === 53
      ? 'Grant the client that right on the broker.'
      : "The broker's log says why; check the topic's and the client's settings."
  return new MillraceError('BROKER_ERROR', `${what} failed with ${kafkaErrorName(code)}. ${hint}`, {
    retry: kafkaErrorPasses(code) ? 'backoff' : 'never',
  })
}
