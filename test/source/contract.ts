/**
 * What every source keeps to, as tests: call `describeSource` with a way to make topics of that source.
 *
 * What a source cannot do (a generator cannot be appended to) is left out by leaving the method out of `SourceAbilities`.
 */
// tidy: long because it is one contract, which every source runs as a whole
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  PartitionInfo,
  RecordChunk,
  SourceEnumerator,
  SourceReader,
  SplitAssignment,
  StartPosition,
} from '../../src/source/source.ts'
import { type ReadRecord, readAll } from '../event/support.ts'

/** A record to append; key and value as text. */
export interface ContractRecord {
  readonly key: string | null
  readonly value: string | null
  readonly timestampMs: number
}

/** One topic of the source under test. */
export interface TopicFixture {
  /** The records that the topic was created with, by partition. */
  expected(partition: number): readonly ReadRecord[]
  enumerator(): SourceEnumerator
  /** A new reader without partitions. */
  reader(): SourceReader
  /** Appends records, visible to readers when the promise resolves or soon after. */
  append?(partition: number, records: readonly ContractRecord[]): Promise<void>
  /** Appends offsets that hold no record for a reader, as a transaction marker or an aborted transaction. */
  appendControlTail?(partition: number): Promise<void>
  /** Appends a batch of `offsets` offsets whose records compaction has taken. */
  appendCompacted?(partition: number, offsets: number): Promise<void>
  /** Deletes the records below `offset`. */
  deleteBelow?(partition: number, offset: number): Promise<void>
  addPartitions?(partitions: number): Promise<void>
  /** Deletes the topic and creates it again, empty. */
  recreate?(): Promise<void>
}

/** Makes topics; one for the suite or one a test, as is cheap. */
export interface SourceFixture {
  /** A topic of which each partition holds `recordsEach` records with ascending timestamps. */
  createTopic(partitions: number, recordsEach: number): Promise<TopicFixture>
  /** An enumerator of a topic that does not exist. */
  missingTopic?(): SourceEnumerator
  close(): Promise<void>
}

/** The methods of TopicFixture and SourceFixture that the fixture has. */
export type SourceAbility =
  | 'append'
  | 'appendControlTail'
  | 'appendCompacted'
  | 'deleteBelow'
  | 'addPartitions'
  | 'recreate'
  | 'missingTopic'

/** Records as a topic is filled with: keys, values and times by number. */
export function contractRecords(partition: number, from: number, count: number): ContractRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    key: (from + i) % 7 === 3 ? null : `key-${from + i}`,
    value: (from + i) % 11 === 5 ? null : `value-${partition}-${from + i}`,
    timestampMs: 1_700_000_000_000 + (from + i) * 10,
  }))
}

/** The same as they are read, when the first of them has offset `baseOffset`. */
export function asRead(records: readonly ContractRecord[], baseOffset: number): ReadRecord[] {
  const hex = (text: string | null) => (text === null ? null : Buffer.from(text).toString('hex'))
  return records.map((r, i) => ({
    offset: baseOffset + i,
    timestampMs: r.timestampMs,
    key: hex(r.key),
    value: hex(r.value),
  }))
}

/** Reads chunk by chunk and checks what holds for every chunk. */
export class ReadLoop {
  readonly reader: SourceReader
  readonly records = new Map<number, ReadRecord[]>()
  readonly positions = new Map<number, number>()
  /** Partitions in the order of the chunks. */
  readonly order: number[] = []

  constructor(reader: SourceReader) {
    this.reader = reader
  }

  assign(info: PartitionInfo, offset: number, stopOffset = info.end, state?: string): void {
    const { partition, topicId } = info
    const split: SplitAssignment = { partition, offset, stopOffset, topicId }
    this.positions.set(partition, offset)
    this.records.set(partition, [])
    this.reader.assign(state === undefined ? split : { ...split, state })
  }

  /** Polls once. */
  poll(): RecordChunk | undefined {
    const chunk = this.reader.poll()
    if (chunk === undefined) return undefined
    const { partition, nextOffset } = chunk
    const position = this.positions.get(partition)
    expect(position, `a chunk of partition ${partition}, which was not assigned`).toBeDefined()
    expect(nextOffset).toBeGreaterThan(position!)
    const records = readAll(chunk)
    for (const [i, record] of records.entries()) {
      expect(record.offset).toBeGreaterThanOrEqual(i === 0 ? position! : records[i - 1]!.offset + 1)
      expect(record.offset).toBeLessThan(nextOffset)
    }
    this.records.get(partition)!.push(...records)
    this.positions.set(partition, nextOffset)
    this.order.push(partition)
    expect(this.reader.status(partition).position).toBe(nextOffset)
    return chunk
  }

  /** Polls, waiting for more each time there is none, until `enough`. */
  async until(enough: () => boolean): Promise<void> {
    while (!enough()) {
      if (this.poll() === undefined && !enough()) await new Promise<void>((resolve) => this.reader.onReady(resolve))
    }
  }

  /** Reads until all assigned partitions are finished. */
  async toEnd(): Promise<void> {
    await this.until(() => [...this.positions.keys()].every((partition) => this.reader.status(partition).finished))
    expect(this.reader.poll()).toBeUndefined()
  }

  /** Reads until something is thrown, and returns it. */
  async toError(): Promise<unknown> {
    try {
      await this.until(() => false)
    } catch (error) {
      return error
    }
    return undefined
  }

  of(partition: number): readonly ReadRecord[] {
    return this.records.get(partition) ?? []
  }
}

/** Runs the contract on a source. `makeFixture` is called before each test. */
export function describeSource(
  name: string,
  makeFixture: () => Promise<SourceFixture>,
  abilities: readonly SourceAbility[],
): void {
  const can = (ability: SourceAbility) => abilities.includes(ability)

  describe(`${name}: the source contract`, () => {
    let fixture: SourceFixture
    const open: { close(): Promise<void> }[] = []

    beforeEach(async () => {
      fixture = await makeFixture()
    })

    afterEach(async () => {
      for (const one of open.splice(0)) await one.close()
      await fixture.close()
    })

    function track<T extends { close(): Promise<void> }>(one: T): T {
      open.push(one)
      return one
    }

    async function openTopic(partitions: number, recordsEach: number) {
      const topic = await fixture.createTopic(partitions, recordsEach)
      const enumerator = track(topic.enumerator())
      return { topic, enumerator, infos: await enumerator.partitions() }
    }

    function loop(topic: TopicFixture): ReadLoop {
      return new ReadLoop(track(topic.reader()))
    }

    async function readFrom(topic: TopicFixture, enumerator: SourceEnumerator, start: StartPosition) {
      const infos = await enumerator.partitions()
      const offsets = await enumerator.resolve(start, infos)
      const reading = loop(topic)
      for (const [i, info] of infos.entries()) reading.assign(info, offsets[i]!)
      await reading.toEnd()
      return reading
    }

    it('lists partitions in order with where they begin and end', async () => {
      const { infos } = await openTopic(3, 25)
      expect(infos.map(({ partition, earliest, end }) => [partition, earliest, end])).toEqual([
        [0, 0, 25],
        [1, 0, 25],
        [2, 0, 25],
      ])
    })

    it('reads every record once, in order, from the earliest to the end, and finishes', async () => {
      const { topic, enumerator } = await openTopic(3, 1200)
      const reading = await readFrom(topic, enumerator, { kind: 'earliest' })
      for (let partition = 0; partition < 3; partition++) {
        expect(reading.of(partition)).toEqual(topic.expected(partition))
        expect(reading.reader.status(partition)).toMatchObject({
          partition,
          position: 1200,
          highWatermark: 1200,
          lastStableOffset: 1200,
          reachable: true,
          finished: true,
        })
      }
    })

    it('starts at the latest', async () => {
      const { topic, enumerator } = await openTopic(2, 30)
      const reading = await readFrom(topic, enumerator, { kind: 'latest' })
      expect([reading.of(0), reading.of(1)]).toEqual([[], []])
    })

    it('starts at the first record of a time, at the end when there is none', async () => {
      const { topic, enumerator, infos } = await openTopic(2, 300)
      const { timestampMs } = topic.expected(0)[123]!
      for (const time of [timestampMs, timestampMs - 1, timestampMs + 1]) {
        const reading = await readFrom(topic, enumerator, { kind: 'timestamp', timestampMs: time })
        for (const partition of [0, 1]) {
          expect(reading.of(partition)).toEqual(topic.expected(partition).filter((r) => r.timestampMs >= time))
        }
      }
      const late = topic.expected(0).at(-1)!.timestampMs + 1_000_000
      expect(await enumerator.resolve({ kind: 'timestamp', timestampMs: late }, infos)).toEqual([300, 300])
      expect(await enumerator.resolve({ kind: 'timestamp', timestampMs: 1 }, infos)).toEqual([0, 0])
    })

    it('starts at given offsets, in the middle of batches too, and elsewhere at earliest or latest', async () => {
      const { topic, enumerator } = await openTopic(3, 40)
      const offsets = { 0: 17, 2: 40 }
      const early = await readFrom(topic, enumerator, { kind: 'offsets', offsets, otherwise: 'earliest' })
      expect(early.of(0)).toEqual(topic.expected(0).slice(17))
      expect(early.of(1)).toEqual(topic.expected(1))
      expect(early.of(2)).toEqual([])
      const late = await readFrom(topic, enumerator, { kind: 'offsets', offsets, otherwise: 'latest' })
      expect(late.of(0)).toEqual(topic.expected(0).slice(17))
      expect(late.of(1)).toEqual([])
    })

    it('stops before the stop offset, in the middle of batches too', async () => {
      const { topic, infos } = await openTopic(1, 50)
      for (const stop of [1, 23, 50]) {
        const reading = loop(topic)
        reading.assign(infos[0]!, 0, stop)
        await reading.toEnd()
        expect(reading.of(0)).toEqual(topic.expected(0).slice(0, stop))
        expect(reading.positions.get(0)).toBe(stop)
      }
    })

    it('finishes empty partitions at once', async () => {
      const { topic, infos } = await openTopic(2, 0)
      const reading = loop(topic)
      for (const info of infos) reading.assign(info, 0)
      expect(reading.reader.status(0).finished).toBe(true)
      await reading.toEnd()
      expect(reading.order).toEqual([])
    })

    it('goes on from any position with what another reader has not read', async () => {
      const { topic, infos } = await openTopic(2, 700)
      const first = loop(topic)
      for (const info of infos) first.assign(info, 0)
      await first.until(() => first.order.length > 0)
      const positions = new Map(first.positions)
      const states = infos.map((info) => first.reader.splitState(info.partition))
      await first.reader.close()
      const second = loop(topic)
      for (const [i, info] of infos.entries()) second.assign(info, positions.get(info.partition)!, info.end, states[i])
      await second.toEnd()
      for (const partition of [0, 1]) {
        expect([...first.of(partition), ...second.of(partition)]).toEqual(topic.expected(partition))
      }
    })

    it('hands out nothing of a paused partition, and all of it after', async () => {
      const { topic, infos } = await openTopic(2, 900)
      const reading = loop(topic)
      reading.assign(infos[0]!, 0)
      reading.assign(infos[1]!, 0)
      reading.reader.setPaused(0, true)
      await reading.until(() => reading.reader.status(1).finished)
      expect(reading.reader.poll()).toBeUndefined()
      expect(reading.of(0)).toEqual([])
      expect(reading.reader.status(0).finished).toBe(false)
      reading.reader.setPaused(0, false)
      await reading.toEnd()
      expect(reading.of(0)).toEqual(topic.expected(0))
      expect(reading.of(1)).toEqual(topic.expected(1))
    })

    it('can be paused in the middle of a partition', async () => {
      const { topic, infos } = await openTopic(1, 1500)
      const reading = loop(topic)
      reading.assign(infos[0]!, 0)
      await reading.until(() => reading.order.length > 0)
      reading.reader.setPaused(0, true)
      for (let i = 0; i < 5; i++) expect(reading.reader.poll()).toBeUndefined()
      reading.reader.setPaused(0, false)
      await reading.toEnd()
      expect(reading.of(0)).toEqual(topic.expected(0))
    })

    it('takes partitions that are assigned while it reads', async () => {
      const { topic, infos } = await openTopic(3, 400)
      const reading = loop(topic)
      reading.assign(infos[0]!, 0)
      await reading.until(() => reading.order.length > 0)
      reading.assign(infos[1]!, 0)
      await reading.toEnd()
      reading.assign(infos[2]!, 0)
      await reading.toEnd()
      for (const partition of [0, 1, 2]) expect(reading.of(partition)).toEqual(topic.expected(partition))
    })

    it('closes twice, in the middle of reading, and is silent afterwards', async () => {
      const { topic, infos } = await openTopic(2, 500)
      const reading = loop(topic)
      for (const info of infos) reading.assign(info, 0, Number.POSITIVE_INFINITY)
      await reading.until(() => reading.order.length > 0)
      const closing = reading.reader.close()
      expect(reading.reader.poll()).toBeUndefined()
      await closing
      await reading.reader.close()
      expect(reading.reader.poll()).toBeUndefined()
    })

    if (can('append')) {
      it('wakes and reads on when records come', async () => {
        const { topic, infos } = await openTopic(2, 5)
        const reading = loop(topic)
        for (const info of infos) reading.assign(info, info.end, Number.POSITIVE_INFINITY)
        const more = contractRecords(1, 5, 20)
        const read = reading.until(() => reading.of(1).length === 20)
        await topic.append!(1, more)
        await read
        expect(reading.of(0)).toEqual([])
        expect(reading.of(1)).toEqual(asRead(more, 5))
        const again = contractRecords(0, 5, 3)
        const readAgain = reading.until(() => reading.of(0).length === 3)
        await topic.append!(0, again)
        await readAgain
        expect(reading.of(0)).toEqual(asRead(again, 5))
      })

      it('says when it has seen the end, and that it is not finished', async () => {
        const { topic, infos } = await openTopic(1, 10)
        const reading = loop(topic)
        reading.assign(infos[0]!, 0, Number.POSITIVE_INFINITY)
        await reading.until(() => reading.of(0).length === 10)
        await expect
          .poll(() => ({ ...reading.reader.status(0) }))
          .toMatchObject({ position: 10, highWatermark: 10, lastStableOffset: 10, reachable: true, finished: false })
        expect(Number.isFinite(reading.reader.status(0).lastFetchMs)).toBe(true)
        const { lastFetchMs } = reading.reader.status(0)
        await expect.poll(() => reading.reader.status(0).lastFetchMs).toBeGreaterThan(lastFetchMs)
      })
    }

    if (can('appendControlTail')) {
      it('ends a bounded run whose last offsets hold no records', async () => {
        const { topic, enumerator } = await openTopic(2, 12)
        await topic.appendControlTail!(0)
        const infos = await enumerator.partitions()
        expect(infos[0]!.end).toBeGreaterThan(12)
        const reading = await readFrom(topic, enumerator, { kind: 'earliest' })
        expect(reading.of(0)).toEqual(topic.expected(0))
        expect(reading.positions.get(0)).toBe(infos[0]!.end)
      })
    }

    if (can('appendCompacted')) {
      it('steps over what compaction has emptied', async () => {
        const { topic, enumerator } = await openTopic(1, 6)
        await topic.appendCompacted!(0, 9)
        await topic.append!(0, contractRecords(0, 15, 2))
        await topic.appendCompacted!(0, 4)
        const reading = await readFrom(topic, enumerator, { kind: 'earliest' })
        expect(reading.of(0)).toEqual([...topic.expected(0), ...asRead(contractRecords(0, 15, 2), 15)])
        expect(reading.positions.get(0)).toBe(21)
        const middle = await readFrom(topic, enumerator, {
          kind: 'offsets',
          offsets: { 0: 9 },
          otherwise: 'latest',
        })
        expect(middle.of(0).map((r) => r.offset)).toEqual([15, 16])
      })
    }

    if (can('deleteBelow')) {
      it('says how many records are gone when the position is', async () => {
        const { topic, enumerator } = await openTopic(1, 400)
        await topic.deleteBelow!(0, 200)
        const infos = await enumerator.partitions()
        const { earliest } = infos[0]!
        expect(earliest).toBeGreaterThan(50)
        expect(earliest).toBeLessThanOrEqual(200)
        const reading = loop(topic)
        reading.assign(infos[0]!, 40)
        const error = await reading.toError()
        expect(error).toMatchObject({ code: 'POSITION_LOST' })
        expect((error as Error).message).toContain(`${earliest - 40} records`)
        const fine = await readFrom(topic, enumerator, { kind: 'earliest' })
        expect(fine.of(0)).toEqual(topic.expected(0).slice(earliest))
      })
    }

    if (can('addPartitions')) {
      it('finds partitions that were added', async () => {
        const { topic, enumerator } = await openTopic(1, 10)
        await topic.addPartitions!(3)
        await expect.poll(async () => (await enumerator.partitions()).length).toBe(3)
        const infos = await enumerator.partitions()
        expect(infos.map(({ partition, earliest, end }) => [partition, earliest, end])).toEqual([
          [0, 0, 10],
          [1, 0, 0],
          [2, 0, 0],
        ])
        const reading = loop(topic)
        reading.assign(infos[2]!, 0, Number.POSITIVE_INFINITY)
        const read = reading.until(() => reading.of(2).length === 4)
        await topic.append!(2, contractRecords(2, 0, 4))
        await read
        expect(reading.of(2)).toEqual(asRead(contractRecords(2, 0, 4), 0))
      })
    }

    if (can('recreate')) {
      it('refuses positions of a topic that was deleted and created again', async () => {
        const { topic, infos } = await openTopic(1, 20)
        const before = loop(topic)
        before.assign(infos[0]!, 20, Number.POSITIVE_INFINITY)
        await topic.recreate!()
        expect(await before.toError()).toMatchObject({ code: 'TOPIC_RECREATED' })
        const after = loop(topic)
        after.assign(infos[0]!, 20, Number.POSITIVE_INFINITY)
        expect(await after.toError()).toMatchObject({ code: 'TOPIC_RECREATED' })
      })
    }

    if (can('missingTopic')) {
      it('says which topic does not exist', async () => {
        const enumerator = track(fixture.missingTopic!())
        await expect(enumerator.partitions()).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
      })
    }
  })
}
