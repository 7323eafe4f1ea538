/** Types of event and framed values: which projection a record is for. The oracle of the bytes is protobufjs. */
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { type FramedDecoder, OTHER_TYPE, openDecoder, SCHEMA_WANTED } from '../../src/event/event-decoder.ts'
import { reasonOf } from '../../src/event/projection.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventFormat, EventSchema, TypeTest, WriterSchema } from '../../src/event/schema.ts'
import { layOutWriter } from '../../src/event/writer-layout.ts'
import { framed } from '../support/registry-stub.ts'
import { batchOf, sections } from './support.ts'

const text = `syntax = "proto3"; package t;
message Outer { message A { string key = 1; int64 at = 2; int64 amount = 3; } }
message A { string key = 1; int64 at = 2; int64 amount = 3; }
message B { string id = 4; int64 time = 5; string note = 6; }
message Envelope { int64 at = 9; oneof event { A a = 1; B b = 2; string other = 3; } string tail = 12; }`
const root = protobuf.parse(text, { keepCase: true }).root
const descriptors = loadDescriptors(compileTexts([{ name: 't.proto', text }]))
const encode = (name: string, value: object): Uint8Array => {
  const type = root.lookupType(name)
  return type.encode(type.fromObject(value)).finish()
}

function refOf(message: string, path: string) {
  const resolved = descriptors.resolve(message, path)
  if (!resolved.ok) throw new Error(resolved.problem)
  return resolved.field
}

/** Types A and B with columns: amount (of A), note (of B), the name of the type. */
function schemaOf(
  when: readonly [TypeTest, TypeTest],
  options: Partial<EventFormat> = {},
  within: readonly [string, string, string] = ['t.A', 't.B', ''],
): EventSchema {
  const [messageA, messageB, at] = within
  const prefix = at === '' ? ['', ''] : ['a.', 'b.']
  const a = (path: string) => refOf(messageA, `${prefix[0]}${path}`)
  const b = (path: string) => refOf(messageB, `${prefix[1]}${path}`)
  const types = [
    {
      message: messageA,
      when: when[0],
      time: a('at'),
      timeUnitMs: 1,
      key: a('key'),
      columns: [a('amount'), null, { constant: 'A' }],
    },
    {
      message: messageB,
      when: when[1],
      time: b('time'),
      timeUnitMs: 1,
      key: b('id'),
      columns: [null, b('note'), { constant: 'B' }],
    },
  ]
  return {
    message: messageA,
    time: a('at'),
    timeUnitMs: 1,
    key: a('key'),
    columns: [
      { field: a('amount'), encoding: 'number' },
      { field: b('note'), encoding: 'text' },
      { field: { path: 'event_type', steps: [], type: 'string' }, encoding: 'text' },
    ],
    format: { framing: 'none', types, others: 'filter', ...options },
  }
}

function rowOf(batch: ScanBatch, row: number): unknown[] {
  const textOf = (column: number): string => batch.dictionaries[column]!.text(batch.texts[column]![row]!)
  return [batch.keyText(row), batch.timeMs[row], batch.numbers[0]![row], textOf(1), textOf(2)]
}

const header = (name: string, equals: string): TypeTest => ({ kind: 'header', name, equals })

describe('types by header', () => {
  it('takes the last header of the name, whatever else is there', () => {
    const schema = schemaOf([header('type', 'a'), header('type', 'longer')])
    const headers = fc.array(
      fc.tuple(
        fc.constantFrom('type', 'typ', 'types', 'Type', ''),
        fc.constantFrom('a', 'longer', 'b', '', null).map((v) => (v === null ? null : Buffer.from(v))),
      ),
      { maxLength: 4 },
    )
    fc.assert(
      fc.property(fc.array(headers, { minLength: 1, maxLength: 10 }), (all) => {
        const decoder = openDecoder(schema, () => {})
        const value = encode('t.A', { key: 'k', at: '5', amount: '7' })
        // One more that is a B by its bytes: what is told is told by the header alone.
        const bytes = batchOf(
          0,
          all.map((h) => ({ key: null, value, timestampMs: 0, headers: h })),
        )
        const batch = new ScanBatch(schema.columns)
        const cursor = new RecordCursor('t')
        cursor.reset(sections(bytes)[0]!)
        for (const expected of all) {
          expect(cursor.next()).toBe(true)
          const last = expected
            .filter(([name]) => name === 'type')
            .at(-1)?.[1]
            ?.toString()
          const reason = decoder.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, batch, cursor.recordEnd)
          if (last === 'a') expect(reason).toBe(0)
          else if (last === 'longer') expect(reasonOf(reason)).toBe('missing_time')
          else expect(reason).toBe(OTHER_TYPE)
        }
      }),
    )
  })

  it('never reads outside a record whose headers lie', () => {
    const decoder = openDecoder(schemaOf([header('type', 'a'), header('type', 'b')]), () => {})
    const value = encode('t.A', { key: 'k', at: '5' })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (rest) => {
        const bytes = Buffer.concat([value, rest])
        const batch = new ScanBatch([{ encoding: 'number' }, { encoding: 'text' }, { encoding: 'text' }])
        expect([0, OTHER_TYPE, 1, 6, 7]).toContain(decoder.decode(bytes, 0, value.length, batch, bytes.length))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('types by a field of an envelope', () => {
  const group = [1, 2, 3]
  const schema = schemaOf(
    [
      { kind: 'field', number: 1, group },
      { kind: 'field', number: 2, group },
    ],
    {},
    ['t.Envelope', 't.Envelope', 'inside'],
  )

  it('takes the last member on the wire, as the oneof does', () => {
    const a = fc.record({ key: fc.constantFrom('k1', 'k2'), at: fc.constant('5'), amount: fc.constantFrom('1', '2') })
    const b = fc.record({ id: fc.constantFrom('i1', 'i2'), time: fc.constant('6'), note: fc.constantFrom('x', 'y') })
    const part = fc.oneof(
      a.map((value) => ({ a: value })),
      b.map((value) => ({ b: value })),
      fc.constant({ other: 'o' }),
      fc.constant({ tail: 't' }),
    )
    const type = root.lookupType('t.Envelope')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const bytes = Buffer.concat(parts.map((value) => encode('t.Envelope', value)))
        const decoder = openDecoder(schema, () => {})
        const batch = new ScanBatch(schema.columns)
        const reason = decoder.decode(bytes, 0, bytes.length, batch, bytes.length)
        const decoded = type.toObject(type.decode(bytes), { longs: Number }) as {
          a?: { key: string; amount?: number }
          b?: { id: string; note?: string }
        }
        if (decoded.a !== undefined && decoded.b === undefined) {
          expect([reason, rowOf(batch, 0)]).toEqual([0, [decoded.a.key, 5, decoded.a.amount ?? 0, '', 'A']])
        } else if (decoded.b !== undefined) {
          expect([reason, rowOf(batch, 0)]).toEqual([0, [decoded.b.id, 6, 0, decoded.b.note ?? '', 'B']])
        } else expect([reason, batch.rows]).toEqual([OTHER_TYPE, 0])
      }),
    )
  })

  it('calls bytes that are no message undecodable', () => {
    const decoder = openDecoder(schema, () => {})
    const batch = new ScanBatch(schema.columns)
    expect(reasonOf(decoder.decode(Uint8Array.of(0x0a, 0xff), 0, 2, batch, 2))).toBe('undecodable')
  })
})

describe('framed values', () => {
  const always: TypeTest = { kind: 'always' }
  const schema = schemaOf([always, always], { framing: 'registry' })
  const writer = layOutWriter(schema.format!.types, descriptors)

  function decoderWith(known: Readonly<Record<number, WriterSchema>>, of = schema) {
    const wanted: number[] = []
    const decoder = openDecoder(of, (id) => wanted.push(id)) as FramedDecoder
    for (const [id, answer] of Object.entries(known)) decoder.provide(Number(id), answer)
    const batch = new ScanBatch(of.columns)
    const decode = (bytes: Uint8Array): number => decoder.decode(bytes, 0, bytes.length, batch, bytes.length)
    return { decoder, batch, wanted, decode }
  }

  it('tells messages apart by their index, in every way in which it is written', () => {
    expect(writer.ok && writer.messages.map(({ index }) => index)).toEqual([[1], [2]])
    const { batch, decode } = decoderWith({ 7: writer })
    expect(decode(framed(7, [1], encode('t.A', { key: 'k', at: '1', amount: '3' })))).toBe(0)
    expect(decode(framed(7, [2], encode('t.B', { id: 'i', time: '2', note: 'n' })))).toBe(0)
    expect(decode(framed(7, [0], encode('t.A', { key: 'k', at: '1' })))).toBe(OTHER_TYPE)
    expect(decode(framed(7, [0, 0], encode('t.A', { key: 'k', at: '1' })))).toBe(OTHER_TYPE)
    expect(rowOf(batch, 0)).toEqual(['k', 1, 3, '', 'A'])
    expect(rowOf(batch, 1)).toEqual(['i', 2, 0, 'n', 'B'])
    // [0] as the one byte 0 and as a list of one.
    const first: WriterSchema = { ok: true, messages: [{ index: [0], types: [schema.format!.types[0]!] }] }
    const short = decoderWith({ 1: first })
    const message = encode('t.A', { key: 'k', at: '1' })
    expect(short.decode(framed(1, [0], message))).toBe(0)
    expect(short.decode(Buffer.concat([Buffer.from([0, 0, 0, 0, 1, 2, 0]), message]))).toBe(0)
    const nested: WriterSchema = { ok: true, messages: [{ index: [300, 2], types: [schema.format!.types[0]!] }] }
    expect(decoderWith({ 1: nested }).decode(framed(1, [300, 2], message))).toBe(0)
  })

  it('asks once for a schema, and decodes the record when it is there', () => {
    const { decoder, batch, wanted, decode } = decoderWith({})
    const value = framed(0x7edc_ba98, [1], encode('t.A', { key: 'k', at: '1' }))
    expect([decode(value), decode(value)]).toEqual([SCHEMA_WANTED, SCHEMA_WANTED])
    expect(wanted).toEqual([0x7edc_ba98])
    expect(batch.rows).toBe(0)
    decoder.provide(0x7edc_ba98, writer)
    expect(decode(value)).toBe(0)
  })

  it('says why a value cannot be used', () => {
    const unknown: WriterSchema = { ok: false, reason: 'schema_unknown', detail: '' }
    const bad: WriterSchema = { ok: false, reason: 'schema_incompatible', detail: '' }
    const { decode, wanted } = decoderWith({ 1: unknown, 2: bad, 7: writer })
    const reason = (bytes: Uint8Array) => reasonOf(decode(bytes))
    expect(reason(framed(1, [0], Uint8Array.of()))).toBe('schema_unknown')
    expect(reason(framed(2, [0], Uint8Array.of()))).toBe('schema_incompatible')
    expect(reason(framed(0x8000_0000, [0], Uint8Array.of()))).toBe('schema_unknown')
    expect(reason(framed(0xffff_ffff, [0], Uint8Array.of()))).toBe('schema_unknown')
    expect(reason(Uint8Array.of(1, 0, 0, 0, 7, 0))).toBe('not_framed')
    expect(reason(Uint8Array.of(0, 0, 0, 0, 7))).toBe('not_framed')
    expect(reason(Uint8Array.of(0, 0, 0, 0, 7, 0x80))).toBe('not_framed')
    expect(reason(Uint8Array.of(0, 0, 0, 0, 7, 3))).toBe('not_framed')
    expect(reason(Uint8Array.of(0, 0, 0, 0, 7, 0xfe, 0x7f))).toBe('not_framed')
    const strict = schemaOf([always, always], { framing: 'registry', others: 'deadLetter' })
    expect(reasonOf(decoderWith({ 7: writer }, strict).decode(framed(7, [9], Uint8Array.of())))).toBe('unknown_type')
    expect(wanted).toEqual([])
  })

  it('keeps a bounded number of schemas, and asks again for one that it has forgotten', () => {
    const { decoder, wanted, decode } = decoderWith({ 7: writer })
    const unknown: WriterSchema = { ok: false, reason: 'schema_unknown', detail: '' }
    for (let id = 10; id < 5000; id++) decoder.provide(id, unknown)
    expect(decode(framed(7, [1], encode('t.A', { key: 'k', at: '1' })))).toBe(0)
    expect(decode(framed(10, [1], Uint8Array.of()))).toBe(SCHEMA_WANTED)
    expect(wanted).toEqual([10])
  })

  it('asks again for an id that was unknown, after a while, and keeps the others', () => {
    const unknown: WriterSchema = { ok: false, reason: 'schema_unknown', detail: '' }
    const bad: WriterSchema = { ok: false, reason: 'schema_incompatible', detail: '' }
    const { decoder, wanted, decode } = decoderWith({ 1: unknown, 2: bad, 7: writer })
    const value = framed(1, [1], encode('t.A', { key: 'k', at: '1' }))
    expect(reasonOf(decode(value))).toBe('schema_unknown')
    decoder.forgetUnknown()
    expect(decode(value)).toBe(SCHEMA_WANTED)
    decoder.provide(1, writer)
    expect(decode(value)).toBe(0)
    expect(reasonOf(decode(framed(2, [1], Uint8Array.of())))).toBe('schema_incompatible')
    expect(wanted).toEqual([1])
  })

  it('any bytes give a row or a reason, and never touch what is around them', () => {
    const { decode, batch } = decoderWith({ 7: writer, 0: writer })
    const head = fc.constantFrom([0, 0, 0, 0, 7], [0, 0, 0, 0, 0], [1])
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 60 }), (start, rest) => {
        if (batch.rows === batch.capacity) batch.reset()
        const before = batch.rows
        const result = decode(Buffer.concat([Buffer.from(start), rest]))
        expect(batch.rows).toBe(result === 0 ? before + 1 : before)
        if (result > 0) expect(reasonOf(result)).toBeDefined()
        else expect([0, OTHER_TYPE]).toContain(result)
      }),
      { numRuns: 5000 },
    )
  })
})
