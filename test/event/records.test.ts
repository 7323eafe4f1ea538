import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordCursor, type RecordSection } from '../../src/event/records.ts'
import { batchOf, readAll, recordSets, sections } from './support.ts'

function section(bytes: Uint8Array, count: number): RecordSection {
  return {
    partition: 1,
    bytes,
    start: 0,
    end: bytes.length,
    count,
    baseOffset: 50,
    baseTimestampMs: 0,
    logAppendTime: false,
    firstOffset: 0,
    nextOffset: Number.POSITIVE_INFINITY,
  }
}

/** The records of `value(i)`, one a millisecond, as one section. */
function numbered(count: number): RecordSection {
  const records = Array.from({ length: count }, (_, i) => ({
    key: null,
    value: Buffer.from([i]),
    timestampMs: 1000 + i,
  }))
  return sections(batchOf(50, records))[0]!
}

describe('RecordCursor', () => {
  it('passes over what was not asked for: below firstOffset, from nextOffset on', () => {
    const some = { ...numbered(10), firstOffset: 53, nextOffset: 57 }
    expect(readAll(some).map((r) => r.offset)).toEqual([53, 54, 55, 56])
    expect(readAll({ ...some, firstOffset: 70 })).toEqual([])
  })

  it('gives every record the append time where the topic stamps at append', () => {
    const bytes = batchOf(
      0,
      [1, 2, 3].map((i) => ({ key: null, value: null, timestampMs: i })),
      { logAppendTimeMs: 9_999 },
    )
    expect(readAll(sections(bytes)[0]!).map((r) => r.timestampMs)).toEqual([9_999, 9_999, 9_999])
  })

  it('can be reset in the middle and used again', () => {
    const cursor = new RecordCursor()
    cursor.reset(numbered(5))
    cursor.next()
    cursor.reset(numbered(3))
    let n = 0
    while (cursor.next()) n++
    expect(n).toBe(3)
    expect(cursor.next()).toBe(false)
  })

  it('refuses bytes after the last record and a count beyond the records', () => {
    const good = numbered(4)
    expect(() => readAll({ ...good, count: 3 })).toThrow(/events-2 at offset 50 is corrupt: .* after its last record/)
    expect(() => readAll({ ...good, count: 5 })).toThrow(expect.objectContaining({ code: 'RECORD_BATCH_CORRUPT' }))
  })

  it('never reads outside and always ends, whatever the bytes are', () => {
    const seen = { records: 0, errors: 0 }
    fc.assert(
      fc.property(
        recordSets,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }),
        fc.nat(20),
        fc.nat(60),
        (set, hits, cut, extra) => {
          const good = sections(batchOf(50, set))[0]!
          const bytes = Uint8Array.from(good.bytes)
          for (const [at, value] of hits) bytes[at % bytes.length] = value
          const damaged = { ...good, bytes, end: Math.max(0, bytes.length - cut), count: set.length + (extra % 3) }
          expectSane(damaged, seen)
        },
      ),
      { numRuns: 500 },
    )
    expect(seen.records).toBeGreaterThan(100)
    expect(seen.errors).toBeGreaterThan(100)
  })

  it('meets random bytes with an error or records inside them', () => {
    const seen = { records: 0, errors: 0 }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(1_000_000), (bytes, count) => {
        expectSane(section(bytes, count), seen)
      }),
      { numRuns: 500 },
    )
    expect(seen.errors).toBeGreaterThan(100)
  })

  it.each([
    ['a value beyond its record, within the section', [14, 0, 0, 0, 1, 8, 9, 9, 12, 0, 0, 2, 1, 0, 0]],
    ['a value that leaves no room for the headers', [14, 0, 0, 0, 1, 4, 9, 9]],
    ['a key beyond its record', [14, 0, 0, 0, 60, 1, 9, 0]],
    ['a record of no fields', [4, 0, 0]],
    ['a record of negative length', [3, 0, 0, 0, 1, 1, 0, 0]],
  ])('refuses %s', (_what, bytes) => {
    expect(() => readAll(section(Uint8Array.from(bytes), 1))).toThrow(
      expect.objectContaining({ code: 'RECORD_BATCH_CORRUPT' }),
    )
  })

  it('takes the smallest record there is', () => {
    expect(readAll(section(Uint8Array.from([12, 0, 0, 0, 1, 1, 0]), 1))).toEqual([
      { offset: 50, timestampMs: 0, key: null, value: null },
    ])
  })

  it('refuses varints that do not end', () => {
    const endless = new Uint8Array(40).fill(0xff)
    endless[0] = 60
    expect(() => readAll(section(endless, 1))).toThrow(expect.objectContaining({ code: 'RECORD_BATCH_CORRUPT' }))
    const longTime = Uint8Array.from([40, 0, ...new Array(12).fill(0x80), 0, 0, 0, 0, 0, 0, 0])
    expect(() => readAll(section(longTime, 1))).toThrow(/a timestamp of more than 10 bytes/)
  })
})

function expectSane(damaged: RecordSection, seen: { records: number; errors: number }): void {
  const cursor = new RecordCursor('events')
  cursor.reset(damaged)
  let records = 0
  try {
    while (cursor.next()) {
      records++
      for (const [start, end] of [
        [cursor.keyStart, cursor.keyEnd],
        [cursor.valueStart, cursor.valueEnd],
      ] as const) {
        const fine = (start === -1 && end === -1) || (start >= damaged.start && start <= end && end < damaged.end)
        if (!fine) throw new Error(`range ${start} .. ${end}`)
      }
      if (Number.isNaN(cursor.timestampDelta) || !Number.isInteger(cursor.offsetDelta)) throw new Error('not a number')
    }
  } catch (error) {
    expect((error as Error).message).toMatch(/record batch of events-\d at offset 50 is corrupt/)
    expect(cursor.next()).toBe(false)
    seen.errors++
  }
  expect(records).toBeLessThanOrEqual(damaged.count)
  seen.records += records
}
