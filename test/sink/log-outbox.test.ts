import { AsyncLocalStorage } from 'node:async_hooks'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { LogWriter } from '../../src/log/log-writer.ts'
import { PartitionFetcher } from '../../src/log/partition-fetcher.ts'
import { RangeTracker } from '../../src/log/partition-range.ts'
import { describeTopic, findTopic, partitionPath } from '../../src/log/topic.ts'
import { LogOutbox } from '../../src/sink/log-outbox.ts'
import { LogRecordWriter } from '../../src/sink/log-sink.ts'
import type { OutboxSink } from '../../src/sink/outbox.ts'
import { LogSourceEnumerator } from '../../src/source/log-enumerator.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { readAll, sections } from '../event/support.ts'
import { cleanUpAfterEach, closing, temporaryRoot } from '../log/support.ts'
import { outboxContract } from './outbox-contract.ts'
import { blocksOf, type Crash, ownerOf, recordsOf, type TestRecord } from './outbox-records.ts'

/** The crash that the code which is running has to face; none for readers and for owners that live. */
const crashing = vi.hoisted(() => ({ now: undefined as AsyncLocalStorage<Crash> | undefined }))
crashing.now = new AsyncLocalStorage<Crash>()

// Every change that the log makes to the file system is a step of the sink that makes it.
vi.mock('../../src/log/log-files.ts', async (original) => {
  const actual = await original<Record<string, unknown>>()
  // A crash before a call that only looks is one after the change before it.
  const changes = new Set([
    'makeDirectory',
    'remove',
    'writeTextDurably',
    'syncDirectory',
    'createExclusive',
    'createDurably',
    'linkFile',
    'openToWrite',
    'writeNow',
    'truncateFile',
    'syncNow',
    'syncLater',
  ])
  const wrapped = Object.entries(actual).map(([name, call]) => {
    if (typeof call !== 'function' || !changes.has(name)) return [name, call]
    return [
      name,
      (...args: unknown[]) => {
        const crash = crashing.now?.getStore()
        const run = () => (call as (...all: unknown[]) => unknown)(...args)
        if (crash === undefined) return run()
        return name === 'syncLater' ? crash.step(async () => run()) : crash.stepNow(run)
      },
    ]
  })
  return Object.fromEntries(wrapped) as Record<string, unknown>
})

cleanUpAfterEach()

/** The sink, all of whose calls face the crash. */
function facing(sink: OutboxSink, crash: Crash | undefined): OutboxSink {
  if (crash === undefined) return sink
  const within = <T>(run: () => Promise<T>) => crashing.now!.run(crash, run)
  return {
    guarantee: sink.guarantee,
    open: () => within(() => sink.open()),
    apply: (epoch, blocks) => within(() => sink.apply(epoch, blocks)),
    close: () => within(() => sink.close()),
  }
}

const textOf = ({ key, value }: { key: string | null; value: string | null }) => `${key} ${value}`
const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('hex'))
const expected = (records: readonly TestRecord[]) =>
  records.map(({ key, value }) => textOf({ key: hex(key), value: hex(value) }))

/** All records of a partition that a reader gets. */
async function readPartition(root: string, topic: string, partition: number) {
  const fetcher = new PartitionFetcher(root, topic, partition, 0, 4096)
  const found: ReturnType<typeof readAll> = []
  try {
    for (;;) {
      const done = Promise.withResolvers<void>()
      const started = fetcher.fetch((error) => (error === undefined ? done.resolve() : done.reject(error)))
      if (!started) return found
      await done.promise
      if (!fetcher.ready) return found
      const { bytes, end } = fetcher.take()
      found.push(...sections(bytes.slice(0, end)).flatMap(readAll))
    }
  } finally {
    fetcher.close()
  }
}

async function readTopic(root: string, topic = 'results') {
  if (findTopic(root, topic) === undefined) return []
  const { partitions } = describeTopic(root, topic)
  const all = []
  for (let partition = 0; partition < partitions; partition++)
    all.push(...(await readPartition(root, topic, partition)))
  return all
}

const outboxOf = (root: string, owner = ownerOf('a'), segmentBytes = 20_000) =>
  new LogOutbox({ root, topic: 'results', owner, random: new SeededRandom(1), segmentBytes })

outboxContract({
  name: 'embedded log',
  wholeEpochs: true,
  largeRecords: 600,
  runs: 8,
  anyKeys: true,
  async target() {
    const root = temporaryRoot()
    return {
      sink: (owner, crash) => closing(facing(outboxOf(root, owner), crash)),
      read: async () => (await readTopic(root)).map(textOf),
      expected,
    }
  },
})

describe('a partition that an outbox writes', () => {
  const segments = (root: string) =>
    readdirSync(partitionPath(root, 'results', 0)).filter((name) => name.endsWith('.log'))

  it('hides what an owner wrote before it was replaced, also behind its last commit', async () => {
    const root = temporaryRoot()
    const zombie = closing(outboxOf(root, ownerOf('a'), 1_000_000))
    await zombie.open()
    await zombie.apply(1, blocksOf(recordsOf(1)))
    const owner = closing(outboxOf(root, ownerOf('b'), 1_000_000))
    await owner.open()
    // The check comes first: here the zombie is past it, and writes to its file in vain.
    const late = vi.spyOn(
      await import('../../src/log/outbox-partition.ts').then((m) => m.OutboxPartition.prototype),
      'check',
    )
    late.mockImplementationOnce(() => undefined)
    await expect(zombie.apply(2, blocksOf(recordsOf(99, 2000)))).rejects.toMatchObject({ code: 'STORE_FENCED' })
    late.mockRestore()
    expect((await readTopic(root)).length).toBe(5)
    await owner.apply(2, blocksOf(recordsOf(2)))
    await owner.apply(3, blocksOf(recordsOf(3)))
    expect((await readTopic(root)).map(textOf)).toEqual(expected([1, 2, 3].flatMap((epoch) => recordsOf(epoch))))
    expect(segments(root)).toHaveLength(2)
  })

  it('takes nothing from an owner whose number has been passed so long ago that it is free again', async () => {
    const root = temporaryRoot()
    const zombie = closing(outboxOf(root, ownerOf('a')))
    await zombie.open()
    const owner = closing(outboxOf(root, ownerOf('b')))
    await owner.open()
    for (let epoch = 1; epoch <= 5; epoch++) await owner.apply(epoch, blocksOf(recordsOf(epoch)))
    const { OutboxPartition } = await import('../../src/log/outbox-partition.ts')
    const check = vi.spyOn(OutboxPartition.prototype, 'check').mockImplementationOnce(() => undefined)
    await expect(zombie.apply(1, blocksOf(recordsOf(99)))).rejects.toMatchObject({ code: 'STORE_FENCED' })
    check.mockRestore()
    await owner.apply(6, blocksOf(recordsOf(6)))
    expect((await readTopic(root)).map(textOf)).toEqual(expected([1, 2, 3, 4, 5, 6].flatMap((n) => recordsOf(n))))
  })

  it('ends where it is committed, for whoever asks for ends or times', async () => {
    const root = temporaryRoot()
    const sink = closing(outboxOf(root, ownerOf('a'), 1_000_000))
    await sink.open()
    const at = (timestampMs: number) => ({ key: null, value: Buffer.from('x'), timestampMs })
    await sink.apply(1, blocksOf([at(10), at(20)]))
    const stuck = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const rest = async function* () {
      // More than a batch: it is in the file.
      yield* blocksOf(
        Array.from({ length: 5000 }, () => at(30)),
        5000,
      )
      begun.resolve()
      await stuck.promise
    }
    const applied = sink.apply(2, rest())
    await begun.promise
    const enumerator = new LogSourceEnumerator(root, 'results')
    const partitions = async () => (await enumerator.partitions()).slice(0, 1)
    const ends = async () => (await partitions()).map(({ earliest, end }) => [earliest, end])
    const times = async (timestampMs: number) =>
      enumerator.resolve({ kind: 'timestamp', timestampMs }, await partitions())
    expect(await ends()).toEqual([[0, 2]])
    expect([await times(15), await times(25)]).toEqual([[1], [2]])
    stuck.resolve()
    await applied
    expect(await ends()).toEqual([[0, 5002]])
    expect(new RangeTracker(partitionPath(root, 'results', 0)).range()).toEqual({ earliest: 0, end: 5002 })
  })

  it('belongs to its outbox for good, and keeps what was there', async () => {
    const root = temporaryRoot()
    const clock = new ManualClock()
    const options = { root, topic: 'results', clock, random: new SeededRandom(2) }
    const streaming = (owner: string) => new LogRecordWriter({ ...options, owner })
    // All partitions but one have been written at least once.
    const others = Array.from({ length: 32 }, (_, i) => streaming(`other/${i}`))
    for (const [i, other] of others.entries()) other.write(null, Buffer.from(`old ${i}`), 1)
    await others[31]!.close()
    const sink = closing(outboxOf(root))
    await sink.open()
    await sink.apply(1, blocksOf(recordsOf(1)))
    await sink.close()
    expect((await readPartition(root, 'results', 31)).map(textOf)).toEqual([
      `null ${hex(Buffer.from('old 31'))}`,
      ...expected(recordsOf(1)),
    ])
    expect(() => streaming('one more')).toThrow(/each of the 32 partitions/)
    expect(() => new LogWriter({ root, topic: 'results', clock })).toThrow(
      expect.objectContaining({ code: 'LEASE_HELD', message: expect.stringContaining('process') as string }),
    )
    for (const other of others.slice(0, 31)) await other.close()
    expect(() => new LogWriter({ root, topic: 'results', clock })).toThrow(/belongs to the results of job\/out/)
    const another = closing(outboxOf(root, { ...ownerOf('x'), sink: 'second' }))
    await another.open()
    await another.apply(1, blocksOf(recordsOf(2)))
    expect((await readPartition(root, 'results', 0)).map(textOf)).toEqual([
      `null ${hex(Buffer.from('old 0'))}`,
      ...expected(recordsOf(2)),
    ])
  })

  it('says what is wrong with a commit that is none', async () => {
    const root = temporaryRoot()
    const sink = closing(outboxOf(root))
    await sink.open()
    const path = partitionPath(root, 'results', 0)
    for (const [text, why] of [
      ['{', /not JSON/],
      ['{"version":2}', /format version 2; this release reads 1/],
      ['{"version":1}', /lacks a writer/],
    ] as const) {
      writeFileSync(join(path, '00000000000000000099.commit'), text)
      expect(() => new RangeTracker(path).range()).toThrow(why)
      await expect(outboxOf(root).open()).rejects.toThrow(why)
    }
  })
})
