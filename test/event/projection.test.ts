import { type DescMessage, fromBinary, type Message } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { compileProjection, reasonOf } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { Column, EventSchema, FieldRef } from '../../src/event/schema.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { All, AllDesc, columns, concat, field, record, schema, toLong } from './projection-support.ts'

/** The value at a path by protobuf-es: a reader that shares nothing with ours. */
function oracle(message: Message, desc: DescMessage, ref: FieldRef): unknown {
  let current: ReflectMessage = reflect(desc, message)
  for (let i = 0; i < ref.steps.length; i++) {
    const step = ref.steps[i]!
    const f = current.desc.fields.find((d) => d.number === step.number)!
    if (!current.isSet(f) && f.fieldKind !== 'scalar' && f.fieldKind !== 'enum') return undefined
    if (f.presence === FeatureSet_FieldPresence.EXPLICIT && !current.isSet(f)) return undefined
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

function numberOf(value: unknown, absent = 0): number {
  if (value === undefined || typeof value === 'string') return absent
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

describe('keys of bytes', () => {
  const projection = compileProjection({ ...schema, key: field('raw'), columns: [] })
  const batch = new ScanBatch([])
  const textOfKey = (raw: Uint8Array): string => {
    batch.reset()
    const bytes = All.encode(All.fromObject({ at: 5, raw })).finish()
    expect(reasonOf(projection.decode(bytes, 0, bytes.length, batch))).toBeUndefined()
    const [start, end] = [batch.keyStart[0]!, batch.keyEnd[0]!]
    expect(batch.keyHash[0]).toBe(hashBytes(batch.keyBytes, start, end))
    // Texts by the strict rules: what shows it, and what looks it up, must mean this key and no other.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(batch.keyBytes.subarray(start, end))
  }

  it('are their own text where they are one, else base64, and no two have one text', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 20 })
    const text = fc.string({ minLength: 1, unit: 'binary' }).map((t) => new TextEncoder().encode(t))
    const made = bytes.map((b) => new TextEncoder().encode(`bytes:${Buffer.from(b).toString('base64')}`))
    fc.assert(
      fc.property(fc.oneof(bytes, text, made), (raw) => {
        const found = textOfKey(raw)
        const back = found.startsWith('bytes:') ? Buffer.from(found.slice(6), 'base64') : Buffer.from(found)
        expect([...back]).toEqual([...raw])
      }),
      { numRuns: 500 },
    )
    expect(textOfKey(Buffer.from('anna'))).toBe('anna')
    expect(textOfKey(Uint8Array.of(0xff))).toBe('bytes:/w==')
    expect(textOfKey(new Uint8Array(1024).fill(0x80))).toHaveLength(6 + 1368)
  })
})

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
        columns.forEach(({ field: ref, encoding, nullable }, i) => {
          const expected = oracle(message, AllDesc, ref)
          if (encoding === 'number') {
            expect(batch.numbers[i]![row], ref.path).toBe(numberOf(expected, nullable ? Number.NaN : 0))
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

  it('an entry that comes again replaces the old one, and is there without its value', () => {
    const projection = compileProjection(schema)
    const batch = new ScanBatch(columns)
    const encode = (object: object) => All.encode(All.fromObject(object)).finish()
    const bytes = concat([
      encode({ key: 'k', at: 5, props: { p: { d: 2.5 } }, deep: { by: { x: { text: 'a', count: 3 } } } }),
      encode({ props: { p: {} }, deep: { by: { x: { count: 4 } } } }),
      Uint8Array.from([0xaa, 0x01, 3, 0x0a, 1, 0x61]),
    ])
    expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
    const text = (path: string) => {
      const column = columns.findIndex((c) => c.field.path === path && c.encoding === 'text')
      return readText(batch, column, 0, columns[column]!.field)
    }
    expect(['props.p', 'deep.by.x.text', 'deep.by.x.count', 'counts.a'].map(text)).toEqual(['', '', '4', '0'])
  })

  it('an absent number is none in a nullable column, a default that was left out is 0', () => {
    const projection = compileProjection(schema)
    const numbers = (object: object | Uint8Array, paths: readonly string[]): (number | undefined)[] => {
      const batch = new ScanBatch(columns)
      const rest = object instanceof Uint8Array ? object : All.encode(All.fromObject(object)).finish()
      const bytes = concat([All.encode(All.fromObject({ key: 'k', at: 5 })).finish(), rest])
      expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
      return paths.map((path) => batch.numbers[columns.findIndex((c) => c.field.path === path && c.nullable)]![0])
    }
    const none = Number.NaN
    const optional = ['maybe', 'number', 'counts.a', 'props.p']
    expect(numbers({}, [...optional, 'i64', 'db', 'flag'])).toEqual([none, none, none, none, 0, 0, 0])
    expect(numbers({ maybe: 0, number: 0, counts: { a: 0 }, props: { p: { d: 0 } } }, optional)).toEqual([0, 0, 0, 0])
    expect(numbers({ number: 0, props: { p: { s: 'text' } } }, ['number', 'props.p'])).toEqual([0, none])
    const inside = ['deep.count', 'deep.more.count', 'deep.by.x.count', 'group.count']
    expect(numbers({}, inside)).toEqual([none, none, none, none])
    expect(numbers({ deep: {} }, inside)).toEqual([0, none, none, none])
    expect(numbers({ deep: { more: {}, by: { x: {} } }, group: {} }, inside)).toEqual([0, 0, 0, 0])
    // An entry without its value has an empty one.
    const entry = Uint8Array.from([0x9a, 0x01, 5, 0x22, 3, 0x0a, 1, 0x78])
    expect(numbers(entry, inside)).toEqual([0, none, 0, none])
    expect(numbers({ deep: { by: { y: {} } }, group: { count: 2 } }, inside)).toEqual([0, none, none, 2])
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
