/**
 * Events that cannot be used, among others that can: each becomes a dead letter with its origin, its bytes and its
 * reason, and read = applied + late + dead-lettered + filtered + deduplicated holds to the event.
 */

import { describe, expect, it, onTestFinished } from 'vitest'
import { accountedFor } from '../../src/control/api.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { DeadLetter, LateEvent } from '../../src/gen/millrace/v1/metric.ts'
import { checkpointApplied, engineForTest, submitJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic, readLogTopic } from '../support/events-log.ts'

const NOON_MS = Date.UTC(2024, 2, 10, 12)
const MINUTE_MS = 60_000

const raw = (value: Uint8Array | null): SampleEvent => ({ person: '', timeMs: NOON_MS, value })

/** An event with bytes of a test's own behind its fields: of a field that repeats, the last one counts. */
function withBytes(...bytes: readonly number[]): Uint8Array {
  const event = Event.fromPartial({ person: 'p', name: 'purchase', occurredAt: new Date(NOON_MS) })
  return Buffer.concat([Event.encode(event).finish(), Uint8Array.from(bytes)])
}

const valid = makeEvent({ person: 'p', timeMs: NOON_MS }).value!
const revenue = 12 << 3
const person = (2 << 3) | 2
const occurredAt = (7 << 3) | 2

/** What is wrong, by a name for the test; each with the reason that its dead letter must give. */
const broken: readonly (readonly [what: string, reason: string, event: SampleEvent])[] = [
  ['a field number of zero', 'undecodable', raw(Uint8Array.of(0x00, 0x01))],
  ['cut off in the middle', 'undecodable', raw(valid.subarray(0, valid.length - 3))],
  ['a length beyond the end', 'undecodable', raw(Uint8Array.of(person, 0x7f, 0x61))],
  ['a varint without an end', 'undecodable', raw(new Uint8Array(12).fill(0xff))],
  ['text that is not Protobuf', 'undecodable', raw(Buffer.from('{"name":"page_view"}'))],
  ['the person as a number', 'wrong_type', raw(withBytes(2 << 3, 5))],
  ['the time as a number', 'wrong_type', raw(withBytes(7 << 3, 5))],
  ['the revenue as a text', 'wrong_type', raw(withBytes(revenue | 2, 1, 0x35))],
  ['no person', 'missing_key', makeEvent({ person: '', timeMs: NOON_MS })],
  ['nothing at all', 'missing_time', raw(new Uint8Array(0))],
  ['no time', 'missing_time', makeEvent({ person: 'p', timeMs: undefined })],
  [
    'a time beyond the calendar',
    'time_out_of_range',
    raw(withBytes(occurredAt, 8, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)),
  ],
  ['a time in ten minutes', 'time_in_future', makeEvent({ person: 'p', timeMs: Date.now() + 10 * MINUTE_MS })],
  ['a time in a hundred years', 'time_in_future', makeEvent({ person: 'p', timeMs: Date.UTC(2124, 0, 1) })],
  ['no value', 'null_value', raw(null)],
  ['a person that is not UTF-8', 'invalid_utf8', raw(withBytes(person, 2, 0xff, 0xfe))],
  ['a platform that is not UTF-8', 'invalid_utf8', raw(withBytes((10 << 3) | 2, 1, 0xc0))],
  [
    'a revenue of 2^53 + 1',
    'integer_out_of_range',
    raw(withBytes(revenue, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)),
  ],
  [
    'a revenue of the least 64-bit integer',
    'integer_out_of_range',
    raw(withBytes(revenue, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)),
  ],
]

describe('events that cannot be used', () => {
  it('each is a dead letter, and no other event feels it', async () => {
    const engine = await engineForTest()
    const { client, logRoot: path } = engine
    const log = createLogTopic(path, 'events', 2)
    onTestFinished(() => log.close())
    const job = engagementJob({
      name: 'bad',
      source: log.source(),
      watermark: { outOfOrderness: '5s', idleness: '0s' },
      metrics: [
        { id: 'purchases', count: {}, where: "name == 'purchase'", window: { tumbling: '1h' }, by: ['platform'] },
        { id: 'revenue', sum: { field: 'revenue_minor' }, where: "name == 'purchase'", window: { tumbling: '1h' } },
      ],
      deadLetters: { log: { path, topic: 'dead' } },
      late: { log: { path, topic: 'late' } },
    })
    await submitJob(client, job)
    // Before each broken one a good one, and one that no metric takes.
    const good = (i: number) => makeEvent({ person: `p${i}`, timeMs: NOON_MS + i, name: 'purchase', revenueMinor: 100 })
    const other = (i: number) => makeEvent({ person: `p${i}`, timeMs: NOON_MS + i, name: 'other' })
    const mixed = broken.flatMap(([, , event], i) => [good(i), other(i), event])
    // The largest and the smallest that are exact.
    const exact = [2 ** 53 - 1, -(2 ** 53 - 1)].map((revenueMinor) =>
      makeEvent({ person: 'rich', timeMs: NOON_MS, name: 'purchase', revenueMinor }),
    )
    await log.append([mixed, [...exact, good(0)]])
    const written = mixed.length + 3
    const { events, watermarkMs } = await untilRead(client, 'bad', written)
    const n = broken.length
    expect(events).toEqual({
      read: written,
      applied: n + 3,
      late: 0,
      deadLettered: n,
      filtered: n,
      lost: 0,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
    // The events of the future have moved nothing: the slower partition's one good event says where time is.
    expect(watermarkMs).toBe(NOON_MS - 5001)

    const values = await valuesOf(client, 'bad', 'purchases')
    expect(values.map(({ value }) => value)).toEqual([n + 3])
    expect((await valuesOf(client, 'bad', 'revenue')).map(({ value }) => value)).toEqual([(n + 1) * 100])

    // An hour on, the window is closed: its events are late, counted on their value, and kept with their origin.
    await log.append([[makeEvent({ person: 'p', timeMs: NOON_MS + 61 * MINUTE_MS })], [other(61 * MINUTE_MS)]])
    await untilRead(client, 'bad', written + 2)
    const late = [good(1), other(2), good(3)]
    await log.append([[], late])
    const after = (await untilRead(client, 'bad', written + 5)).events
    expect(after).toEqual({
      read: written + 5,
      applied: n + 3,
      late: 2,
      deadLettered: n,
      filtered: n + 3,
      lost: 0,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
    expect(accountedFor(after)).toBe(after.read)
    expect((await valuesOf(client, 'bad', 'purchases')).map((v) => [v.value, v.lateCount])).toEqual([[n + 3, 2]])

    await checkpointApplied(client, 'bad')
    const letters = [...(await readLogTopic(path, 'dead')).values()].flat().map((bytes) => DeadLetter.decode(bytes))
    expect(letters.map(({ partition, offset, reason }) => [partition, offset, reason])).toEqual(
      broken.map(([, reason], i) => [0, i * 3 + 2, reason]),
    )
    for (const [i, [what, , { value, timeMs }]] of broken.entries()) {
      const letter = letters[i]!
      expect([letter.job, letter.topic, Buffer.from(letter.value)], what).toEqual([
        'bad',
        'events',
        Buffer.from(value ?? []),
      ])
      expect(letter.recordTime?.getTime(), what).toBe(timeMs)
    }
    const kept = [...(await readLogTopic(path, 'late')).values()].flat().map((bytes) => LateEvent.decode(bytes))
    // Which subtask writes which partition of an output is nobody's promise.
    kept.sort((a, b) => a.offset - b.offset)
    expect(kept.map(({ partition, offset, metrics, key }) => [partition, offset, metrics, key.toString()])).toEqual([
      [1, 4, ['purchases', 'revenue'], 'p1'],
      [1, 6, ['purchases', 'revenue'], 'p3'],
    ])
  })

  it('events of the future count once their time has come near, and never push others out', async () => {
    const engine = await engineForTest()
    const log = createLogTopic(engine.logRoot, 'events', 1)
    onTestFinished(() => log.close())
    const metrics = [{ id: 'views', count: {}, window: { tumbling: '1h' } }]
    const event = { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person', maxFuture: '1h' }
    await submitJob(engine.client, engagementJob({ name: 'future', source: log.source(), metrics, event }))
    const nowMs = Date.now()
    const at = (timeMs: number) => makeEvent({ person: 'p', timeMs })
    // Within the bound it is an event like any other; beyond it, it is set aside, and what comes after is on time.
    await log.append([[at(nowMs + 50 * MINUTE_MS), at(nowMs + 70 * MINUTE_MS), at(nowMs + 50 * MINUTE_MS)]])
    const { events, watermarkMs } = await untilRead(engine.client, 'future', 3)
    expect(events).toMatchObject({ applied: 2, late: 0, deadLettered: 1 })
    expect(watermarkMs).toBe(nowMs + 50 * MINUTE_MS - 5001)
  })

  it('and so is one with a weight that is none, where the job reads weights', async () => {
    const engine = await engineForTest()
    const { client, logRoot: path } = engine
    const log = createLogTopic(path, 'events', 1)
    onTestFinished(() => log.close())
    const day = { window: { calendar: 'day' } }
    const definition = {
      ...{ apiVersion: 'millrace.dev/v1', kind: 'Job', metadata: { name: 'weights' } },
      sources: [{ id: 'events', ...log.source() }],
      event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person', weight: 'weight' },
      metrics: [
        { id: 'events', count: {}, ...day },
        { id: 'persons', activeUsers: {}, ...day },
        { id: 'names', distinct: { field: 'name' }, ...day },
      ],
      deadLetters: { log: { path, topic: 'dead' } },
    }
    await submitJob(client, JSON.stringify(definition))
    const of = (person: string, weight?: number): SampleEvent => {
      const event = { person, name: `by ${person}`, occurredAt: new Date(NOON_MS) }
      const value = Event.encode(Event.fromPartial(weight === undefined ? event : { ...event, weight })).finish()
      return { person, timeMs: NOON_MS, value }
    }
    // Back before it comes, given twice and taken back once, taken back for good, and three that are no weights.
    const sent = [of('a', -1), of('a'), of('b', 1), of('b'), of('b', -1), of('c', 0), of('c', 2), of('c', -2), of('d')]
    await log.append([sent])
    const { events } = await untilRead(client, 'weights', sent.length)
    expect([events.applied, events.deadLettered, accountedFor(events)]).toEqual([6, 3, sent.length])
    await checkpointApplied(client, 'weights')
    const numbers = async (id: string) => (await valuesOf(client, 'weights', id)).map(({ value }) => value)
    expect(await numbers('events')).toEqual([2])
    expect(await numbers('persons')).toEqual([2])
    expect(await numbers('names')).toEqual([2])
    const letters = [...(await readLogTopic(path, 'dead')).values()].flat().map((bytes) => DeadLetter.decode(bytes))
    expect(letters.map(({ reason }) => reason)).toEqual(['weight_invalid', 'weight_invalid', 'weight_invalid'])
  })
})
