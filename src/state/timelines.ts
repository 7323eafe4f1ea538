/**
 * The timelines of persons: each person's events in order, as rows that come and go.
 *
 * Owns: one row a person, one a (time, bits, value, texts) of theirs with the number of its copies, and the chain of a
 * person's events. Does not own: what bits, values and texts mean, who computes what of a timeline (operator/person-table),
 * pages to checkpoints and back (operator/person-snapshot).
 *
 * The index leads to the person; ROW_NEXT from there to the latest event, and from each event to the one before it. So
 * the usual event, the latest so far, is put in its place at once.
 *
 * Only timelines that some metric asks a number of have values; in others there is no room for them, and every value is
 * NaN. NaN is no value, as where an event has none: it is equal to itself, and comes before all numbers.
 *
 * Invariants: T1 events of a chain descend by (time, bits, value, texts), and no two are equal. T2 an event has copies
 * other than 0: fewer than 0 where one was taken back that has not come yet. T3 a person has an event.
 */
import { hashBytes } from '../core/hash.ts'
import { KEY_PAGE_MASK, KEY_PAGE_SHIFT } from './key-blocks.ts'
import { ROW_KEY, ROW_KEY_LENGTH, ROW_OWNER } from './keyed-table.ts'
import type { PagePool } from './page-pool.ts'
import {
  type KeyColumns,
  RECYCLED_HEADER_F64,
  RECYCLED_PAGE_MASK,
  RECYCLED_PAGE_SHIFT,
  RecycledTable,
  ROW_NEXT,
} from './recycled-table.ts'

const EVENT_TIME = 0
const EVENT_BITS = 1
const EVENT_COPIES = 2
const EVENT_VALUE = 3

/** Of the persons at hand, the latest event + 1; 0 for none. */
const latestOf = new Uint32Array(4096)

/** Takes the events of a person, the latest first. */
export interface EventsInto {
  add(timeMs: number, bits: number, copies: number, texts: Uint8Array, start: number, end: number, value: number): void
}

/** Timelines by person. */
export class Timelines {
  persons: RecycledTable
  events: RecycledTable
  /** Whether events have values. */
  readonly valued: boolean
  readonly #pool: PagePool
  /** What was read for nothing but to have it near: so that it is read. */
  touched = 0
  /** Row at which a sweep goes on, and the time up to which it takes events away. */
  #sweepAt = -1
  #sweepMs = Number.NEGATIVE_INFINITY

  constructor(pool: PagePool, valued = false) {
    this.#pool = pool
    this.valued = valued
    this.persons = new RecycledTable(pool, new Float64Array(0))
    this.events = new RecycledTable(pool, new Float64Array(valued ? 4 : 3))
  }

  /** Bytes beside the page pool's. */
  get indexBytes(): number {
    return this.persons.indexBytes + this.events.indexBytes
  }

  /** The row of a person, or -1. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    return this.persons.find(hash, 0, bytes, start, end)
  }

  /**
   * Finds the persons of rows `which[0 .. count)` of a batch: `persons[i]` becomes the row of the i-th, or -1, and
   * `latest[i]` their latest event, or -1, which is near then.
   */
  findAll(keys: KeyColumns, which: Uint32Array, count: number, persons: Int32Array, latest: Int32Array): void {
    this.persons.findAll(keys, which, count, persons, latestOf)
    const { pages } = this.events.rows
    const stride = this.events.strideF64
    let touched = 0
    for (let i = 0; i < count; i++) {
      const event = latestOf[i]! - 1
      latest[i] = event
      if (event < 0) continue
      const at = (event & RECYCLED_PAGE_MASK) * stride + RECYCLED_HEADER_F64
      touched += pages[event >>> RECYCLED_PAGE_SHIFT]!.f64[at + EVENT_TIME]!
    }
    this.touched = touched
  }

  /** Whether `event`, the latest of a person, is this one. */
  isLatest(event: number, timeMs: number, bits: number, texts: Uint8Array, length: number, value: number): boolean {
    return event >= 0 && this.#compare(event, timeMs, bits, value, texts, length) === 0
  }

  /** A row for a person who has none. It must get an event, or be dropped by `dropEmpty`. */
  addPerson(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const row = this.persons.add(hash, 0, bytes, start, end)
    this.persons.link(row)
    return row
  }

  /**
   * Adds `copies` of an event, fewer than 0 to take some back. Returns how many there were; NaN where the event is new.
   */
  add(
    person: number,
    timeMs: number,
    bits: number,
    copies: number,
    texts: Uint8Array,
    length: number,
    value = Number.NaN,
  ): number {
    const { events } = this
    let later = -1
    let event = this.#latest(person)
    while (event >= 0) {
      const order = this.#compare(event, timeMs, bits, value, texts, length)
      if (order === 0) return this.#addCopies(person, later, event, copies)
      if (order < 0) break
      later = event
      event = this.#before(event)
    }
    const row = events.add(0, person, texts, 0, length)
    const page = events.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    const at = (row & RECYCLED_PAGE_MASK) * events.strideF64 + RECYCLED_HEADER_F64
    page.f64[at + EVENT_TIME] = timeMs
    page.f64[at + EVENT_BITS] = bits
    page.f64[at + EVENT_COPIES] = copies
    // Of the two zeros there is one.
    if (this.valued) page.f64[at + EVENT_VALUE] = value + 0
    events.setU32(row, ROW_NEXT, event + 1)
    this.#setBehind(person, later, row)
    return Number.NaN
  }

  /** How many copies of an event there are; 0 for none. */
  copiesOf(
    person: number,
    timeMs: number,
    bits: number,
    texts: Uint8Array,
    length: number,
    value = Number.NaN,
  ): number {
    for (let event = this.#latest(person); event >= 0; event = this.#before(event)) {
      const order = this.#compare(event, timeMs, bits, value, texts, length)
      if (order === 0) return this.#value(event, EVENT_COPIES)
      if (order < 0) return 0
    }
    return 0
  }

  /**
   * Gives `into` the events of a person at times in [fromMs, toMs] that there are, the latest first. Of those before
   * `enoughMs` one is enough that has one of `enoughBits`; where these are 0, one where they have no texts.
   */
  read(person: number, fromMs: number, toMs: number, enoughMs: number, enoughBits: number, into: EventsInto): void {
    const { events } = this
    for (let event = this.#latest(person); event >= 0; event = this.#before(event)) {
      const timeMs = this.#value(event, EVENT_TIME)
      if (timeMs > toMs) continue
      if (timeMs < fromMs) return
      const copies = this.#value(event, EVENT_COPIES)
      if (copies <= 0) continue
      const ref = events.u32(event, ROW_KEY)
      const start = ref & KEY_PAGE_MASK
      const texts = events.keys.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
      const length = events.u32(event, ROW_KEY_LENGTH)
      const bits = this.#value(event, EVENT_BITS)
      into.add(timeMs, bits, copies, texts, start, start + length, this.#valueOf(event))
      if (timeMs < enoughMs && (enoughBits === 0 ? length === 0 : (bits & enoughBits) !== 0)) return
    }
  }

  /** Visits time and bits of those events, the latest first, until `visit` says false. */
  walk(person: number, fromMs: number, toMs: number, visit: (timeMs: number, bits: number) => boolean): void {
    for (let event = this.#latest(person); event >= 0; event = this.#before(event)) {
      const timeMs = this.#value(event, EVENT_TIME)
      if (timeMs > toMs) continue
      if (timeMs < fromMs) return
      if (this.#value(event, EVENT_COPIES) <= 0) continue
      if (!visit(timeMs, this.#value(event, EVENT_BITS))) return
    }
  }

  /** Takes a person out who has no event left. */
  dropEmpty(person: number): void {
    if (this.#latest(person) < 0) this.persons.remove(person)
  }

  /** Begins to take away the events before `keepMs`, unless that is under way; `sweep` does it. */
  forgetBefore(keepMs: number): void {
    if (this.#sweepAt >= 0 || keepMs <= this.#sweepMs) return
    this.#sweepMs = keepMs
    this.#sweepAt = 0
  }

  /** Goes on with taking events away, at most about `budget` rows. What lies before is no longer looked at, gone or not. */
  sweep(budget: number): void {
    if (this.#sweepAt < 0) return
    const { events } = this
    const end = Math.min(events.count, this.#sweepAt + budget)
    for (let event = this.#sweepAt; event < end; event++) {
      if (!events.isLive(event) || this.#value(event, EVENT_TIME) >= this.#sweepMs) continue
      this.#cut(events.u32(event, ROW_OWNER), this.#sweepMs)
    }
    this.#sweepAt = end === events.count ? -1 : end
  }

  /** Forgets everybody, and gives the memory back. */
  clear(): void {
    this.release()
    this.persons = new RecycledTable(this.#pool, new Float64Array(0))
    this.events = new RecycledTable(this.#pool, new Float64Array(this.valued ? 4 : 3))
    this.#sweepAt = -1
  }

  /** Copies a person with all events from `from`, whom these timelines do not have. */
  takeOver(from: Timelines, person: number): void {
    const key = from.persons.keyOf(person)
    const own = this.addPerson(hashBytes(key, 0, key.length), key, 0, key.length)
    const chain: number[] = []
    for (let event = from.#latest(person); event >= 0; event = from.#before(event)) chain.push(event)
    // The earliest first: each then goes to the front.
    for (const event of chain.reverse()) {
      const texts = from.events.keyOf(event)
      const [timeMs, bits] = [from.#value(event, EVENT_TIME), from.#value(event, EVENT_BITS)]
      this.add(own, timeMs, bits, from.#value(event, EVENT_COPIES), texts, texts.length, from.#valueOf(event))
    }
  }

  /** Gives all memory back. */
  release(): void {
    this.persons.release()
    this.events.release()
  }

  #latest(person: number): number {
    return this.persons.u32(person, ROW_NEXT) - 1
  }

  #before(event: number): number {
    return this.events.u32(event, ROW_NEXT) - 1
  }

  #value(event: number, column: number): number {
    const { rows, strideF64 } = this.events
    const at = (event & RECYCLED_PAGE_MASK) * strideF64 + RECYCLED_HEADER_F64
    return rows.pages[event >>> RECYCLED_PAGE_SHIFT]!.f64[at + column]!
  }

  #valueOf(event: number): number {
    return this.valued ? this.#value(event, EVENT_VALUE) : Number.NaN
  }

  /** Above 0 where `event` comes after (timeMs, bits, value, texts), below where it comes before. */
  #compare(event: number, timeMs: number, bits: number, value: number, texts: Uint8Array, length: number): number {
    const byTime = this.#value(event, EVENT_TIME) - timeMs
    if (byTime !== 0) return byTime
    const byBits = this.#value(event, EVENT_BITS) - bits
    if (byBits !== 0) return byBits
    if (this.valued) {
      const byValue = compareValues(this.#value(event, EVENT_VALUE), value)
      if (byValue !== 0) return byValue
    }
    const { events } = this
    const ownLength = events.u32(event, ROW_KEY_LENGTH)
    const shared = Math.min(ownLength, length)
    if (shared > 0) {
      const ref = events.u32(event, ROW_KEY)
      const own = events.keys.pages.pages[ref >>> KEY_PAGE_SHIFT]!.u8
      const at = ref & KEY_PAGE_MASK
      for (let i = 0; i < shared; i++) if (own[at + i] !== texts[i]) return own[at + i]! - texts[i]!
    }
    return ownLength - length
  }

  #addCopies(person: number, later: number, event: number, copies: number): number {
    const { rows, strideF64 } = this.events
    const page = rows.pages[event >>> RECYCLED_PAGE_SHIFT]!
    const at = (event & RECYCLED_PAGE_MASK) * strideF64 + RECYCLED_HEADER_F64 + EVENT_COPIES
    const before = page.f64[at]!
    page.f64[at] = before + copies
    page.dirty = 1
    if (before + copies === 0) {
      this.#setBehind(person, later, this.#before(event))
      this.events.remove(event)
    }
    return before
  }

  /** Lets `event` (-1 for none) follow `later`, or be the latest where that is -1. */
  #setBehind(person: number, later: number, event: number): void {
    if (later >= 0) this.events.setU32(later, ROW_NEXT, event + 1)
    else this.persons.setU32(person, ROW_NEXT, event + 1)
  }

  /** Takes away a person's events before `keepMs`, and the person with the last one. */
  #cut(person: number, keepMs: number): void {
    let later = -1
    let event = this.#latest(person)
    while (event >= 0 && this.#value(event, EVENT_TIME) >= keepMs) {
      later = event
      event = this.#before(event)
    }
    this.#setBehind(person, later, -1)
    while (event >= 0) {
      const before = this.#before(event)
      this.events.remove(event)
      event = before
    }
    this.dropEmpty(person)
  }
}

/** NaN, which is no value, comes first. */
function compareValues(a: number, b: number): number {
  if (a === b) return 0
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : -1
  return Number.isNaN(b) || a > b ? 1 : -1
}
