import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecNames } from '../../src/event/compression.ts'
import { NOT_CONTROL, RecordBatchCursor } from '../../src/event/record-batch.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { batchOf, cursorOn, joined, readAll, recordSets, sections } from './support.ts'

describe('RecordBatchCursor', () => {
  it('reads back every header field', () => {
    const writer = new RecordBatchWriter()
    writer.append(null, Buffer.from('a'), 1_700_000_000_123)
    writer.append(Buffer.from('k'), null, 1_700_000_000_100)
    const bytes = writer.finish(5_000_000_000, {
      producerId: 0x1234_5678_9abcn,
      producerEpoch: 7,
      transactional: true,
      partitionLeaderEpoch: 9,
      lastOffsetDelta: 4,
    })
    const batch = cursorOn(bytes)
    expect(batch.next()).toBe(true)
    expect(batch).toMatchObject({
      baseOffset: 5_000_000_000,
      lastOffsetDelta: 4,
      nextOffset: 5_000_000_005,
      partitionLeaderEpoch: 9,
      codec: 0,
      transactional: true,
      control: false,
      controlType: NOT_CONTROL,
      logAppendTime: false,
      baseTimestampMs: 1_700_000_000_123,
      maxTimestampMs: 1_700_000_000_123,
      count: 2,
      recordsEnd: bytes.length,
    })
    expect(batch.producerId()).toBe(0x1234_5678_9abcn)
    expect(batch.producerEpoch()).toBe(7)
    expect(batch.next()).toBe(false)
    expect(batch.partialSize).toBe(0)
  })

  it('has no producer unless told', () => {
    const batch = cursorOn(batchOf(0, [{ key: null, value: Buffer.from('x'), timestampMs: 1 }]))
    batch.next()
    expect(batch.producerId()).toBe(-1n)
  })

  it('tells markers by the control flag alone, never by a key', () => {
    const writer = new RecordBatchWriter()
    writer.appendMarker('abort', 5)
    const abort = joined([writer.finish(10, { control: true, transactional: true, producerId: 4n })])
    writer.appendMarker('commit', 5)
    const commit = joined([writer.finish(11, { control: true, transactional: true, producerId: 4n })])
    writer.append(new Uint8Array(4), new Uint8Array(6), 5)
    const user = joined([writer.finish(12, { transactional: true, producerId: 4n })])
    const batch = cursorOn(joined([abort, commit, user]))
    const seen: number[] = []
    while (batch.next()) seen.push(batch.controlType)
    expect(seen).toEqual([0, 1, NOT_CONTROL])
  })

  it('refuses a control record that is too short', () => {
    const writer = new RecordBatchWriter()
    writer.append(new Uint8Array(2), null, 5)
    const batch = cursorOn(writer.finish(10, { control: true }))
    expect(() => batch.next()).toThrow(/its control key has 2 bytes/)
  })

  it('reads an empty batch, as compaction leaves it, as a step', () => {
    const batch = cursorOn(new RecordBatchWriter().finish(100, { lastOffsetDelta: 6 }))
    expect(batch.next()).toBe(true)
    expect(batch).toMatchObject({ count: 0, baseOffset: 100, nextOffset: 107 })
  })

  it('refuses message formats v0 and v1 with what to do', () => {
    const bytes = Uint8Array.from(batchOf(3, [{ key: null, value: Buffer.from('x'), timestampMs: 1 }]))
    for (const magic of [0, 1]) {
      bytes[16] = magic
      expect(() => cursorOn(bytes).next()).toThrow(
        expect.objectContaining({
          code: 'CODEC_UNSUPPORTED',
          message: expect.stringMatching(/events-2 at offset 3 holds message format v[01], .*older than 0\.11/),
        }),
      )
    }
  })

  it('names topic, partition and offset of a corrupt batch, and checks the CRC only if told', () => {
    const good = batchOf(41, [{ key: null, value: Buffer.from('x'), timestampMs: 1 }])
    const bad = joined([good, good])
    bad[good.length * 2 - 2]! ^= 1
    const batch = cursorOn(bad)
    expect(batch.next()).toBe(true)
    expect(() => batch.next()).toThrow(
      expect.objectContaining({
        code: 'RECORD_BATCH_CORRUPT',
        message: expect.stringMatching(
          /events-2 at offset 41 is corrupt: its CRC-32C is [0-9a-f]+ and its header says/,
        ),
      }),
    )
    const unchecked = new RecordBatchCursor({ checkCrc: false })
    unchecked.reset(bad, 0, bad.length, 'events', 2)
    expect([unchecked.next(), unchecked.next(), unchecked.next()]).toEqual([true, true, false])
  })

  it.each([
    ['length', 8, [0, 0, 0, 3], /length field says 3 bytes/],
    ['negative length', 8, [0xff, 0xff, 0xff, 0xff], /length field says -1 bytes/],
    ['magic', 16, [3], /format version is 3/],
    ['base offset', 0, [0x80], /base offset is -/],
    ['last offset delta', 23, [0xff, 0xff, 0xff, 0xff], /last offset delta is -1/],
    ['count', 57, [0, 0, 0, 2], /it says 2 records for 1 offsets/],
    ['codec', 22, [5], /its codec number is 5/],
  ])('refuses an impossible %s', (_name, at, value, message) => {
    const bytes = Uint8Array.from(batchOf(0, [{ key: null, value: Buffer.from('x'), timestampMs: 1 }]))
    bytes.set(value as number[], at as number)
    expect(() => cursorOn(bytes).next()).toThrow(message)
  })

  it('gives whole batches only, whatever byte the region ends at, and says how large the cut one is', () => {
    fc.assert(
      fc.property(fc.array(recordSets, { minLength: 1, maxLength: 4 }), (sets) => {
        const batches: Uint8Array[] = []
        let offset = 0
        for (const set of sets) {
          batches.push(batchOf(offset, set))
          offset += set.length
        }
        const bytes = joined(batches)
        for (let end = 0; end <= bytes.length; end++) {
          const batch = new RecordBatchCursor()
          batch.reset(bytes, 0, end, 'events', 2)
          let whole = 0
          while (batch.next()) whole++
          let expected = 0
          let size = 0
          while (expected < batches.length && size + batches[expected]!.length <= end)
            size += batches[expected++]!.length
          expect(whole).toBe(expected)
          expect(batch.nextAt).toBe(size)
          expect(batch.partialSize).toBe(end === size ? 0 : end - size < 12 ? 12 : batches[expected]!.length)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('catches any flipped bit that the CRC covers', () => {
    fc.assert(
      fc.property(recordSets, fc.nat(), fc.nat(7), (set, where, bit) => {
        const bytes = Uint8Array.from(batchOf(9, set))
        const at = 17 + (where % (bytes.length - 17))
        bytes[at]! ^= 1 << bit
        expect(() => cursorOn(bytes).next()).toThrow(expect.objectContaining({ code: 'RECORD_BATCH_CORRUPT' }))
      }),
    )
  })
})

describe('round trip', () => {
  it.each(codecNames)('writer to reader by codec %s', (codec) => {
    fc.assert(
      fc.property(fc.array(recordSets, { minLength: 1, maxLength: 3 }), fc.nat(2 ** 40), (sets, base) => {
        const writer = new RecordBatchWriter(64)
        const batches: Uint8Array[] = []
        let offset = base
        for (const set of sets) {
          for (const r of set) writer.append(r.key, r.value, r.timestampMs, undefined, r.headers)
          batches.push(writer.finish(offset, { codec }).slice())
          offset += set.length
        }
        const read = sections(joined(batches)).flatMap(readAll)
        expect(read).toEqual(
          sets.flat().map((r, i) => ({
            offset: base + i,
            timestampMs: r.timestampMs,
            key: r.key && Buffer.from(r.key).toString('hex'),
            value: r.value && Buffer.from(r.value).toString('hex'),
          })),
        )
      }),
      { numRuns: 60 },
    )
  })
})
