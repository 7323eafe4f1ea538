import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutboxBlockCursor, OutboxBlockWriter, outboxRecordBytes } from '../../src/sink/outbox-block.ts'

const record = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null }),
  value: fc.uint8Array({ maxLength: 5000 }),
  timestampMs: fc.double({ noNaN: true }),
})

function read(block: Uint8Array): { key: number[] | null; value: number[]; timestampMs: number }[] {
  const cursor = new OutboxBlockCursor()
  cursor.reset(block)
  const records = []
  while (cursor.next()) {
    records.push({
      key: cursor.key === null ? null : [...cursor.key],
      value: [...cursor.value],
      timestampMs: cursor.timestampMs,
    })
  }
  return records
}

test('records are read as they were written, keys that are empty and keys that are none told apart', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 20 }), fc.nat({ max: 20 }), (records, split) => {
      const writer = new OutboxBlockWriter()
      const blocks: Uint8Array[] = []
      records.forEach(({ key, value, timestampMs }, i) => {
        const before = writer.byteLength
        writer.write(key, value, timestampMs)
        expect(writer.byteLength - before).toBe(outboxRecordBytes(key, value))
        if (i === split) {
          expect(writer.records).toBe(i + 1)
          blocks.push(writer.take())
        }
      })
      blocks.push(writer.take())
      expect(writer.byteLength).toBe(0)
      const plain = records.map(({ key, value, timestampMs }) => ({
        key: key === null ? null : [...key],
        value: [...value],
        timestampMs,
      }))
      expect(blocks.flatMap(read)).toEqual(plain)
    }),
  )
})

test('a block that was cut off within a record is refused, and nothing is read beyond it', () => {
  const writer = new OutboxBlockWriter()
  writer.write(Uint8Array.of(1, 2), Uint8Array.of(3), 4)
  const block = writer.take()
  for (let length = 1; length < block.length; length++) {
    expect(() => read(block.slice(0, length))).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
  }
})
