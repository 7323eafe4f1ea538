import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyGroupOf, subtaskOf } from '../../src/core/key-groups.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import {
  GAIN,
  LATE,
  MEMBER,
  PARTIAL_BATCH_BYTES,
  PartialOutput,
  PartialReader,
} from '../../src/exchange/partial-batch.ts'
import { recordingChannels } from './support.ts'

const KEY_GROUPS = 128
/** Number columns of the tables 0, 1, 2. */
const columns = [0, 3, 9]

interface Record {
  readonly kind: number
  readonly table: number
  readonly startMs: number
  readonly endMs: number
  readonly hash: number
  readonly group: string
  readonly values: readonly number[]
  readonly accumulator: number
  readonly member: string
}

const bytesText = fc
  .oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.nat(255).map((n) => new Uint8Array(8300).fill(n)),
    fc.nat(255).map((n) => new Uint8Array(70_000).fill(n)),
  )
  .map((bytes) => Buffer.from(bytes).toString('hex'))

const records: fc.Arbitrary<Record> = fc
  .tuple(fc.constantFrom(GAIN, LATE, MEMBER), fc.nat(2), fc.nat(5))
  .chain(([kind, table, late]) => {
    const length = kind === MEMBER ? 0 : kind === GAIN ? columns[table]! : late
    return fc.record({
      kind: fc.constant(kind),
      table: fc.constant(table),
      startMs: fc.integer({ min: -8.64e15, max: 8.64e15 }),
      endMs: fc.integer({ min: -8.64e15, max: 8.64e15 }),
      hash: fc.nat(0xffffffff),
      group: bytesText,
      values: fc.array(fc.oneof(fc.double(), fc.constantFrom(Infinity, -Infinity, -0)), {
        minLength: length,
        maxLength: length,
      }),
      accumulator: kind === MEMBER ? fc.nat(0xffff) : fc.constant(0),
      member: kind === MEMBER ? bytesText : fc.constant(''),
    })
  })

function write(
  output: PartialOutput,
  { kind, table, startMs, endMs, hash, group, values, accumulator, member }: Record,
): boolean {
  const key = Buffer.from(group, 'hex')
  if (kind === MEMBER) return output.member(table, startMs, endMs, hash, key, accumulator, Buffer.from(member, 'hex'))
  if (kind === LATE) return output.late(table, startMs, endMs, hash, key, Float64Array.from(values))
  // Values lie somewhere in a page.
  return output.gain(table, startMs, endMs, hash, key, Float64Array.from([7, 7, ...values, 7]), 2, values.length)
}

function read(
  reader: PartialReader,
  { buffer, byteLength }: BatchMessage,
  lateColumns: (record: number) => number,
): Record[] {
  const found: Record[] = []
  reader.open(buffer, byteLength, columns)
  while (reader.next()) {
    const { kind, table, startMs, endMs, hash, f64, valuesAt, bytes, groupStart, groupEnd, memberEnd } = reader
    const length = kind === MEMBER ? 0 : kind === GAIN ? columns[table]! : lateColumns(found.length)
    found.push({
      kind,
      table,
      startMs,
      endMs,
      hash,
      group: Buffer.from(bytes.subarray(groupStart, groupEnd)).toString('hex'),
      values: Array.from(f64.slice(valuesAt, valuesAt + length)),
      accumulator: kind === MEMBER ? reader.accumulator : 0,
      member: Buffer.from(bytes.subarray(groupEnd, memberEnd)).toString('hex'),
    })
  }
  return found
}

describe('partial batches', () => {
  it('bring every record whole to the owner of its group, in the order of each receiver; a refused one is not written', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), (all, receivers) => {
        const { channels, sent } = recordingChannels(receivers, 1, PARTIAL_BATCH_BYTES)
        const output = new PartialOutput(channels, KEY_GROUPS)
        const expected: Record[][] = Array.from({ length: receivers }, () => [])
        const got: Record[][] = Array.from({ length: receivers }, () => [])
        const reader = new PartialReader()
        const receive = () => {
          for (const { receiver, message } of sent.splice(0)) {
            const batch = message as BatchMessage
            const before = got[receiver]!.length
            got[receiver]!.push(...read(reader, batch, (i) => expected[receiver]![before + i]!.values.length))
            channels.onCredit(receiver, batch.buffer)
          }
        }
        for (const record of all) {
          const receiver = subtaskOf(keyGroupOf(record.hash, KEY_GROUPS), KEY_GROUPS, receivers)
          const before = output.recordsOut
          if (!write(output, record)) {
            expect(output.recordsOut).toBe(before)
            expect(channels.hasCredit(receiver)).toBe(false)
            receive()
            expect(write(output, record)).toBe(true)
          }
          expect(output.recordsOut).toBe(before + 1)
          expected[receiver]!.push(record)
        }
        while (!output.flush()) receive()
        receive()
        expect(got).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  it('are never sent without a credit, and flush says what is left', () => {
    const { channels, sent } = recordingChannels(1, 1, PARTIAL_BATCH_BYTES)
    const output = new PartialOutput(channels, KEY_GROUPS)
    const gain = () => output.gain(0, 0, 1, 5, Buffer.from('g'), new Float64Array(0), 0, 0)
    expect(output.flush()).toBe(true)
    expect(gain()).toBe(true)
    expect(output.flush()).toBe(true)
    expect(gain()).toBe(true)
    expect(output.flush()).toBe(false)
    expect(sent.length).toBe(1)
    channels.onCredit(0, (sent[0]!.message as BatchMessage).buffer)
    expect(output.flush()).toBe(true)
    expect(sent.length).toBe(2)
  })
})
