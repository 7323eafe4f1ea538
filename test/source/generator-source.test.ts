import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { Event, EventKind } from '../../src/gen/millrace/v1/event.ts'
import { EVENT_BYTES_MAX, shopEventEncoder } from '../../src/source/generator-events.ts'
import {
  type GeneratorConfig,
  GeneratorSourceEnumerator,
  GeneratorSourceReader,
  generatorAdvance,
} from '../../src/source/generator-source.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import type { ReadRecord } from '../event/support.ts'
import { describeSource, ReadLoop } from './contract.ts'

const base: GeneratorConfig = {
  seed: 42,
  partitions: 3,
  eventsPerSecond: 0,
  maxEvents: 3000,
  outOfOrdernessMs: 500,
  startMs: 1_700_000_000_000,
  advance: 7,
}

const encode = shopEventEncoder(1000)

function readerOf(config: GeneratorConfig): GeneratorSourceReader {
  return new GeneratorSourceReader({ config, encode, clock: systemClock, scheduler: systemScheduler })
}

/** All events of a bounded config, by partition, read from `from` on. */
async function generate(config: GeneratorConfig, from = 0): Promise<ReadRecord[][]> {
  const infos = await new GeneratorSourceEnumerator(config).partitions()
  const reading = new ReadLoop(readerOf(config))
  for (const info of infos) reading.assign(info, Math.min(from, info.end))
  await reading.toEnd()
  return infos.map((info) => [...reading.of(info.partition)])
}

const decode = (record: ReadRecord) => Event.decode(Buffer.from(record.value!, 'hex'))

describeSource(
  'generator',
  async () => ({
    async createTopic(partitions, recordsEach) {
      // No events at all cannot be asked for by maxEvents, where 0 means without end: ask for none of each share.
      const config = { ...base, partitions, maxEvents: partitions * recordsEach }
      const expected = recordsEach === 0 ? [] : await generate(config)
      const enumerator = new GeneratorSourceEnumerator(config)
      const partitionsOf = enumerator.partitions.bind(enumerator)
      if (recordsEach === 0) enumerator.partitions = async () => (await partitionsOf()).map((p) => ({ ...p, end: 0 }))
      return {
        expected: (partition) => expected[partition] ?? [],
        enumerator: () => enumerator,
        reader: () => readerOf(config),
      }
    },
    close: async () => {},
  }),
  [],
)

describe('generated events', () => {
  it('are the same for a seed, at any position, and others for another seed or partition', async () => {
    const all = await generate(base)
    expect(all.map((records) => records.length)).toEqual([1000, 1000, 1000])
    expect(await generate(base)).toEqual(all)
    for (const from of [1, 499, 500, 777]) {
      expect(await generate(base, from)).toEqual(all.map((records) => records.slice(from)))
    }
    const values = (sets: ReadRecord[][]) => sets.flat().map((r) => r.value)
    expect(new Set(values(all)).size).toBe(3000)
    expect(values(await generate({ ...base, seed: 43 })).filter((v) => values(all).includes(v))).toEqual([])
    expect(await generate({ ...base, seed: 42 + 2 ** 40 })).not.toEqual(all)
  })

  it('do not change from release to release', async () => {
    const [first] = await generate({ ...base, partitions: 1, maxEvents: 2 })
    expect(decode(first![1]!)).toMatchInlineSnapshot(`
      {
        "consent": undefined,
        "context": undefined,
        "currency": "",
        "device": "dev-848",
        "eventId": "deac046e8e77629d",
        "kind": 1,
        "name": "wishlist_add",
        "occurredAt": 2023-11-14T22:13:19.682Z,
        "person": "user-848",
        "platform": "android",
        "properties": {},
        "receivedAt": undefined,
        "revenueMinor": 0,
        "screen": "/search",
        "sentAt": 2023-11-14T22:13:20.007Z,
        "session": "",
        "weight": undefined,
      }
    `)
  })

  it('are events of the schema, late by no more than the disorder', async () => {
    const all = await generate({ ...base, maxEvents: 6000 })
    const names = new Map<string, number>()
    const persons = new Map<string, number>()
    let latest = 0
    for (const [partition, records] of all.entries()) {
      for (const record of records) {
        const event = decode(record)
        const sentMs = base.startMs + (record.offset * 3 + partition) * 7
        expect(record.timestampMs).toBe(sentMs)
        expect(event.sentAt!.getTime()).toBe(sentMs)
        const behind = sentMs - event.occurredAt!.getTime()
        expect(behind).toBeGreaterThanOrEqual(0)
        expect(behind).toBeLessThanOrEqual(500)
        latest = Math.max(latest, behind)
        expect(event.kind).toBe(EventKind.EVENT_KIND_TRACK)
        expect(event.eventId).toMatch(/^[0-9a-f]{16}$/)
        expect(event.device).toBe(event.person.replace('user', 'dev'))
        expect(event.revenueMinor > 0).toBe(event.name === 'purchase')
        expect(event.currency).toBe(event.name === 'purchase' ? 'EUR' : '')
        expect(event.screen).toMatch(/^\//)
        names.set(event.name, (names.get(event.name) ?? 0) + 1)
        persons.set(event.person, (persons.get(event.person) ?? 0) + 1)
      }
    }
    expect(latest).toBeGreaterThan(450)
    expect([...names.keys()].sort()).toEqual(
      ['add_to_cart', 'page_view', 'product_view', 'purchase', 'search', 'wishlist_add'].sort(),
    )
    expect(names.get('page_view')! / 6000).toBeCloseTo(0.52, 1)
    expect(persons.size).toBeGreaterThan(700)
    expect(persons.get('user-0')!).toBeGreaterThan(50)
  })

  it('fit into the room of an encoder, for any person and time', () => {
    const into = new Uint8Array(EVENT_BYTES_MAX)
    for (const persons of [1, 10, 1e6, 2 ** 40]) {
      const big = shopEventEncoder(persons)
      for (const timeMs of [-5, 0, 999, 1_700_000_000_001, 8_000_000_000_000]) {
        const end = big({ index: 0, occurredAtMs: timeMs, sentAtMs: timeMs }, new SeededRandom(3), into, 10)
        const event = Event.decode(into.subarray(10, end))
        expect(event.occurredAt!.getTime()).toBe(Math.max(0, timeMs))
        expect(Number(event.person.slice(5))).toBeLessThan(persons)
      }
    }
  })
})

describe('pace', () => {
  function setUp(config: Partial<GeneratorConfig>) {
    const clock = new ManualClock()
    const scheduler = new ManualScheduler(clock, 1)
    const full = { ...base, eventsPerSecond: 30, maxEvents: 0, advance: generatorAdvance(30), ...config }
    const reader = () => new GeneratorSourceReader({ config: full, encode, clock, scheduler })
    return { clock, scheduler, reader, info: { partition: 1, topicId: '', earliest: 0, end: Number.POSITIVE_INFINITY } }
  }

  it('is that of the wall clock, and waits for what is due next', async () => {
    const { clock, scheduler, reader, info } = setUp({})
    const reading = new ReadLoop(reader())
    reading.assign(info, 0)
    expect(reading.poll()).toBeUndefined()
    let woken = 0
    const wait = () =>
      reading.reader.onReady(() => {
        woken++
        while (reading.poll() !== undefined);
        wait()
      })
    wait()
    await scheduler.runFor(10_000)
    expect(clock.monotonicMs()).toBe(10_000)
    expect(reading.of(1)).toHaveLength(100)
    expect(woken).toBeGreaterThan(90)
    expect(woken).toBeLessThan(220)
    expect(reading.reader.status(1)).toMatchObject({ position: 100, highWatermark: 100, finished: false })
  })

  it('keeps on while nobody reads: a restore finds what fell due meanwhile, the same as without it', async () => {
    const { clock, reader, info } = setUp({ advance: 'wall' })
    const whole = new ReadLoop(reader())
    whole.assign(info, 0)
    const first = new ReadLoop(reader())
    first.assign(info, 0)
    clock.advance(2_000)
    while (first.poll() !== undefined);
    const state = first.reader.splitState(1)
    await first.reader.close()
    clock.advance(60_000)
    const second = new ReadLoop(reader())
    second.assign(info, first.positions.get(1)!, Number.POSITIVE_INFINITY, state)
    while (second.poll() !== undefined);
    while (whole.poll() !== undefined);
    expect(first.of(1)).toHaveLength(20)
    expect([...first.of(1), ...second.of(1)]).toEqual(whole.of(1))
    expect(whole.of(1)).toHaveLength(620)
  })

  it('stops at maxEvents whatever the stop offset', async () => {
    const { clock, reader, info } = setUp({ maxEvents: 100 })
    const reading = new ReadLoop(reader())
    reading.assign(info, 0)
    clock.advance(1_000_000)
    while (reading.poll() !== undefined);
    expect(reading.reader.status(1)).toMatchObject({ position: 33, finished: true })
  })

  it('never looks idle or done at full speed without end', () => {
    const { reader, info } = setUp({ eventsPerSecond: 0, advance: 0.1 })
    const reading = new ReadLoop(reader())
    reading.assign(info, 0)
    for (let i = 0; i < 10; i++) expect(reading.poll()?.count).toBe(500)
    const status = reading.reader.status(1)
    expect(status.highWatermark).toBeGreaterThan(status.position)
    expect(status.finished).toBe(false)
    expect(reading.reader.splitState(1)).toBe('')
  })
})

describe('config', () => {
  it.each([
    [{ partitions: 0 }, /partitions is 0/],
    [{ eventsPerSecond: -1 }, /eventsPerSecond is -1/],
    [{ maxEvents: 1.5 }, /maxEvents is 1.5/],
    [{ outOfOrdernessMs: Number.NaN }, /outOfOrdernessMs is NaN/],
    [{ advance: -1 }, /advance is -1/],
    [{ advance: 'wall' as const }, /advance is wall, which needs eventsPerSecond/],
  ])('refuses %j', (wrong, message) => {
    expect(() => readerOf({ ...base, ...wrong })).toThrow(message)
    expect(() => new GeneratorSourceEnumerator({ ...base, ...wrong })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
  })

  it('resolves latest to the end where there is one, else to the start', async () => {
    const bounded = new GeneratorSourceEnumerator({ ...base, maxEvents: 10 })
    const infos = await bounded.partitions()
    expect(infos.map((info) => info.end)).toEqual([4, 3, 3])
    expect(await bounded.resolve({ kind: 'latest' }, infos)).toEqual([4, 3, 3])
    const endless = new GeneratorSourceEnumerator({ ...base, maxEvents: 0 })
    expect(await endless.resolve({ kind: 'latest' }, await endless.partitions())).toEqual([0, 0, 0])
  })
})
