import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { compileProjection, type Projection, reasonOf } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { Column, EventSchema } from '../../src/event/schema.ts'
import { All, concat, field, schema, toLong } from './projection-support.ts'

describe('what cannot be used', () => {
  const base = { key: 'k', at: toLong(5) }
  const decode = (value: Uint8Array, s: Partial<EventSchema> = {}): string | undefined => {
    const own = { ...schema, ...s }
    const batch = new ScanBatch(own.columns)
    const reason = reasonOf(compileProjection(own).decode(value, 0, value.length, batch))
    // Nothing of a refused record stays behind, not even a dictionary entry.
    if (reason !== undefined)
      expect([batch.rows, ...batch.dictionaries.map((d) => d.count - 1)].every((n) => n === 0)).toBe(true)
    return reason
  }
  const encode = (object: object) => All.encode(All.fromObject({ ...base, ...object })).finish()
  const tail = encode({})
  const raw = (...bytes: number[]) => concat([Uint8Array.from(bytes), tail])

  it.each<[string, Uint8Array, string | undefined]>([
    ['nothing wrong', tail, undefined],
    ['no bytes', new Uint8Array(0), 'missing_time'],
    ['no key', All.encode(All.fromObject({ at: toLong(5) })).finish(), 'missing_key'],
    ['an empty key', concat([tail, Uint8Array.from([0x0a, 0])]), 'missing_key'],
    ['no time', All.encode(All.fromObject({ key: 'k' })).finish(), 'missing_time'],
    ['a time of 0 that was sent', concat([tail, Uint8Array.from([0x10, 0])]), undefined],
    ['a time beyond what dates hold', encode({ at: toLong(8.65e15) }), 'time_out_of_range'],
    ['a key that is a varint', raw(0x08, 5), 'wrong_type'],
    ['a packed number', raw(0x3a, 1, 5), 'wrong_type'],
    ['a group where a text belongs', raw(0x1b, 0x1c), 'wrong_type'],
    ['a group that never ends', concat([tail, Uint8Array.from([0x1b])]), 'undecodable'],
    ['a group that ends as another', concat([tail, Uint8Array.from([0xf3, 0x03, 0x1c])]), 'undecodable'],
    ['the end of a group that never began', raw(0xf4, 0x03), 'undecodable'],
    ['groups a hundred deep', raw(...new Array<number>(100).fill(0x93).flatMap((b) => [b, 0x03])), 'undecodable'],
    ['field number 0', raw(0x02, 0), 'undecodable'],
    ['wire type 6', raw(0x3e, 0), 'undecodable'],
    ['wire type 6 in a oneof', raw(0xb6, 0x01, 0), 'undecodable'],
    ['field number 0 with wire type 7', raw(0x07, 0), 'undecodable'],
    ['wire type 7 of an unknown field', raw(0xf7, 0x03, 0), 'undecodable'],
    ['a varint of eleven bytes', raw(0x38, ...new Array<number>(10).fill(0x80), 1), 'undecodable'],
    ['an unknown varint of eleven bytes', raw(0xf0, 0x03, ...new Array<number>(10).fill(0x80), 1), 'undecodable'],
    ['a length beyond the end', concat([tail, Uint8Array.from([0x1a, 9])]), 'undecodable'],
    ['an unknown length beyond the end', concat([tail, Uint8Array.from([0xf2, 0x03, 9])]), 'undecodable'],
    ['a fixed number cut off', concat([tail, Uint8Array.from([0x91, 0x01, 1, 2])]), 'undecodable'],
    ['invalid UTF-8', raw(0x1a, 2, 0xc3, 0x28), 'invalid_utf8'],
    ['invalid UTF-8 that a later value replaces', encode({ text: 'ok' }), undefined],
    ['invalid UTF-8 in the key', concat([tail, Uint8Array.from([0x0a, 1, 0xff])]), 'invalid_utf8'],
    ['a surrogate in UTF-8', raw(0x1a, 3, 0xed, 0xa0, 0x80), 'invalid_utf8'],
    ['bytes that are no UTF-8', raw(0x22, 2, 0xc3, 0x28), undefined],
    ['an integer beyond 2^53', encode({ i64: '9007199254740993' }), 'integer_out_of_range'],
    ['an unsigned integer beyond 2^53', encode({ u64: '18446744073709551615' }), 'integer_out_of_range'],
    ['a text of 1024 bytes', encode({ text: 'x'.repeat(1024) }), undefined],
    ['a text of 1025 bytes', encode({ text: 'x'.repeat(1025) }), 'field_too_long'],
    [
      'a long text that nobody reads',
      concat([
        tail,
        protobuf.Writer.create()
          .uint32((50 << 3) | 2)
          .string('x'.repeat(5000))
          .finish(),
      ]),
      undefined,
    ],
    ['a key of 1025 bytes', encode({ key: 'x'.repeat(1025) }), 'field_too_long'],
    ['a map entry whose key is a number', raw(0xaa, 0x01, 2, 0x08, 1), 'wrong_type'],
    ['a map entry cut off', raw(0xaa, 0x01, 2, 0x0a, 5), 'undecodable'],
  ])('%s', (_, value, reason) => {
    expect(decode(value)).toBe(reason)
  })

  it('keeps keys and texts of 64 bits exact', () => {
    const own: EventSchema = {
      ...schema,
      key: field('s64'),
      columns: [
        { field: field('u64'), encoding: 'text' },
        { field: field('i64'), encoding: 'text' },
      ],
    }
    const batch = new ScanBatch(own.columns)
    const projection = compileProjection(own)
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (u, s) => {
          batch.reset()
          const value = All.encode(
            All.fromObject({ at: toLong(5), s64: toLong(s), u64: toLong(u), i64: toLong(s) }),
          ).finish()
          const code = projection.decode(value, 0, value.length, batch)
          if (s === 0n) {
            expect(reasonOf(code)).toBe('missing_key')
            return
          }
          expect(code).toBe(0)
          expect(batch.keyText(0)).toBe(String(s))
          expect(batch.dictionaries[0]!.text(batch.texts[0]![0]!)).toBe(u === 0n ? '' : String(u))
          expect(batch.dictionaries[1]!.text(batch.texts[1]![0]!)).toBe(String(s))
        },
      ),
    )
  })

  it('scales integer times down exactly', () => {
    for (const [unit, divisor] of [
      [0.000001, 1_000_000n],
      [0.001, 1000n],
    ] as const) {
      const projection = compileProjection({ ...schema, timeUnitMs: unit, columns: [] })
      const batch = new ScanBatch([])
      fc.assert(
        fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), (time) => {
          batch.reset()
          const value = All.encode(All.fromObject({ key: 'k', at: toLong(time) })).finish()
          const code = projection.decode(value, 0, value.length, batch)
          if (time === 0n) {
            expect(reasonOf(code)).toBe('missing_time')
            return
          }
          expect(code).toBe(0)
          const floor = time >= 0n || time % divisor === 0n ? time / divisor : time / divisor - 1n
          expect(batch.timeMs[0]).toBe(Number(floor))
        }),
      )
    }
  })

  it('refuses a schema that reads one field in two ways', () => {
    const twice: Column[] = [
      { field: field('text'), encoding: 'text' },
      { field: { ...field('text'), type: 'int64' }, encoding: 'number' },
    ]
    expect(() => compileProjection({ ...schema, columns: twice }) as Projection).toThrow(/read as/)
  })
})
