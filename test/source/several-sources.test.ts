/** Several sources read as one: each keeps the contract of a source, and they stay apart. */
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import type { SourcePart } from '../../src/job/definition.ts'
import { MemorySourceEnumerator, MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { PARTITION_STRIDE, SeveralEnumerator, SeveralReader } from '../../src/source/several-sources.ts'
import {
  asRead,
  type ContractRecord,
  contractRecords,
  describeSource,
  ReadLoop,
  type TopicFixture,
} from './contract.ts'

const bytes = (text: string | null) => (text === null ? null : Buffer.from(text))

function topicOf(name: string, partitions: number, recordsEach: number): MemoryTopic {
  const topic = new MemoryTopic(name, partitions, new SeededRandom(1))
  for (let partition = 0; partition < partitions; partition++) {
    const records = contractRecords(partition, 0, recordsEach)
    for (let at = 0; at < recordsEach; at += 16) append(topic, partition, records.slice(at, at + 16))
  }
  return topic
}

function append(topic: MemoryTopic, partition: number, records: readonly ContractRecord[]): void {
  const given = records.map((r) => ({ key: bytes(r.key), value: bytes(r.value), timestampMs: r.timestampMs }))
  topic.append(partition, given)
}

const reader = (topics: readonly MemoryTopic[]): SeveralReader =>
  new SeveralReader(topics.map((topic) => new MemorySourceReader(topic, systemClock, systemScheduler)))

const part = (id: string, start: SourcePart['start']): SourcePart => ({
  id,
  input: { kind: 'log', path: '', topic: id },
  start,
})

describeSource(
  'first of two',
  async () => ({
    async createTopic(partitions, recordsEach) {
      const topic = topicOf('events', partitions, recordsEach)
      const other = new MemoryTopic('other', 0, new SeededRandom(1))
      const fixture: TopicFixture = {
        expected: (partition) => asRead(contractRecords(partition, 0, recordsEach), 0),
        enumerator: () => {
          const inner = new MemorySourceEnumerator(topic)
          const all = new SeveralEnumerator([part('a', { kind: 'earliest' })], [inner])
          // Each part has a start of its own; the contract asks with many.
          all.resolve = (start, partitions) => inner.resolve(start, partitions)
          return all
        },
        reader: () => reader([topic, other]),
        append: async (partition, records) => append(topic, partition, records),
        deleteBelow: async (partition, offset) => topic.deleteBelow(partition, offset),
        addPartitions: async (total) => topic.addPartitions(total),
        recreate: async () => topic.recreate(),
      }
      return fixture
    },
    close: async () => {},
  }),
  ['append', 'deleteBelow', 'addPartitions', 'recreate'],
)

describe('two sources', () => {
  const topics = () => [topicOf('a', 2, 48), topicOf('b', 2, 32)] as const

  it('have partitions of their own, each from its own start', async () => {
    const [a, b] = topics()
    const starts = [part('a', { kind: 'latest' }), part('b', { kind: 'earliest' })]
    const all = new SeveralEnumerator(starts, [new MemorySourceEnumerator(a), new MemorySourceEnumerator(b)])
    const partitions = await all.partitions()
    expect(partitions.map(({ partition, end }) => [partition, end])).toEqual([
      [0, 48],
      [1, 48],
      [PARTITION_STRIDE, 32],
      [PARTITION_STRIDE + 1, 32],
    ])
    const backwards = partitions.toReversed()
    expect(await all.resolve({ kind: 'earliest' }, backwards)).toEqual([0, 0, 48, 48])
    await all.close()
  })

  it('are taken in turn, with pauses, positions and ends by partition', async () => {
    const [a, b] = topics()
    const both = reader([a, b])
    const reading = new ReadLoop(both)
    for (const partition of [0, PARTITION_STRIDE + 1])
      reading.assign({ partition, topicId: '', earliest: 0, end: 32 }, 0, 32)
    both.setPaused(0, true)
    expect(reading.poll()).toBeDefined()
    expect(reading.poll()).toBeDefined()
    expect(reading.poll()).toBeUndefined()
    expect(reading.order).toEqual([PARTITION_STRIDE + 1, PARTITION_STRIDE + 1])
    expect(both.status(PARTITION_STRIDE + 1)).toMatchObject({
      partition: PARTITION_STRIDE + 1,
      position: 32,
      finished: true,
    })
    expect(both.status(0)).toMatchObject({ partition: 0, position: 0, finished: false })
    both.setPaused(0, false)
    await new Promise<void>((resolve) => both.onReady(resolve))
    expect(reading.poll()).toBeDefined()
    expect(reading.order.at(-1)).toBe(0)
    await both.close()
  })

  it('wake who waits once, whichever has something first, again and again', async () => {
    const [a, b] = [topicOf('a', 1, 0), topicOf('b', 1, 0)]
    const both = reader([a, b])
    for (const partition of [0, PARTITION_STRIDE]) {
      both.assign({ topicId: '', offset: 0, stopOffset: Number.POSITIVE_INFINITY, partition })
    }
    for (const [topic, partition] of [
      [a, 0],
      [b, PARTITION_STRIDE],
      [a, 0],
    ] as const) {
      while (both.poll() !== undefined);
      let woken = 0
      const waiting = new Promise<void>((resolve) =>
        both.onReady(() => {
          woken++
          resolve()
        }),
      )
      append(topic, 0, contractRecords(0, 0, 1))
      await waiting
      expect(woken).toBe(1)
      expect(both.poll()?.partition).toBe(partition)
    }
    await both.close()
  })
})
