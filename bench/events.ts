/**
 * The synthetic events of the benches and of the differential tests: event k of a seed, as Protobuf bytes.
 *
 * Owns: what event k is. Does not own: batches, topics.
 *
 * Invariant: event k depends on (seed, k) alone, so any partition, worker or test can make any part of the stream.
 * The stream: persons `user-N`, skewed (the product of two uniform draws), 8 names, 3 platforms, 50 screens, revenue on
 * one event in twenty; event time advances 1 ms every 10 events and is disordered by up to 3 s. About 115 bytes each.
 */

/** What the stream is made of. */
export interface EventStream {
  readonly seed: number
  /** Distinct persons at most. */
  readonly users: number
  /** Event time of event 0, epoch milliseconds, before disorder. */
  readonly startMs: number
  /** Events per millisecond of event time. */
  readonly eventsPerMs: number
  /** Event time is earlier by up to this, exclusive. */
  readonly disorderMs: number
}

/** The stream of every bench. */
export const benchStream: EventStream = {
  seed: 12345,
  users: 100_000,
  startMs: 1_790_000_000_000,
  eventsPerMs: 10,
  disorderMs: 3_000,
}

/** Names of the events. */
export const eventNames = [
  'page_view',
  'click',
  'share',
  'download',
  'sign_up',
  'add_to_cart',
  'checkout',
  'purchase',
] as const

/** Platforms of the persons. */
export const platforms = ['web', 'ios', 'android'] as const

/** Number of screens, `/product/0` to `/product/49`. */
export const SCREENS = 50

/** The drawn values of one event; reused by `drawEvent`. */
export interface EventDraw {
  person: number
  name: number
  platform: number
  screen: number
  revenueMinor: number
  occurredAtMs: number
}

/** An empty draw to pass to `drawEvent`. */
export function newEventDraw(): EventDraw {
  return { person: 0, name: 0, platform: 0, screen: 0, revenueMinor: 0, occurredAtMs: 0 }
}

/** Draws event `k` of `stream` into `draw`. */
export function drawEvent(stream: EventStream, k: number, draw: EventDraw): void {
  // Splitmix32 from a state that mixes seed and k: six draws an event, no state between events.
  let state = mix(Math.imul(k, 0x9e3779b9) ^ stream.seed)
  state = (state + 0x9e3779b9) | 0
  const first = mix(state) / 0x1_0000_0000
  state = (state + 0x9e3779b9) | 0
  draw.person = Math.floor(first * (mix(state) / 0x1_0000_0000) * stream.users)
  state = (state + 0x9e3779b9) | 0
  const bits = mix(state)
  draw.name = bits & 7
  draw.screen = (bits >>> 8) % SCREENS
  draw.platform = draw.person % platforms.length
  state = (state + 0x9e3779b9) | 0
  const money = mix(state)
  draw.revenueMinor = money % 20 === 0 ? 100 + ((money >>> 8) % 10_000) : 0
  state = (state + 0x9e3779b9) | 0
  const disorder = stream.disorderMs === 0 ? 0 : mix(state) % stream.disorderMs
  draw.occurredAtMs = stream.startMs + Math.floor(k / stream.eventsPerMs) - disorder
}

function mix(value: number): number {
  let z = value
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return (z ^ (z >>> 15)) >>> 0
}

/** Room that one event needs at most. */
export const MAX_EVENT_BYTES = 256

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)
const field = (tag: number, text: string): Uint8Array => {
  const bytes = ascii(text)
  return Uint8Array.of(tag, bytes.length, ...bytes)
}

// Tags of millrace.v1.Event: field number * 8 + wire type.
const EVENT_ID = 0x0a
const PERSON = 0x12
const DEVICE = 0x1a
const SESSION = 0x22
const NAME = 0x2a
const KIND = 0x30
const OCCURRED_AT = 0x3a
const PLATFORM = 0x52
const SCREEN = 0x5a
const REVENUE_MINOR = 0x60
const CURRENCY = 0x6a
const PROPERTIES = 0x72

const nameFields = eventNames.map((name) => field(NAME, name))
const platformFields = platforms.map((platform) => field(PLATFORM, platform))
const screenFields = Array.from({ length: SCREENS }, (_, i) => field(SCREEN, `/product/${i}`))
const currencyField = field(CURRENCY, 'EUR')
const planFields = ['free', 'pro'].map((plan) => {
  const value = field(0x0a, plan)
  const entry = [...field(0x0a, 'plan'), 0x12, value.length, ...value]
  return Uint8Array.of(PROPERTIES, entry.length, ...entry)
})
const userPrefix = ascii('user-')
const anonPrefix = ascii('anon-')
const sessionPrefix = ascii('sess-')
const DIGITS = ascii('0123456789abcdefghijklmnopqrstuvwxyz')

/** Writes event `k`, drawn before into `draw`, at `into[at ..]` and returns the position after it. */
export function encodeEvent(stream: EventStream, k: number, draw: EventDraw, into: Uint8Array, at: number): number {
  const person = draw.person
  let p = at
  into[p++] = EVENT_ID
  into[p++] = 14
  into[p++] = 0x65
  into[p++] = 0x2d
  let rest = k
  for (let i = p + 11; i >= p; i--) {
    const next = Math.floor(rest / 36)
    into[i] = DIGITS[rest - next * 36]!
    rest = next
  }
  p += 12
  p = writeNumbered(into, p, PERSON, userPrefix, person)
  p = writeNumbered(into, p, DEVICE, anonPrefix, (person * 7) % stream.users)
  into[p++] = SESSION
  const sessionLengthAt = p++
  into.set(sessionPrefix, p)
  p = writeDecimal(into, p + sessionPrefix.length, person)
  into[p++] = 0x2d
  p = writeDecimal(into, p, Math.floor(k / 500_000))
  into[sessionLengthAt] = p - sessionLengthAt - 1
  p = put(into, p, nameFields[draw.name]!)
  into[p++] = KIND
  into[p++] = 1
  into[p++] = OCCURRED_AT
  const timeLengthAt = p++
  const seconds = Math.floor(draw.occurredAtMs / 1000)
  const millis = draw.occurredAtMs - seconds * 1000
  into[p++] = 0x08
  p = writeVarint(into, p, seconds)
  if (millis > 0) {
    into[p++] = 0x10
    p = writeVarint(into, p, millis * 1_000_000)
  }
  into[timeLengthAt] = p - timeLengthAt - 1
  p = put(into, p, platformFields[draw.platform]!)
  p = put(into, p, screenFields[draw.screen]!)
  if (draw.revenueMinor > 0) {
    into[p++] = REVENUE_MINOR
    p = writeVarint(into, p, draw.revenueMinor)
    p = put(into, p, currencyField)
  }
  return put(into, p, planFields[person & 1]!)
}

/** Writes the record key of an event, its person, at `into[at ..]` and returns the position after it. */
export function encodeKey(draw: EventDraw, into: Uint8Array, at: number): number {
  into.set(userPrefix, at)
  return writeDecimal(into, at + userPrefix.length, draw.person)
}

function writeNumbered(into: Uint8Array, at: number, tag: number, prefix: Uint8Array, number: number): number {
  into[at] = tag
  into.set(prefix, at + 2)
  const end = writeDecimal(into, at + 2 + prefix.length, number)
  into[at + 1] = end - at - 2
  return end
}

function put(into: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) into[at + i] = bytes[i]!
  return at + bytes.length
}

function writeDecimal(into: Uint8Array, at: number, number: number): number {
  let digits = 1
  for (let bound = 10; number >= bound; bound *= 10) digits++
  let rest = number
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(rest / 10)
    into[i] = 0x30 + rest - next * 10
    rest = next
  }
  return at + digits
}

function writeVarint(into: Uint8Array, at: number, number: number): number {
  let rest = number
  let p = at
  while (rest >= 0x80) {
    const next = Math.floor(rest / 0x80)
    into[p++] = (rest - next * 0x80) | 0x80
    rest = next
  }
  into[p++] = rest
  return p
}
