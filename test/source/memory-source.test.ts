import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { MemorySourceEnumerator, MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import type { PartitionInfo } from '../../src/source/source.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { asRead, contractRecords, describeSource, ReadLoop, type TopicFixture } from './contract.ts'

const bytes = (text: string | null) => (text === null ? null : Buffer.from(text))

function appendTo(topic: MemoryTopic, partition: number, from: number, count: number): void {
  const records = contractRecords(partition, from, count)
  for (let at = 0; at < count; at += 16) {
    const part = records.slice(at, at + 16)
    topic.append(
      partition,
      part.map((r) => ({ key: bytes(r.key), value: bytes(r.value), timestampMs: r.timestampMs })),
    )
  }
}

describeSource(
  'memory',
  async () => ({
    async createTopic(partitions, recordsEach) {
      const topic = new MemoryTopic('events', partitions, new SeededRandom(1))
      for (let partition = 0; partition < partitions; partition++) appendTo(topic, partition, 0, recordsEach)
      const fixture: TopicFixture = {
        expected: (partition) => asRead(contractRecords(partition, 0, recordsEach), 0),
        enumerator: () => new MemorySourceEnumerator(topic),
        reader: () => new MemorySourceReader(topic, systemClock, systemScheduler),
        append: async (partition, records) => {
          topic.append(
            partition,
            records.map((r) => ({ key: bytes(r.key), value: bytes(r.value), timestampMs: r.timestampMs })),
          )
        },
        appendControlTail: async (partition) => topic.appendMarker(partition, 'commit', 1),
        appendCompacted: async (partition, offsets) => topic.appendCompacted(partition, offsets),
        deleteBelow: async (partition, offset) => topic.deleteBelow(partition, offset),
        addPartitions: async (total) => topic.addPartitions(total),
        recreate: async () => topic.recreate(),
      }
      return fixture
    },
    close: async () => {},
  }),
  ['append', 'appendControlTail', 'appendCompacted', 'deleteBelow', 'addPartitions', 'recreate'],
)

describe('MemorySourceReader', () => {
  const info = (topic: MemoryTopic, partition: number): PartitionInfo => ({
    partition,
    topicId: topic.topicId,
    earliest: 0,
    end: topic.partition(partition).end,
  })

  function setUp(partitions: number) {
    const clock = new ManualClock()
    const scheduler = new ManualScheduler(clock, 7)
    const topic = new MemoryTopic('events', partitions, new SeededRandom(1))
    const reader = new MemorySourceReader(topic, clock, scheduler)
    return { clock, topic, reader, reading: new ReadLoop(reader) }
  }

  it('takes partitions in turn', () => {
    const { topic, reading } = setUp(3)
    for (let partition = 0; partition < 3; partition++) {
      appendTo(topic, partition, 0, 64)
      reading.assign(info(topic, partition), 0)
    }
    while (reading.poll() !== undefined);
    expect(reading.order).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
  })

  it('does not make an unreachable partition look idle, and goes on when it is back', () => {
    const { clock, topic, reader, reading } = setUp(2)
    appendTo(topic, 0, 0, 16)
    reading.assign(info(topic, 0), 0, Number.POSITIVE_INFINITY)
    reading.assign(info(topic, 1), 0, Number.POSITIVE_INFINITY)
    clock.advance(10)
    expect(reader.status(0)).toMatchObject({ highWatermark: 16, lastFetchMs: 10, reachable: true })
    topic.setReachable(0, false)
    appendTo(topic, 0, 16, 4)
    clock.advance(1000)
    expect(reading.poll()).toBeUndefined()
    expect(reader.status(1)).toMatchObject({ highWatermark: 0, lastFetchMs: 1010, reachable: true })
    expect(reader.status(0)).toMatchObject({ highWatermark: 16, lastFetchMs: 10, reachable: false, position: 0 })
    topic.setReachable(0, true)
    while (reading.poll() !== undefined);
    expect(reading.of(0)).toHaveLength(20)
  })

  it('reads up to the last stable offset', () => {
    const { topic, reader, reading } = setUp(1)
    appendTo(topic, 0, 0, 32)
    topic.setStableOffset(0, 16)
    reading.assign(info(topic, 0), 0, Number.POSITIVE_INFINITY)
    while (reading.poll() !== undefined);
    expect(reading.of(0)).toHaveLength(16)
    expect(reader.status(0)).toMatchObject({ position: 16, highWatermark: 32, lastStableOffset: 16 })
    topic.setStableOffset(0, Number.POSITIVE_INFINITY)
    while (reading.poll() !== undefined);
    expect(reading.of(0)).toHaveLength(32)
  })

  it('gives records the time of their append where the topic does', () => {
    const { topic, reading } = setUp(1)
    topic.append(
      0,
      [1, 2].map((timestampMs) => ({ key: null, value: null, timestampMs })),
      { logAppendTimeMs: 777 },
    )
    reading.assign(info(topic, 0), 0)
    reading.poll()
    expect(reading.of(0).map((r) => r.timestampMs)).toEqual([777, 777])
  })

  it('says where a corrupt batch is', () => {
    const { topic, reader, reading } = setUp(1)
    appendTo(topic, 0, 0, 3)
    topic.partition(0).batches[0]!.bytes[70]! ^= 4
    reading.assign(info(topic, 0), 0)
    expect(() => reader.poll()).toThrow(/record batch of events-0 at offset 0 is corrupt: its CRC-32C/)
  })
})
