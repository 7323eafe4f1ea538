import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import {
  adoptTimelines,
  type TimelinesMeta,
  takeOverTimelines,
  timelinesMeta,
  visitTimelines,
} from '../../src/operator/person-snapshot.ts'
import type { Pages, RecycledPage } from '../../src/operator/recycled-snapshot.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { Timelines } from '../../src/state/timelines.ts'

interface Event {
  readonly timeMs: number
  readonly bits: number
  readonly value: number
  readonly text: string
  readonly copies: number
}

const { NaN: none } = Number

function personOf(timelines: Timelines, name: string): number {
  const key = Buffer.from(name)
  const hash = hashBytes(key, 0, key.length)
  const found = timelines.find(hash, key, 0, key.length)
  return found < 0 ? timelines.addPerson(hash, key, 0, key.length) : found
}

function put(timelines: Timelines, name: string, { timeMs, bits, value, text, copies }: Event): void {
  const texts = Buffer.from(text)
  const person = personOf(timelines, name)
  timelines.add(person, timeMs, bits, copies, texts, texts.length, value)
  timelines.dropEmpty(person)
}

/** The events that there are, the earliest first; those that are owed are not told. */
function eventsOf(timelines: Timelines, name: string): Event[] {
  const events: Event[] = []
  const key = Buffer.from(name)
  const person = timelines.find(hashBytes(key, 0, key.length), key, 0, key.length)
  if (person < 0) return []
  timelines.read(person, -Infinity, Infinity, -Infinity, 0, {
    add: (timeMs, bits, copies, texts, start, end, value) =>
      events.push({ timeMs, bits, value, copies, text: Buffer.from(texts.subarray(start, end)).toString() }),
  })
  return events.reverse()
}

function snapshotOf(timelines: Timelines): { meta: TimelinesMeta; pages: Pages } {
  const pages = new Map<string, RecycledPage[]>()
  visitTimelines('t', timelines, (sequence, _number, units, byteLength, page) => {
    const location = { chunk: 'chunk', offset: 0, length: byteLength, crc: 0 }
    const read = { units, bytes: page.u8.slice(0, byteLength), location }
    pages.set(sequence, [...(pages.get(sequence) ?? []), read])
  })
  return { meta: timelinesMeta(timelines), pages }
}

/** NaN is no value, and comes first. */
const rank = (value: number): number => (Number.isNaN(value) ? -Infinity : value)

const nameOf = ({ timeMs, bits, value, text }: Event): string => JSON.stringify([timeMs, bits, value, text])

function expected(events: readonly Event[], valued: boolean): Event[] {
  const sums = new Map<string, Event>()
  for (const event of events) {
    const own = { ...event, value: valued ? event.value + 0 : none }
    const before = sums.get(nameOf(own))
    sums.set(nameOf(own), { ...own, copies: own.copies + (before?.copies ?? 0) })
  }
  return [...sums.values()]
    .filter(({ copies }) => copies > 0)
    .sort(
      (a, b) =>
        a.timeMs - b.timeMs ||
        a.bits - b.bits ||
        (Object.is(a.value, b.value) ? 0 : rank(a.value) < rank(b.value) ? -1 : 1) ||
        (a.text < b.text ? -1 : 1),
    )
}

const events = fc.array(
  fc.record({
    timeMs: fc.integer({ min: 0, max: 4 }),
    bits: fc.integer({ min: 1, max: 2 }),
    value: fc.constantFrom(0, -0, 1.5, -3, none, 1e15),
    text: fc.constantFrom('', 'a', 'ab'),
    copies: fc.constantFrom(1, 2, -1),
  }),
  { maxLength: 40 },
)

describe('timelines', () => {
  it('are sets of events in order of time, conditions, value and texts, whatever the order of arrival', () => {
    fc.assert(
      fc.property(events, fc.boolean(), (list, valued) => {
        const timelines = new Timelines(new PagePool(), valued)
        for (const event of list) put(timelines, 'anna', event)
        expect(eventsOf(timelines, 'anna')).toEqual(expected(list, valued))
      }),
    )
  })

  it('tell events of different values apart, and one without a value from each', () => {
    const timelines = new Timelines(new PagePool(), true)
    const event = { timeMs: 1, bits: 1, text: '', copies: 1 }
    for (const value of [5, none, 5, -0, 0, none]) put(timelines, 'anna', { ...event, value })
    const copies = (value: number) => timelines.copiesOf(personOf(timelines, 'anna'), 1, 1, new Uint8Array(0), 0, value)
    expect([none, 0, 5, 6].map(copies)).toEqual([2, 2, 2, 0])
    put(timelines, 'anna', { ...event, value: 6, copies: -1 })
    expect(eventsOf(timelines, 'anna').map(({ value }) => value)).toEqual([none, 0, 5])
    put(timelines, 'anna', { ...event, value: none, copies: -2 })
    expect(eventsOf(timelines, 'anna').map(({ value }) => value)).toEqual([0, 5])
  })

  it('have no room for values that nobody asks for', () => {
    expect(new Timelines(new PagePool()).events.strideF64 * 8).toBe(56)
    expect(new Timelines(new PagePool(), true).events.strideF64 * 8).toBe(64)
  })

  it('come back from a snapshot, and from one that was made with values into one without, and the other way', () => {
    fc.assert(
      fc.property(events, fc.boolean(), fc.boolean(), fc.boolean(), (list, before, after, adopt) => {
        const from = new Timelines(new PagePool(), before)
        for (const event of list) put(from, 'anna', event)
        const { meta, pages } = snapshotOf(from)
        const into = new Timelines(new PagePool(), after)
        if (adopt) adoptTimelines(into, meta, pages, 't')
        else takeOverTimelines(into, meta, pages, 't', () => true)
        const kept = before ? list : list.map((event) => ({ ...event, value: none }))
        expect(eventsOf(into, 'anna')).toEqual(expected(kept, after))
      }),
    )
  })

  it('load from a snapshot that was made before there were values', () => {
    const from = new Timelines(new PagePool())
    const event = { timeMs: 1, bits: 1, value: none, text: 'a', copies: 2 }
    put(from, 'anna', event)
    const { meta, pages } = snapshotOf(from)
    expect(meta).toEqual([1, 1])
    for (const valued of [false, true]) {
      const into = new Timelines(new PagePool(), valued)
      adoptTimelines(into, meta, pages, 't')
      expect(eventsOf(into, 'anna')).toEqual([event])
    }
  })
})
