/**
 * The events that the generator makes unless it is given another encoder: `millrace.v1.Event` of an invented shop.
 *
 * Bytes are written by hand (a test reads them back with the generated code), because the generator must outrun what it
 * is there to load. What an event is depends on its random numbers alone, drawn in a fixed order: changing that order
 * changes every seeded fixture.
 */
import type { Random } from '../core/clock.ts'
import { nextBelow, nextFraction } from '../core/clock.ts'

/** What the generator has decided of an event before it is encoded. Reused: copy what must last. */
export interface GeneratedEvent {
  /** Number of the event over all partitions, from 0. */
  index: number
  /** When it happened, epoch ms: behind `sentAtMs` by up to the configured disorder. */
  occurredAtMs: number
  /** When it was sent, epoch ms: the timestamp of its record. Never goes back within a partition. */
  sentAtMs: number
}

/**
 * Writes the value of one event at `into[at ..]` and returns the position after it. It has EVENT_BYTES_MAX bytes of
 * room, draws all it decides from `random`, and gives the same bytes for the same numbers.
 */
export type EventEncoder = (event: GeneratedEvent, random: Random, into: Uint8Array, at: number) => number

/** Most bytes that an encoder may write for one event. */
export const EVENT_BYTES_MAX = 4096

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value))

/** Names of events with their share of a hundred. */
const eventNames = [
  ['page_view', 52],
  ['product_view', 22],
  ['search', 10],
  ['add_to_cart', 8],
  ['wishlist_add', 4],
  ['purchase', 4],
] as const

/** One entry for each of a hundred draws. */
const nameByDraw = eventNames.flatMap(([name, share]) => new Array<Uint8Array>(share).fill(text(name)))
const PURCHASE_FROM = 96
const platforms = ['web', 'web', 'ios', 'android'].map(text)
const screens = ['/', '/home', '/search', '/product', '/cart', '/checkout', '/account', '/help'].map(text)
const currency = text('EUR')
const personPrefix = text('user-')
const devicePrefix = text('dev-')

const KIND_TRACK = 1

/** Makes the encoder of shop events of `persons` people, of whom the first ones are the busiest. */
export function shopEventEncoder(persons: number): EventEncoder {
  return (event, random, into, at) => {
    let p = putHexText(into, at, 0x0a, random.nextUint32(), random.nextUint32())
    const u = nextFraction(random)
    const person = Math.floor(persons * u * u)
    p = putNumberText(into, p, 0x12, personPrefix, person)
    p = putNumberText(into, p, 0x1a, devicePrefix, person)
    const draw = nextBelow(random, 100)
    p = putText(into, p, 0x2a, nameByDraw[draw]!)
    into[p++] = 0x30
    into[p++] = KIND_TRACK
    p = putTime(into, p, 0x3a, event.occurredAtMs)
    p = putTime(into, p, 0x42, event.sentAtMs)
    p = putText(into, p, 0x52, platforms[nextBelow(random, platforms.length)]!)
    p = putText(into, p, 0x5a, screens[nextBelow(random, screens.length)]!)
    if (draw >= PURCHASE_FROM) {
      into[p++] = 0x60
      p = putVarint(into, p, 199 + nextBelow(random, 30_000))
      p = putText(into, p, 0x6a, currency)
    }
    return p
  }
}

function putVarint(into: Uint8Array, at: number, value: number): number {
  let rest = value
  let p = at
  while (rest >= 0x80) {
    into[p++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  into[p++] = rest
  return p
}

function putText(into: Uint8Array, at: number, tag: number, value: Uint8Array): number {
  into[at] = tag
  into[at + 1] = value.length
  let p = at + 2
  for (let i = 0; i < value.length; i++) into[p++] = value[i]!
  return p
}

/** `prefix` and a whole number in decimal. */
function putNumberText(into: Uint8Array, at: number, tag: number, prefix: Uint8Array, value: number): number {
  let p = putText(into, at, tag, prefix)
  let scale = 1
  while (value >= scale * 10) scale *= 10
  for (; scale >= 1; scale /= 10) into[p++] = 0x30 + (Math.floor(value / scale) % 10)
  into[at + 1] = p - at - 2
  return p
}

/** Sixteen hexadecimal digits. */
function putHexText(into: Uint8Array, at: number, tag: number, high: number, low: number): number {
  into[at] = tag
  into[at + 1] = 16
  let p = at + 2
  for (let i = 0; i < 16; i++) {
    const word = i < 8 ? high : low
    const digit = (word >>> (28 - 4 * (i & 7))) & 15
    into[p++] = digit < 10 ? 0x30 + digit : 0x57 + digit
  }
  return p
}

/** A google.protobuf.Timestamp, from 1970 on. */
function putTime(into: Uint8Array, at: number, tag: number, timeMs: number): number {
  const ms = Math.max(0, Math.floor(timeMs))
  const seconds = Math.floor(ms / 1000)
  const nanos = (ms - seconds * 1000) * 1_000_000
  into[at] = tag
  into[at + 2] = 0x08
  let p = putVarint(into, at + 3, seconds)
  if (nanos > 0) {
    into[p] = 0x10
    p = putVarint(into, p + 1, nanos)
  }
  into[at + 1] = p - at - 2
  return p
}
