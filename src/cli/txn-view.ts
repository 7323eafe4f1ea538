/** Transactions and the partitions that they hold back, as tables and as JSON. */
import type { TransactionInfo } from '../control/transactions.ts'
import { formatInstant } from '../core/instant.ts'
import type * as wire from '../gen/millrace/v1/transaction.ts'
import { fromTimestamp } from '../rpc/instants.ts'
import { formatElapsed, formatNumber, printable } from './format.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

const columns: readonly TableColumn[] = [
  { title: 'ID' },
  { title: 'JOB' },
  { title: 'SINK' },
  { title: 'STATE' },
  { title: 'OPEN', align: 'right' },
  { title: 'PARTITIONS' },
  { title: 'HOLDS BACK', align: 'right' },
]

/** Transactions as a table, or as JSON. */
export function writeTransactions(
  output: Output,
  transactions: readonly TransactionInfo[],
  unasked: readonly string[],
  nowMs: number,
): void {
  if (output.format === 'json') {
    const startTime = (each: TransactionInfo): string | null =>
      each.startedAtMs < 0 ? null : formatInstant(each.startedAtMs)
    const listed = transactions.map(({ startedAtMs: _, ...each }, i) => ({
      ...each,
      startTime: startTime(transactions[i]!),
    }))
    output.json({ transactions: listed, unasked })
    return
  }
  output.table(
    columns,
    transactions.map((each) => cells(each, nowMs)),
    'no open transactions',
  )
}

function cells(each: TransactionInfo, nowMs: number): string[] {
  const held = each.partitions.filter(({ holds }) => holds)
  const records = held.reduce((sum, { lastStableOffset: from, highWatermark: to }) => sum + to - from, 0)
  const where = each.partitions.map(({ topic, partition, holds }) => `${topic}-${partition}${holds ? '*' : ''}`)
  const shown = where.length > 4 ? [...where.slice(0, 4), `and ${where.length - 4} more`] : where
  return [
    printable(each.transactionalId || `producer ${each.producerId}`),
    printable(each.job || '-'),
    printable(each.sink || '-'),
    each.state,
    each.startedAtMs < 0 ? '-' : formatElapsed(Math.max(0, nowMs - each.startedAtMs)),
    printable(shown.join(' ') || '-'),
    held.length === 0 ? '-' : formatNumber(records),
  ]
}

/** Partitions that transactions hold back, a line each. */
export function heldLines(held: readonly wire.HeldPartition[], nowMs: number): string[] {
  return held.map(({ topic, partition, lastStableOffset, highWatermark, since, holder }) => {
    const records = formatNumber(highWatermark - lastStableOffset)
    const elapsed = formatElapsed(Math.max(0, nowMs - fromTimestamp(since, nowMs)))
    const what = holder === '' ? 'an open transaction' : `an open transaction, ${holder},`
    return printable(
      `${topic}-${partition}: ${what} holds back ${records} records at ${lastStableOffset}, for ${elapsed}`,
    )
  })
}

/** A partition that is held back, for JSON. */
export function heldJson({ since, ...same }: wire.HeldPartition) {
  return { ...same, since: formatInstant(fromTimestamp(since, 0)) }
}
