import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { openKernel } from '../../src/event/kernel.ts'
import { TEXT_ENTRIES, WINDOW_BYTES } from '../../src/event/kernel-layout.ts'
import type { Column, EventSchema, FieldRef } from '../../src/event/schema.ts'
import { Context, Event, type EventKind, type PropertyValue } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { read, sectionOf } from './kernel-support.ts'
import { All, columns, concat, field, record, toLong } from './projection-support.ts'

const keys = [field('key'), field('raw'), field('i64'), field('i32'), field('u64')]
const times: [FieldRef, number][] = [
  [field('at'), 1],
  [field('u32'), 1000],
  [field('u64'), 0.001],
  [field('sf64'), 0.000001],
]
const schemas: fc.Arbitrary<EventSchema> = fc
  .record({
    chosen: fc.uniqueArray(fc.nat(columns.length - 1), { maxLength: 12 }),
    key: fc.oneof({ weight: 3, arbitrary: fc.constant(keys[0]!) }, { weight: 1, arbitrary: fc.constantFrom(...keys) }),
    time: fc.oneof(
      { weight: 3, arbitrary: fc.constant(times[0]!) },
      { weight: 1, arbitrary: fc.constantFrom(...times) },
    ),
  })
  .map(({ chosen, key, time }) => ({
    message: 't.All',
    time: time[0],
    timeUnitMs: time[1],
    key,
    columns: chosen.map((i): Column => columns[i]!),
  }))

const usualKey = fc.constantFrom('anna', 'b', 'user-12345', 'a-key-of-more-than-twelve-bytes', 'żółw')
/** Integers of all sizes, in the fields that may be a key or a time too. */
const whole = fc.constantFrom('0', '1', '127', '128', '9007199254740991', '9007199254740993', '18446744073709551615')
const usual = fc
  .tuple(record, usualKey, fc.integer({ min: 0, max: 5000 }), fc.option(whole), fc.option(whole))
  .map(([parts, key, ms, u64, f64]) =>
    concat([
      ...parts,
      All.encode(
        All.fromObject({ key, at: toLong(1_700_000_000_000 + ms), ...(u64 && { u64 }), ...(f64 && { f64 }) }),
      ).finish(),
    ]),
  )
/** A record that somebody has damaged: bytes changed, cut off, or with something behind. */
const damaged = fc
  .tuple(usual, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(6), fc.uint8Array({ maxLength: 3 }))
  .map(([bytes, hits, cut, more]) => {
    const copy = Uint8Array.from(bytes)
    if (copy.length > 0) for (const [at, value] of hits) copy[at % copy.length] = value
    return concat([copy.subarray(0, Math.max(0, copy.length - cut)), more])
  })
const values = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: usual },
    { weight: 2, arbitrary: damaged },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  { minLength: 1, maxLength: 30 },
)

describe('a kernel', () => {
  it('gives the rows, texts and reasons that the decoder alone gives, whatever the records are', () => {
    const seen = { byKernel: 0, kernels: 0, rows: 0 }
    fc.assert(
      fc.property(schemas, values, fc.nat(10), fc.nat(40), (schema, parts, skipped, stop) => {
        const kernel = openKernel(schema)
        if (kernel === null) return
        seen.kernels++
        const all = [sectionOf(parts, 100), sectionOf(parts.slice(0, 5), 200)]
        all[0]!.firstOffset = 100 + skipped
        all[0]!.nextOffset = 100 + Math.max(skipped, stop)
        const expected = read(schema, all, null)
        expect(read(schema, all, kernel, seen)).toEqual(expected)
        seen.rows += (expected.batches as { keys: string[] }[]).reduce((sum, { keys: each }) => sum + each.length, 0)
      }),
      { numRuns: 300 },
    )
    expect(seen.kernels).toBeGreaterThan(100)
    expect(seen.byKernel).toBeGreaterThan(seen.rows / 5)
  })

  it('has the last member of a oneof alone, and what a message or an entry that comes again leaves', () => {
    const paths = [
      'user',
      'number',
      'group.count',
      'group.text',
      'deep.more.text',
      'deep.count',
      'props.p',
      'props.q.r',
      'maybe',
    ]
    const own = columns.filter(({ field: { path } }) => paths.includes(path))
    const schema: EventSchema = { message: 't.All', time: field('at'), timeUnitMs: 1, key: field('key'), columns: own }
    const part = fc.constantFrom<object>(
      { user: 'u' },
      { number: '5' },
      { group: { count: '7' } },
      { group: { text: 'g' } },
      { group: {} },
      { deep: { more: { text: 'm' } } },
      { deep: { count: '3', more: { count: '1' } } },
      { props: { p: { s: 'x' }, 'q.r': { d: 1.5 } } },
      { props: { p: { i: '9' } } },
      { props: { p: { b: true }, 'q.x': { s: 'y' } } },
      { maybe: 0 },
    )
    const one = fc
      .array(part, { maxLength: 6 })
      .map((parts) =>
        concat([...parts, { key: 'k', at: '5' }].map((each) => All.encode(All.fromObject(each)).finish())),
      )
    const seen = { byKernel: 0, rows: 0 }
    // Many of these records are not usual: this one rests now and then, also where a batch begins.
    const tired = openKernel(schema)
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 20 }), (parts) => {
        const all = [sectionOf(parts)]
        const expected = read(schema, all, null)
        expect(read(schema, all, openKernel(schema), seen)).toEqual(expected)
        for (let i = 0; i < 3; i++) expect(read(schema, all, tired)).toEqual(expected)
        seen.rows += parts.length
      }),
      { numRuns: 80 },
    )
    expect(seen.byKernel).toBeGreaterThan(seen.rows / 8)
  })

  it('stops where a section lies, and the walk over records says how', () => {
    const kernel = openKernel(eventSchema)!
    const good = sectionOf(Array.from({ length: 30 }, (_, i) => event(i)))
    let errors = 0
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(200),
        fc.integer({ min: -2, max: 2 }),
        fc.boolean(),
        (hits, cut, more, longer) => {
          const bytes = concat([good.bytes, new Uint8Array(longer ? 300 : 0).fill(0x81)])
          for (const [at, value] of hits) bytes[at % bytes.length] = value
          const end = good.end - (cut > 100 ? 0 : cut)
          const section = { ...good, bytes, end, count: good.count + more }
          const expected = read(eventSchema, [section], null)
          expect(read(eventSchema, [section], kernel)).toEqual(expected)
          if (expected.error !== undefined) errors++
        },
      ),
      { numRuns: 500 },
    )
    expect(errors).toBeGreaterThan(100)
  })

  it('takes every usual record: nested fields, properties, enums, negative and absent values aside', () => {
    const all = Array.from({ length: 7 }, (_, s) =>
      sectionOf(
        Array.from({ length: 700 }, (_, i) => event(s * 700 + i)),
        s * 1000,
      ),
    )
    const seen = { byKernel: 0 }
    expect(read(eventSchema, all, openKernel(eventSchema), seen)).toEqual(read(eventSchema, all, null))
    expect(seen.byKernel).toBe(4900)
  })

  it('reads sections of any length, and a record that is longer than its window', () => {
    const large = (i: number): Uint8Array =>
      Event.encode({
        ...eventOf(i),
        context: Context.fromPartial({ userAgent: 'x'.repeat(i === 90 ? WINDOW_BYTES : 15_000) }),
      }).finish()
    const all = [sectionOf(Array.from({ length: 200 }, (_, i) => large(i))), sectionOf([event(1), event(2)], 500)]
    expect(all[0]!.bytes.length).toBeGreaterThan(3 * WINDOW_BYTES)
    const seen = { byKernel: 0 }
    expect(read(eventSchema, all, openKernel(eventSchema), seen)).toEqual(read(eventSchema, all, null))
    expect(seen.byKernel).toBe(201)
  })

  it('forgets texts when there are too many, and has each batch right', () => {
    const many = Array.from({ length: 12 }, (_, s) =>
      sectionOf(
        Array.from({ length: 1000 }, (_, i) =>
          Event.encode({
            ...eventOf(i),
            name: `${(s * 1000 + i) % (TEXT_ENTRIES * 2)}-name`,
            screen: `é${i % 40}`,
          }).finish(),
        ),
        s * 1000,
      ),
    )
    const seen = { byKernel: 0 }
    expect(read(eventSchema, many, openKernel(eventSchema), seen)).toEqual(read(eventSchema, many, null))
    // Texts that are not ASCII are looked at once, and known from then on.
    expect(seen.byKernel).toBeGreaterThan(12_000 - 40 * 8)
  })

  it('rests where hardly a record is usual', () => {
    const kernel = openKernel(eventSchema)!
    const foreign = sectionOf(Array.from({ length: 4000 }, (_, i) => event(i, `żółw-${i % 5}`)))
    expect(read(eventSchema, [foreign], kernel)).toEqual(read(eventSchema, [foreign], null))
    const usualOnes = sectionOf(Array.from({ length: 1000 }, (_, i) => event(i)))
    const seen = { byKernel: 0 }
    // Here it rests into the batch, whose first texts it has not seen.
    expect(read(eventSchema, [usualOnes], kernel, seen)).toEqual(read(eventSchema, [usualOnes], null))
    expect(seen.byKernel).toBeLessThan(1000)
    expect(seen.byKernel).toBeGreaterThan(500)
  })

  it('is made for the jobs that come with Millrace', () => {
    const descriptors = builtInDescriptors()
    for (const name of ['behaviour', 'engagement', 'windows']) {
      const text = readFileSync(new URL(`../../jobs/${name}.yaml`, import.meta.url), 'utf8')
      const { schema } = planJob(parseJob(text, descriptors).definition, { threads: 1, descriptors })
      expect(openKernel(schema), name).not.toBeNull()
    }
  })

  describe('is none', () => {
    afterEach(() => {
      vi.unstubAllGlobals()
    })
    const own = globalThis as unknown as { WebAssembly: { validate: unknown; Module: unknown } }

    it('where the engine refuses the code', () => {
      vi.stubGlobal('WebAssembly', { ...own.WebAssembly, validate: () => false })
      expect(openKernel(eventSchema)).toBeNull()
    })

    it('where the engine has no memory for it', () => {
      const Instance = function refuse(): never {
        throw new RangeError('no memory')
      }
      vi.stubGlobal('WebAssembly', { validate: () => true, Module: own.WebAssembly.Module, Instance })
      expect(openKernel(eventSchema)).toBeNull()
    })

    it('where the job reads what only the decoder can', () => {
      expect(openKernel({ ...eventSchema, columns: [{ field: field('counts.a'), encoding: 'number' }] })).toBeNull()
      expect(openKernel({ ...eventSchema, format: { framing: 'none', types: [], others: 'filter' } })).toBeNull()
    })
  })
})

const eventField = (path: string): FieldRef => {
  const resolved = builtInDescriptors().resolve('millrace.v1.Event', path)
  if (!resolved.ok) throw new Error(resolved.problem)
  return resolved.field
}
const eventSchema: EventSchema = {
  message: 'millrace.v1.Event',
  time: eventField('occurred_at'),
  timeUnitMs: 1,
  key: eventField('person'),
  columns: [
    { field: eventField('name'), encoding: 'text' },
    { field: eventField('screen'), encoding: 'text' },
    { field: eventField('kind'), encoding: 'text' },
    { field: eventField('context.country'), encoding: 'text' },
    { field: eventField('properties.plan'), encoding: 'text' },
    { field: eventField('properties.amount'), encoding: 'number', nullable: true },
    { field: eventField('revenue_minor'), encoding: 'number' },
    { field: eventField('revenue_minor'), encoding: 'text' },
    { field: eventField('sent_at'), encoding: 'number' },
  ],
}

function propertiesOf(i: number): Record<string, PropertyValue> {
  return {
    plan: { value: { $case: 'stringValue', value: i % 2 === 0 ? 'free' : 'pro' } },
    ...(i % 2 === 0 ? { amount: { value: { $case: 'doubleValue', value: i / 8 } } } : {}),
    ...(i % 7 === 0 ? { other: { value: { $case: 'intValue', value: i } } } : {}),
  }
}

function eventOf(i: number): Event {
  return {
    ...Event.fromPartial({}),
    eventId: `e-${i}`,
    person: `user-${(i * 7919) % 500}`,
    session: 'x'.repeat(i % 200),
    name: `name-${i % 20}`,
    kind: (i % 4) as EventKind,
    occurredAt: new Date(1_700_000_000_000 + i * 37),
    ...(i % 5 === 0 ? { sentAt: new Date(1_700_000_000_000 + i * 41) } : {}),
    screen: `/catalog/${i % 50}`,
    revenueMinor: i % 3 === 0 ? i * 1999 : 0,
    properties: propertiesOf(i),
    ...(i % 4 === 0
      ? { context: Context.fromPartial({ country: i % 8 === 0 ? 'DE' : 'PL', appVersion: '1.2.3' }) }
      : {}),
  }
}

function event(i: number, person?: string): Uint8Array {
  return Event.encode({ ...eventOf(i), ...(person === undefined ? {} : { person }) }).finish()
}
