/**
 * What the audit says of a call beside its job: which transaction it was to end, and which it has ended.
 *
 * Pure. Owns: what is taken out of requests and answers, which are else in no line, and its length.
 */
import type { EndTransactionRequest, EndTransactionResponse } from '../gen/millrace/v1/transaction.ts'

/** Fields of a line. */
export type AuditDetails = Readonly<Record<string, unknown>>

const END_TRANSACTION = '/millrace.v1.ControlService/EndTransaction'
const CHARS_MAX = 300
const PARTITIONS_MAX = 100

/** What a request of a method asks for. */
export function requestDetails(path: string, message: unknown): AuditDetails {
  if (path !== END_TRANSACTION) return {}
  const { target, force } = message as EndTransactionRequest
  if (target?.$case === 'transactionalId') return { transactionalId: target.value.slice(0, CHARS_MAX), force }
  if (target === undefined) return { force }
  const { topic, partition, producerId } = target.value
  return { producerId, partitions: [`${topic.slice(0, CHARS_MAX)}-${partition}`], force }
}

/** What the answer says that was done; it takes the place of what was asked for. */
export function responseDetails(path: string, message: unknown): AuditDetails {
  if (path !== END_TRANSACTION) return {}
  const { outcome: ended, transactionalId, producerId, producerEpoch, partitions } = message as EndTransactionResponse
  return { ended, transactionalId, producerId, producerEpoch, partitions: partitions.slice(0, PARTITIONS_MAX) }
}
