import { readFileSync } from 'node:fs'
import { createFileRegistry, fromBinary, toJson } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeadLetter, LateEvent, MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import { deadLetterJson, lateEventJson, metricValueJson, resultFormat, sideWriter } from '../../src/sink/record-json.ts'
import { RecordingWriter } from './support.ts'

const descriptors = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors))

/** ProtoJSON as somebody else writes it, with every key. */
function oracle(message: string, bytes: Uint8Array): unknown {
  const schema = registry.getMessage(`millrace.v1.${message}`)!
  // As text and back: JSON has one zero only.
  return JSON.parse(JSON.stringify(toJson(schema, fromBinary(schema, bytes), { registry, alwaysEmitImplicit: true })))
}

const texts = fc.string({ unit: 'grapheme', maxLength: 8 })
const doubles = fc.double()
const counts = fc.nat({ max: Number.MAX_SAFE_INTEGER })
// Before 1970 in whole seconds: the library that encodes makes nanoseconds below zero of fractions there.
const dates = fc
  .oneof(
    fc.nat({ max: 253_402_300_799_999 }),
    fc.integer({ min: -62_135_596_800, max: 0 }).map((seconds) => seconds * 1000),
  )
  .map((ms) => new Date(ms))
const values = fc.record({
  job: texts,
  metric: texts,
  dimensions: fc.array(fc.record({ name: texts, value: texts }), { maxLength: 3 }),
  windowStart: dates,
  windowEnd: fc.option(dates, { nil: undefined }),
  value: fc.option(
    fc.oneof(
      fc.maxSafeInteger().map((value) => ({ $case: 'intValue' as const, value })),
      doubles.map((value) => ({ $case: 'doubleValue' as const, value })),
    ),
    { nil: undefined },
  ),
  status: fc.constantFrom(...Object.values(ValueStatus).filter((status) => status >= 0)),
  revision: fc.nat(),
  watermark: fc.option(dates, { nil: undefined }),
  lateCount: counts,
  eventCount: counts,
  attempt: fc.nat(),
  items: fc.array(fc.record({ label: texts, value: doubles, error: doubles }), { maxLength: 3 }),
  text: fc.option(texts, { nil: undefined }),
  retraction: fc.boolean(),
  immature: fc.boolean(),
  // Of answers to queries only: what sinks are given are groups.
  otherGroups: fc.constant(0),
})

const parsed = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

describe('records as JSON', () => {
  it('are the ProtoJSON of results', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = MetricValue.encode(MetricValue.fromPartial(value)).finish()
        expect(parsed(metricValueJson(MetricValue.decode(bytes)))).toEqual(oracle('MetricValue', bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('have the same keys in the same order, whatever the values', () => {
    const keysOf = (value: Partial<MetricValue>) =>
      Object.keys(parsed(metricValueJson(MetricValue.fromPartial(value))) as object)
    const full = { windowStart: new Date(0), windowEnd: new Date(1), watermark: new Date(2) }
    const keys = [
      ...['job', 'metric', 'dimensions', 'windowStart', 'windowEnd', 'intValue', 'status', 'revision', 'watermark'],
      ...['lateCount', 'eventCount', 'attempt', 'items', 'retraction', 'immature', 'otherGroups'],
    ]
    expect(keysOf({ ...full, value: { $case: 'intValue', value: 0 } })).toEqual(keys)
    expect(
      keysOf({ ...full, value: { $case: 'intValue', value: 7 }, job: 'j', revision: 3, retraction: true }),
    ).toEqual(keys)
  })

  it('are the ProtoJSON of dead letters and late events', () => {
    const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array))
    const origin = { job: texts, topic: texts, partition: fc.nat(), offset: counts }
    const letters = fc.record({ ...origin, reason: texts, detail: texts, key: bytes, value: bytes, recordTime: dates })
    const events = fc.record({ ...origin, eventTime: dates, watermark: dates, key: bytes, metrics: fc.array(texts) })
    fc.assert(
      fc.property(letters, events, (letter, event) => {
        const letterBytes = DeadLetter.encode(DeadLetter.fromPartial(letter)).finish()
        const eventBytes = LateEvent.encode(LateEvent.fromPartial(event)).finish()
        expect(parsed(deadLetterJson(letterBytes))).toEqual(oracle('DeadLetter', letterBytes))
        expect(parsed(lateEventJson(eventBytes))).toEqual(oracle('LateEvent', eventBytes))
      }),
    )
  })

  it('go where an output takes nothing else, or a topic asks for them', () => {
    const http = { kind: 'http', url: 'http://a', encoding: 'json', timeoutMs: 1, retryMs: 1 } as const
    const redis = (stream: string) => ({ kind: 'redis', prefix: 'p', stream, ttlMs: 0 }) as const
    const log = { kind: 'log', path: 'p', topic: 't' } as const
    expect(
      [http, redis('s'), redis(''), { kind: 'postgres', table: 't' } as const, log].map((to) => resultFormat(to)),
    ).toEqual([...['json', 'json', 'protobuf', 'protobuf', 'protobuf']])
    expect(resultFormat(log, 'json')).toBe('json')
    const letter = DeadLetter.encode(DeadLetter.fromPartial({ job: 'j' })).finish()
    const written = (to: Parameters<typeof sideWriter>[1]) => {
      const writer = Object.assign(new RecordingWriter(), { full: false })
      sideWriter(writer, to, 'deadLetters').write(Buffer.from('k'), letter, 5)
      return writer.records[0]!
    }
    expect(written(log).value).toEqual(Uint8Array.from(letter))
    expect(written(http)).toMatchObject({ timestampMs: 5, value: deadLetterJson(letter) })
  })
})
