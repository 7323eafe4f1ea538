/**
 * What the projection costs, in nanoseconds an event, beside a hand-written function and a general decoder.
 *
 *   node bench/micro/projection.bench.ts [seconds per case]
 *
 * The events are those of `millrace.v1` with about 115 bytes. Cases: `hand, locate` finds four fields and converts the
 * numbers, without a key hash, columns or any check (the lower bound); `hand, columns` does all that the projection does
 * (key, time, a text and a number column) with field numbers and types written out; `projection` is ours, compiled from a
 * schema; `protobufjs` decodes the whole message to an object.
 */
import protobuf from 'protobufjs'
import { hashBytes } from '../../src/core/hash.ts'
import { compileProjection } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema, FieldRef, FieldType } from '../../src/event/schema.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'

const EVENTS = 20_000
const secondsPerCase = Number(process.argv[2] ?? 1)

const names = ['page_view', 'feature_interaction', 'purchase', 'search']
const platforms = ['web', 'ios', 'android']
const offsets = new Uint32Array(EVENTS + 1)
const encoded: Uint8Array[] = []
for (let i = 0; i < EVENTS; i++) {
  const event = Event.fromPartial({
    eventId: `0190b0a4-7c1e-7000-8000-${String(i).padStart(12, '0')}`,
    person: `user_${(i * 7919) % 100_000}`,
    session: `sess_${String(i % 5000).padStart(6, '0')}`,
    name: names[i % names.length]!,
    kind: 1,
    occurredAt: new Date(1_710_000_000_000 + i * 37),
    platform: platforms[i % platforms.length]!,
    screen: `/catalog/${i % 50}`,
    revenueMinor: i % 4 === 2 ? 1999 + (i % 900) : 0,
  })
  const bytes = Event.encode(event).finish()
  encoded.push(bytes)
  offsets[i + 1] = offsets[i]! + bytes.length
}
const bytes = new Uint8Array(offsets[EVENTS]!)
encoded.forEach((e, i) => {
  bytes.set(e, offsets[i]!)
})

const field = (path: string, type: FieldType, number: number): FieldRef => ({
  path,
  type,
  steps: [{ kind: 'field', number }],
})
const schema: EventSchema = {
  message: 'millrace.v1.Event',
  time: field('occurred_at', 'timestamp', 7),
  timeUnitMs: 1,
  key: field('person', 'string', 2),
  columns: [
    { field: field('name', 'string', 5), encoding: 'text' },
    { field: field('revenue_minor', 'int64', 12), encoding: 'number' },
  ],
}
const projection = compileProjection(schema)
const batch = new ScanBatch(schema.columns)

let keyAt = 0
let keyLength = 0
let nameAt = 0
let nameLength = 0
let timeMs = 0
let revenue = 0

function varint(b: Uint8Array, at: number): number {
  let value = 0
  let scale = 1
  let byte: number
  do {
    byte = b[at++]!
    value += (byte & 127) * scale
    scale *= 128
  } while (byte > 127)
  return value
}

/** Trusts its input: no bounds, no wire types, small field numbers. */
function locate(b: Uint8Array, start: number, end: number): void {
  let at = start
  keyLength = 0
  nameLength = 0
  timeMs = 0
  revenue = 0
  while (at < end) {
    const tag = b[at++]!
    const number = tag >>> 3
    switch (tag & 7) {
      case 2: {
        let length = b[at++]!
        if (length > 127) length = (length & 127) | (b[at++]! << 7)
        if (number === 2) {
          keyAt = at
          keyLength = length
        } else if (number === 5) {
          nameAt = at
          nameLength = length
        } else if (number === 7) {
          let p = at
          while (p < at + length) {
            const inner = b[p++]!
            if (inner === 8) timeMs += varint(b, p) * 1000
            else if (inner === 16) timeMs += Math.floor(varint(b, p) / 1e6)
            while (b[p++]! > 127);
          }
        }
        at += length
        break
      }
      case 0:
        if (number === 12) revenue = varint(b, at)
        while (b[at++]! > 127);
        break
      case 1:
        at += 8
        break
      default:
        at += 4
    }
  }
}

function handColumns(b: Uint8Array, start: number, end: number): void {
  locate(b, start, end)
  const row = batch.rows
  batch.timeMs[row] = timeMs
  const at = row === 0 ? 0 : batch.keyEnd[row - 1]!
  const keys = batch.keyBytes
  for (let i = 0; i < keyLength; i++) keys[at + i] = b[keyAt + i]!
  batch.keyStart[row] = at
  batch.keyEnd[row] = at + keyLength
  batch.keyHash[row] = hashBytes(b, keyAt, keyAt + keyLength)
  batch.texts[0]![row] = batch.dictionaries[0]!.intern(b, nameAt, nameAt + nameLength)
  batch.numbers[1]![row] = revenue
  batch.rows = row + 1
}

const root = protobuf.parse(
  `syntax = "proto3";
  message Timestamp { int64 seconds = 1; int32 nanos = 2; }
  message Event { string event_id = 1; string person = 2; string session = 4; string name = 5; int32 kind = 6;
    Timestamp occurred_at = 7; string platform = 10; string screen = 11; int64 revenue_minor = 12; }`,
).root
const EventType = root.lookupType('Event')

let sink = 0
const cases: [name: string, run: () => void][] = [
  [
    'hand, locate',
    () => {
      for (let i = 0; i < EVENTS; i++) {
        locate(bytes, offsets[i]!, offsets[i + 1]!)
        sink += timeMs + revenue + keyLength + nameLength
      }
    },
  ],
  [
    'hand, columns',
    () => {
      for (let i = 0; i < EVENTS; i++) {
        if (batch.rows === batch.capacity) batch.reset()
        handColumns(bytes, offsets[i]!, offsets[i + 1]!)
      }
    },
  ],
  [
    'projection',
    () => {
      for (let i = 0; i < EVENTS; i++) {
        if (batch.rows === batch.capacity) batch.reset()
        sink += projection.decode(bytes, offsets[i]!, offsets[i + 1]!, batch)
      }
    },
  ],
  [
    'protobufjs',
    () => {
      for (let i = 0; i < EVENTS; i++)
        sink += (EventType.decode(encoded[i]!) as unknown as { name: string }).name.length
    },
  ],
]

// Rounds interleave the cases, so that a noisy machine disturbs all alike; the best round counts.
const best = new Map<string, number>()
const deadline = performance.now() + secondsPerCase * 1000 * cases.length
for (let round = 0; round < 3 || performance.now() < deadline; round++) {
  for (const [name, run] of cases) {
    batch.reset()
    const start = performance.now()
    run()
    const ns = ((performance.now() - start) * 1e6) / EVENTS
    best.set(name, Math.min(ns, best.get(name) ?? Number.POSITIVE_INFINITY))
  }
}
const hand = best.get('hand, columns')!
console.log(`events of ${(bytes.length / EVENTS).toFixed(0)} bytes`)
for (const [name, ns] of best) {
  console.log(
    `${name.padEnd(14)} ${ns.toFixed(1).padStart(8)} ns/event ${(ns / hand).toFixed(2).padStart(7)} of hand, columns`,
  )
}
if (sink === 42) console.log(sink)
