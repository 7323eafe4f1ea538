/** Transactions and what they hold: domain types (control/transactions.ts) to wire messages and back. Pure. */
import type { HeldPartition } from '../control/held-partitions.ts'
import type { TransactionInfo, TransactionTarget } from '../control/transactions.ts'
import { MillraceError } from '../core/errors.ts'
import type * as wire from '../gen/millrace/v1/transaction.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

/** A transaction for the wire. */
export function toTransaction({ startedAtMs, timeoutMs, ...same }: TransactionInfo): wire.Transaction {
  return {
    ...same,
    startTime: startedAtMs < 0 ? undefined : toTimestamp(startedAtMs),
    timeout: timeoutMs < 0 ? undefined : { seconds: Math.floor(timeoutMs / 1000), nanos: (timeoutMs % 1000) * 1e6 },
    partitions: [...same.partitions],
  }
}

/** A transaction from the wire. */
export function fromTransaction({ startTime, timeout, ...same }: wire.Transaction): TransactionInfo {
  return {
    ...same,
    startedAtMs: fromTimestamp(startTime, -1),
    timeoutMs: timeout === undefined ? -1 : timeout.seconds * 1000 + timeout.nanos / 1e6,
  }
}

/** What a request wants ended. INPUT_INVALID when it says nothing. */
export function toTarget({ target }: wire.EndTransactionRequest): TransactionTarget {
  if (target?.$case === 'hanging') return target.value
  if (target?.$case === 'transactionalId' && target.value !== '') return { transactionalId: target.value }
  throw new MillraceError('INPUT_INVALID', 'the request names no transaction: set `transactional_id` or `hanging`')
}

/** The request that ends a transaction. */
export function fromTarget(target: TransactionTarget, force: boolean): wire.EndTransactionRequest {
  if ('transactionalId' in target) {
    return { target: { $case: 'transactionalId', value: target.transactionalId }, force }
  }
  return { target: { $case: 'hanging', value: target }, force }
}

/** A partition that is held back, for the wire. */
export function toHeld({ sinceMs, ...same }: HeldPartition): wire.HeldPartition {
  return { ...same, since: toTimestamp(sinceMs) }
}
