import { createFileRegistry, type DescMessage, fromBinary, type Message } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { compileProjection, type Projection, reasonOf } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { Column, ColumnEncoding, EventSchema, FieldRef } from '../../src/event/schema.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { builtInDescriptors, descriptorBytes } from '../support/descriptors.ts'

/** A message with every type, deep paths, maps, a oneof and a field number beyond the dense table. */
const source = `
syntax = "proto3";
package t;
message Property { oneof value { string s = 1; double d = 2; int64 i = 3; bool b = 4; } }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
enum Color { NONE = 0; RED = 1; BLUE = 7; }
message Deep { string text = 1; int64 count = 2; Deep more = 3; map<string, Deep> by = 4; }
message All {
  string key = 1;
  int64 at = 2;
  string text = 3;
  bytes raw = 4;
  bool flag = 5;
  Color color = 6;
  int32 i32 = 7;
  sint32 s32 = 8;
  uint32 u32 = 9;
  fixed32 f32 = 10;
  sfixed32 sf32 = 11;
  int64 i64 = 12;
  sint64 s64 = 13;
  uint64 u64 = 14;
  fixed64 f64 = 15;
  sfixed64 sf64 = 16;
  float fl = 17;
  double db = 18;
  Deep deep = 19;
  map<string, Property> props = 20;
  map<string, int64> counts = 21;
  oneof who { string user = 22; Deep group = 23; int64 number = 24; }
  int32 far = 100000;
  repeated int32 many = 30;
  optional int32 maybe = 31;
}`

const root = protobuf.parse(source, { keepCase: true }).root
root.resolveAll()
const All = root.lookupType('t.All')
const setBytes = descriptorBytes(root)
const descriptors = loadDescriptors(setBytes)
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, setBytes))
const AllDesc = registry.getMessage('t.All')!

function field(path: string, of: Descriptors = descriptors, message = 't.All'): FieldRef {
  const resolved = of.resolve(message, path)
  if (!resolved.ok) throw new Error(resolved.problem)
  return resolved.field
}

const numberPaths = [
  'flag',
  'color',
  'i32',
  's32',
  'u32',
  'f32',
  'sf32',
  'i64',
  's64',
  'u64',
  'f64',
  'sf64',
  'fl',
  'db',
  'deep.count',
  'deep.more.count',
  'deep.by.x.count',
  'counts.a',
  'props.p',
  'number',
  'group.count',
  'far',
  'maybe',
]
const textPaths = [
  'text',
  'raw',
  'deep.text',
  'deep.more.text',
  'deep.by.x.text',
  'user',
  'group.text',
  'props.p',
  'props.q.r',
]
const columns: Column[] = [
  ...numberPaths.map((p) => ({ field: field(p), encoding: 'number' as ColumnEncoding })),
  ...textPaths.map((p) => ({ field: field(p), encoding: 'text' as ColumnEncoding })),
  ...numberPaths.map((p) => ({ field: field(p), encoding: 'text' as ColumnEncoding })),
]
const schema: EventSchema = { message: 't.All', time: field('at'), timeUnitMs: 1, key: field('key'), columns }

/** Names kept from wire chunks of one field each: merging them in any order is what concatenation means. */
const small = fc.constantFrom('', 'a', 'b', 'hello', 'żółw', '\u{1F600}')
const long = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.maxSafeInteger(), fc.constantFrom(2 ** 53 - 1, 1 - 2 ** 53))
const i32 = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer())
const u32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }))
/** protobufjs takes 64-bit integers as texts. */
const toLong = (n: number | bigint) => String(n)
const deepLeaf = fc.record({ text: small, count: long.map(toLong) }, { requiredKeys: [] })
const deep = fc.record(
  {
    text: small,
    count: long.map(toLong),
    more: deepLeaf,
    by: fc.dictionary(fc.constantFrom('x', 'y', ''), deepLeaf, { maxKeys: 2 }),
  },
  { requiredKeys: [] },
)
const property = fc.oneof(
  fc.record({ s: small }),
  fc.record({ d: fc.double() }),
  fc.record({ i: long.map(toLong) }),
  fc.record({ b: fc.boolean() }),
  fc.constant({}),
)
const chunk = fc.oneof(
  small.map((text) => ({ text })),
  fc.uint8Array({ maxLength: 4 }).map((raw) => ({ raw })),
  fc.boolean().map((flag) => ({ flag })),
  fc.constantFrom(0, 1, 7, 9, -1).map((color) => ({ color })),
  i32.map((v) => ({ i32: v })),
  i32.map((v) => ({ s32: v })),
  u32.map((v) => ({ u32: v })),
  u32.map((v) => ({ f32: v })),
  i32.map((v) => ({ sf32: v })),
  long.map((v) => ({ i64: toLong(v) })),
  long.map((v) => ({ s64: toLong(v) })),
  fc.nat().map((v) => ({ u64: toLong(v) })),
  fc.nat().map((v) => ({ f64: toLong(v) })),
  long.map((v) => ({ sf64: toLong(v) })),
  fc.float().map((fl) => ({ fl })),
  fc.double().map((db) => ({ db })),
  deep.map((v) => ({ deep: v })),
  fc.dictionary(fc.constantFrom('p', 'q.r', 'z'), property, { maxKeys: 2 }).map((props) => ({ props })),
  fc.dictionary(fc.constantFrom('a', 'b'), long.map(toLong), { maxKeys: 2 }).map((counts) => ({ counts })),
  small.map((user) => ({ user })),
  deep.map((group) => ({ group })),
  long.map((v) => ({ number: toLong(v) })),
  i32.map((far) => ({ far })),
  i32.map((maybe) => ({ maybe })),
  fc.array(fc.integer(), { maxLength: 3 }).map((many) => ({ many })),
  fc.constant({ key: 'k' }),
  fc.constant({ at: toLong(1_700_000_000_000) }),
)

/** Fields that no schema knows, groups included. */
const unknown = fc.oneof(
  fc.tuple(fc.integer({ min: 40, max: 600 }), u32).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 0)
      .uint32(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), small).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 2)
      .string(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), fc.double()).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 1)
      .double(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), fc.float()).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 5)
      .float(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), small).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 3)
      .uint32((2 << 3) | 2)
      .string(v)
      .uint32((3 << 3) | 3)
      .uint32((3 << 3) | 4)
      .uint32((n << 3) | 4)
      .finish(),
  ),
)
const record = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: chunk.map((c) => All.encode(All.fromObject(c)).finish()) },
    { weight: 1, arbitrary: unknown },
  ),
  {
    maxLength: 30,
  },
)

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

/** The value at a path by protobuf-es: a reader that shares nothing with ours. */
function oracle(message: Message, desc: DescMessage, ref: FieldRef): unknown {
  let current: ReflectMessage = reflect(desc, message)
  for (let i = 0; i < ref.steps.length; i++) {
    const step = ref.steps[i]!
    const f = current.desc.fields.find((d) => d.number === step.number)!
    if (!current.isSet(f) && f.fieldKind !== 'scalar' && f.fieldKind !== 'enum') return undefined
    if (f.oneof !== undefined && !current.isSet(f)) return undefined
    let value: unknown = current.get(f)
    if (step.kind === 'entry') {
      value = (value as { get(key: string): unknown }).get(step.key)
      if (value === undefined) return undefined
    }
    if (i === ref.steps.length - 1) {
      if (ref.type !== 'property') return value
      const inner = value as ReflectMessage
      const set = inner.desc.fields.find((d) => inner.isSet(d))
      return set === undefined ? undefined : inner.get(set)
    }
    current = value as ReflectMessage
  }
  return undefined
}

function numberOf(value: unknown): number {
  if (value === undefined || typeof value === 'string') return 0
  return Number(value)
}

function textOf(value: unknown, ref: FieldRef): string {
  if (value === undefined) return ''
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (ref.type === 'enum') return ref.enumNames![Number(value)] ?? String(value)
  if (Object.is(value, -0)) return '0'
  return String(value)
}

function readText(batch: ScanBatch, column: number, row: number, ref: FieldRef): string {
  const dictionary = batch.dictionaries[column]!
  const id = batch.texts[column]![row]!
  const bytes = dictionary.bytes.slice(dictionary.starts[id]!, dictionary.starts[id + 1]!)
  return Buffer.from(bytes).toString(ref.type === 'bytes' ? 'latin1' : 'utf8')
}

describe('projection against protobuf-es', () => {
  it('reads every type as it is decoded, whatever the order, repetition and unknown fields', () => {
    const projection = compileProjection(schema)
    const batch = new ScanBatch(columns)
    fc.assert(
      fc.property(record, fc.nat(20), fc.nat(20), (parts, before, after) => {
        if (batch.rows > 900) batch.reset()
        const value = concat([
          ...parts,
          All.encode(All.fromObject({ key: 'anna', at: toLong(1_700_000_000_000) })).finish(),
        ])
        // What stands around the record in its buffer is hostile.
        const bytes = concat([new Uint8Array(before).fill(0xff), value, new Uint8Array(after).fill(0xff)])
        const row = batch.rows
        expect(reasonOf(projection.decode(bytes, before, before + value.length, batch))).toBeUndefined()
        expect(batch.rows).toBe(row + 1)
        expect(batch.timeMs[row]).toBe(1_700_000_000_000)
        expect(batch.keyText(row)).toBe('anna')
        expect(batch.keyHash[row]).toBe(hashBytes(Buffer.from('anna'), 0, 4))
        const message = fromBinary(AllDesc, value)
        columns.forEach(({ field: ref, encoding }, i) => {
          const expected = oracle(message, AllDesc, ref)
          if (encoding === 'number') {
            expect(batch.numbers[i]![row], ref.path).toBe(numberOf(expected))
          } else {
            const wanted = textOf(expected, ref)
            const text = readText(batch, i, row, ref)
            // An absent scalar reads as the empty text, and the oracle cannot tell it from one that was sent as 0.
            if (text === '' && ['0', 'false', 'NONE'].includes(wanted)) return
            expect(text, ref.path).toBe(wanted)
          }
        })
      }),
      { numRuns: 500 },
    )
  })

  it('never throws, never reads outside its range, and leaves the batch alone when it refuses', () => {
    const projection = compileProjection(schema)
    const batch = new ScanBatch(columns)
    const guarded = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
      new Proxy(bytes, {
        get(target, key) {
          if (typeof key === 'string' && /^\d+$/.test(key) && (Number(key) < start || Number(key) >= end)) {
            throw new Error(`read ${key} outside ${start}..${end}`)
          }
          const value = Reflect.get(target, key, target) as unknown
          return typeof value === 'function' ? (value as () => unknown).bind(target) : value
        },
      })
    const mutation = fc.record({ at: fc.nat(), to: fc.nat(255), cut: fc.option(fc.nat()) })
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .array(fc.constantFrom(0, 1, 2, 5, 7, 8, 0x0a, 0x10, 0x12, 0x80, 0xa2, 0xff, 0xb6), { maxLength: 30 })
        .map((b) => Uint8Array.from(b)),
      fc.tuple(record, fc.array(mutation, { minLength: 1, maxLength: 3 })).map(([parts, mutations]) => {
        let bytes: Uint8Array = Uint8Array.from(concat(parts))
        for (const m of mutations) {
          if (bytes.length > 0) bytes[m.at % bytes.length] = m.to
          if (m.cut !== null && bytes.length > 0) bytes = bytes.slice(0, m.cut % bytes.length)
        }
        return bytes
      }),
    )
    fc.assert(
      fc.property(hostile, (value) => {
        if (batch.rows > 900) batch.reset()
        const bytes = concat([new Uint8Array(3).fill(0x0a), value, new Uint8Array(20).fill(0x0a)])
        const rows = batch.rows
        const entries = batch.dictionaries.map((d) => d.count)
        const code = projection.decode(guarded(bytes, 3, 3 + value.length), 3, 3 + value.length, batch)
        if (code === 0) {
          expect(batch.rows).toBe(rows + 1)
        } else {
          expect(reasonOf(code)).toBeDefined()
          expect(batch.rows).toBe(rows)
          expect(batch.dictionaries.map((d) => d.count)).toEqual(entries)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('projection of millrace.v1.Event', () => {
  const built = builtInDescriptors()
  const eventField = (path: string) => field(path, built, 'millrace.v1.Event')
  const eventColumns: Column[] = [
    { field: eventField('name'), encoding: 'text' },
    { field: eventField('kind'), encoding: 'text' },
    { field: eventField('revenue_minor'), encoding: 'number' },
    { field: eventField('context.country'), encoding: 'text' },
    { field: eventField('sent_at'), encoding: 'number' },
    { field: eventField('properties.plan'), encoding: 'text' },
    { field: eventField('properties.plan'), encoding: 'number' },
    { field: eventField('consent.categories.analytics'), encoding: 'number' },
  ]
  const eventSchema: EventSchema = {
    message: 'millrace.v1.Event',
    time: eventField('occurred_at'),
    timeUnitMs: 1,
    key: eventField('person'),
    columns: eventColumns,
  }

  it('reads what ts-proto writes', () => {
    const projection = compileProjection(eventSchema)
    const batch = new ScanBatch(eventColumns)
    const text = fc.string({ unit: 'grapheme', maxLength: 12 })
    const time = fc.integer({ min: -2_000_000_000_000, max: 4_000_000_000_000 })
    const event = fc.record({
      person: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
      name: text,
      kind: fc.integer({ min: 0, max: 6 }),
      occurredAt: time,
      sentAt: fc.option(time, { nil: undefined }),
      revenueMinor: fc.maxSafeInteger(),
      country: fc.option(text, { nil: undefined }),
      plan: fc.option(fc.oneof(text, fc.boolean(), fc.maxSafeInteger()), { nil: undefined }),
      analytics: fc.option(fc.boolean(), { nil: undefined }),
    })
    fc.assert(
      fc.property(event, (e) => {
        if (batch.rows > 900) batch.reset()
        const plan =
          typeof e.plan === 'string'
            ? { $case: 'stringValue' as const, value: e.plan }
            : typeof e.plan === 'boolean'
              ? { $case: 'boolValue' as const, value: e.plan }
              : { $case: 'intValue' as const, value: e.plan ?? 0 }
        const bytes = Event.encode(
          Event.fromPartial({
            person: e.person,
            name: e.name,
            kind: e.kind as Event['kind'],
            occurredAt: new Date(e.occurredAt),
            ...(e.sentAt === undefined ? {} : { sentAt: new Date(e.sentAt) }),
            revenueMinor: e.revenueMinor,
            properties: {
              other: { value: { $case: 'boolValue', value: true } },
              ...(e.plan === undefined ? {} : { plan: { value: plan } }),
            },
            ...(e.country === undefined ? {} : { context: { country: e.country } }),
            ...(e.analytics === undefined ? {} : { consent: { categories: { analytics: e.analytics } } }),
          }),
        ).finish()
        const row = batch.rows
        expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
        expect(batch.timeMs[row]).toBe(e.occurredAt)
        expect(batch.keyText(row)).toBe(e.person)
        const texts = [0, 1, 3, 5].map((c) => batch.dictionaries[c]!.text(batch.texts[c]![row]!))
        const kind = e.kind === 0 ? '' : eventColumns[1]!.field.enumNames![e.kind]
        expect(texts).toEqual([e.name, kind, e.country ?? '', e.plan === undefined ? '' : String(e.plan)])
        expect([2, 4, 6, 7].map((c) => batch.numbers[c]![row])).toEqual([
          e.revenueMinor,
          e.sentAt ?? 0,
          typeof e.plan === 'string' ? 0 : Number(e.plan ?? 0),
          Number(e.analytics ?? false),
        ])
      }),
    )
  })

  it('keeps a dictionary entry a text and grows its key bytes', () => {
    const projection = compileProjection(eventSchema)
    const batch = new ScanBatch(eventColumns)
    for (let i = 0; i < 1024; i++) {
      const person = `${String(i).padStart(5, '0')}${'x'.repeat(200)}`
      const bytes = Event.encode(Event.fromPartial({ person, name: `n${i}`, occurredAt: new Date(1000) })).finish()
      expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
    }
    expect(batch.rows).toBe(1024)
    expect(batch.dictionaries[0]!.count).toBe(1025)
    expect(batch.keyText(1023)).toBe(`01023${'x'.repeat(200)}`)
    expect(batch.dictionaries[0]!.text(batch.texts[0]![777]!)).toBe('n777')
    batch.undoLast()
    expect([batch.rows, batch.dictionaries[0]!.count]).toEqual([1023, 1024])
    batch.reset()
    expect(batch.dictionaries[0]!.count).toBe(1)
  })
})

describe('what cannot be used', () => {
  const base = { key: 'k', at: toLong(5) }
  const decode = (value: Uint8Array, s: Partial<EventSchema> = {}): string | undefined => {
    const own = { ...schema, ...s }
    return reasonOf(compileProjection(own).decode(value, 0, value.length, new ScanBatch(own.columns)))
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
