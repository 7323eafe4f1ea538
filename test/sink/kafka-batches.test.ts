/** Records of blocks as batches: all of them, in order by key, none larger than the topic takes. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RecordBatchCursor } from '../../src/event/record-batch.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { KafkaBatches } from '../../src/sink/kafka-batches.ts'
import { OutboxBlockCursor } from '../../src/sink/outbox-block.ts'
import { blocksOf, type OutboxRecord } from '../support/outbox.ts'

interface Sent {
  readonly partition: number
  readonly bytes: Uint8Array
}

function batchesOf(
  records: readonly OutboxRecord[],
  partitions: number,
  maxMessageBytes: number,
  perBlock: number,
  latestMs = Number.POSITIVE_INFINITY,
): Sent[] {
  const batches = new KafkaBatches('out', maxMessageBytes)
  batches.begin(partitions, latestMs)
  const sent: Sent[] = []
  const send = (): void => {
    for (const [partition, writer] of batches.take()) sent.push({ partition, bytes: writer.finish(0).slice() })
  }
  const cursor = new OutboxBlockCursor()
  for (const block of blocksOf(records, perBlock)) {
    batches.turn()
    cursor.reset(block)
    while (cursor.next()) while (!batches.add(cursor)) send()
  }
  send()
  return sent
}

function recordsOf({ bytes }: Sent): OutboxRecord[] {
  const batch = new RecordBatchCursor()
  batch.reset(bytes, 0, bytes.length, 'out', 0)
  expect(batch.next()).toBe(true)
  const records: OutboxRecord[] = []
  const cursor = new RecordCursor()
  const { recordsStart: start, recordsEnd: end, count, baseTimestampMs, logAppendTime } = batch
  cursor.reset({
    ...{ partition: 0, bytes, start, end, count, baseOffset: 0, baseTimestampMs, logAppendTime },
    ...{ firstOffset: 0, nextOffset: count },
  })
  while (cursor.next()) {
    records.push({
      key: cursor.keyStart < 0 ? null : Buffer.from(bytes.subarray(cursor.keyStart, cursor.keyEnd)).toString(),
      value: Buffer.from(bytes.subarray(cursor.valueStart, cursor.valueEnd)).toString(),
      timestampMs: cursor.timestampMs,
    })
  }
  return records
}

const record = fc.record({
  key: fc.option(fc.string({ maxLength: 90, unit: fc.constantFrom('a', 'b', '7') })),
  value: fc.string({ maxLength: 150, unit: fc.constantFrom('v', 'w') }),
  timestampMs: fc.integer({ min: -5, max: 2 ** 42 }),
})

it('keeps every record, the order of each key, and the limit', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 120 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 340, max: 2000 }),
      fc.integer({ min: 1, max: 40 }),
      (records, partitions, maxMessageBytes, perBlock) => {
        const sent = batchesOf(records, partitions, maxMessageBytes, perBlock)
        const byPartition = Map.groupBy(sent, ({ partition }) => partition)
        const partitionOf = new Map<string, number>()
        let total = 0
        for (const [partition, batches] of byPartition) {
          expect(partition).toBeLessThan(partitions)
          const read = batches.flatMap(recordsOf)
          total += read.length
          for (const { key } of read) {
            if (key === null) continue
            expect(partitionOf.get(key) ?? partition).toBe(partition)
            partitionOf.set(key, partition)
          }
          for (const key of new Set(read.map((each) => each.key))) {
            if (key === null) continue
            expect(read.filter((each) => each.key === key)).toEqual(records.filter((each) => each.key === key))
          }
        }
        expect(total).toBe(records.length)
        const keyless = (all: readonly OutboxRecord[]): string[] =>
          all
            .filter(({ key }) => key === null)
            .map((each) => JSON.stringify(each))
            .sort()
        expect(keyless(sent.flatMap(recordsOf))).toEqual(keyless(records))
        for (const { bytes } of sent) expect(bytes.length).toBeLessThanOrEqual(maxMessageBytes)
      },
    ),
  )
})

it('refuses a record that no batch can hold, by the byte', () => {
  const fits = { key: 'k', value: 'x'.repeat(1000 - 61 - 10), timestampMs: 1 }
  const [sent] = batchesOf([fits], 1, 1000, 1)
  expect(sent!.bytes.length).toBe(1000)
  expect(() => batchesOf([{ ...fits, value: `${fits.value}x` }], 1, 1000, 1)).toThrow(/1001 bytes .* topic out takes/)
})

it('gives no record a time that the broker has not come to', () => {
  const records = [5, 2000, 7].map((timestampMs, i) => ({ key: 'k', value: `v${i}`, timestampMs }))
  const [sent] = batchesOf(records, 1, 1000, 10, 1000)
  expect(recordsOf(sent!).map(({ value, timestampMs }) => [value, timestampMs])).toEqual([
    ['v0', 5],
    ['v1', 1000],
    ['v2', 7],
  ])
})
