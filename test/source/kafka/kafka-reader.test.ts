/** The Kafka reader against brokers in memory, in virtual time: what it retries, what it gives up on, what it holds. */
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../../src/core/clock.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import { KafkaReader, type KafkaReaderOptions } from '../../../src/source/kafka/kafka-reader.ts'
import { ManualClock, ManualScheduler } from '../../../src/testing/manual-clock.ts'
import { FakeCluster } from './fake-broker.ts'
import { pollAll, type Row, rowsOf } from './support.ts'

interface Fixture {
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly cluster: FakeCluster
  readonly open: (options?: Partial<KafkaReaderOptions>) => KafkaReader
  readonly assign: (reader: KafkaReader, partition: number, offset?: number, stopOffset?: number) => void
}

function fixture(partitions = 1, brokers: readonly number[] = [1]): Fixture {
  const clock = new ManualClock()
  const scheduler = new ManualScheduler(clock, 7)
  const cluster = new FakeCluster(scheduler, partitions, brokers)
  const open: Fixture['open'] = (options = {}) =>
    new KafkaReader(
      { brokers: cluster.brokers, connect: cluster.connect, topic: cluster.topic, ...options },
      { clock, scheduler, random: new SeededRandom(3) },
    )
  const assign: Fixture['assign'] = (reader, partition, offset = 0, stopOffset = Number.POSITIVE_INFINITY) =>
    reader.assign({ partition, offset, stopOffset, topicId: cluster.metadataVersion >= 10 ? cluster.topicId : '' })
  return { clock, scheduler, cluster, open, assign }
}

/** Reads until `count` rows have come. */
async function take(f: Fixture, reader: KafkaReader, count: number): Promise<Row[]> {
  const rows: Row[] = []
  await f.scheduler.runUntil(() => {
    rows.push(...pollAll(reader))
    return rows.length >= count
  }, `${count} rows`)
  return rows
}

/** Runs until `poll` throws, and returns what it threw. */
async function failureOf(f: Fixture, reader: KafkaReader, virtualMs = 300_000): Promise<MillraceError> {
  let failure: unknown
  await f.scheduler.runUntil(
    () => {
      try {
        pollAll(reader)
        return false
      } catch (error) {
        failure = error
        return true
      }
    },
    'a failure',
    { virtualMs },
  )
  expect(failure).toBeInstanceOf(MillraceError)
  return failure as MillraceError
}

const values = (rows: readonly Row[]): (string | null)[] => rows.map((row) => row.value)

describe('reading', () => {
  it('hands out what is there and what comes, and knows how far it is', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'], 5)
    const reader = f.open()
    f.assign(reader, 0)
    expect(reader.status(0)).toMatchObject({ position: 0, highWatermark: -1, lastFetchMs: Number.NEGATIVE_INFINITY })
    expect(await take(f, reader, 2)).toEqual([
      { partition: 0, offset: 0, timestampMs: 5, key: null, value: 'a' },
      { partition: 0, offset: 1, timestampMs: 5, key: null, value: 'b' },
    ])
    log.append(['c'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['c'])
    await f.scheduler.runFor(500)
    const status = reader.status(0)
    expect(status).toMatchObject({
      position: 3,
      highWatermark: 3,
      lastStableOffset: 3,
      reachable: true,
      finished: false,
    })
    expect(f.clock.monotonicMs() - status.lastFetchMs).toBeLessThanOrEqual(100)
    await reader.close()
  })

  it('wakes a waiter once when something arrives, and at once when something is there', async () => {
    const f = fixture()
    const reader = f.open()
    f.assign(reader, 0)
    let wakes = 0
    reader.onReady(() => wakes++)
    await f.scheduler.runFor(1000)
    expect(wakes).toBe(0)
    for (const value of ['a', 'b']) {
      f.cluster.partitions[0]!.append([value])
      f.cluster.notify()
      await f.scheduler.runFor(200)
    }
    expect(wakes).toBe(1)
    reader.onReady(() => wakes++)
    await f.scheduler.runFor(0)
    expect(wakes).toBe(2)
    await reader.close()
  })

  it('has the next fetch in flight while the last is read, and never more than two regions', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.regionBytes = 1
    for (let i = 0; i < 6; i++) log.append([`v${i}`])
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(10_000)
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1'])
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('v0')
    await f.scheduler.runFor(10_000)
    // v0's region is finished only when something after it is asked for.
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1'])
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('v1')
    await f.scheduler.runFor(10_000)
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1', '0@2'])
    expect(values(await take(f, reader, 4))).toEqual(['v2', 'v3', 'v4', 'v5'])
    await reader.close()
  })

  it('takes partitions in turn and asks their leaders in one fetch each', async () => {
    const f = fixture(3, [1, 2])
    f.cluster.partitions[1]!.leader = 2
    for (const log of f.cluster.partitions) for (let i = 0; i < 3; i++) log.append([`${i}`])
    const reader = f.open()
    for (let p = 0; p < 3; p++) f.assign(reader, p)
    await f.scheduler.runFor(50)
    const order: number[] = []
    for (let chunk = reader.poll(); chunk !== undefined; chunk = reader.poll()) order.push(chunk.partition)
    expect(order).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
    expect(f.cluster.fetchLog.slice(0, 2).sort()).toEqual(['0@0 2@0', '1@0'])
    await reader.close()
  })

  it('keeps a paused partition, at most one fetch of it, and reads on after', async () => {
    const f = fixture(2)
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    const reader = f.open()
    f.assign(reader, 0)
    f.assign(reader, 1)
    reader.setPaused(0, true)
    a.append(['a'])
    b.append(['b'])
    expect(values(await take(f, reader, 1))).toEqual(['b'])
    await f.scheduler.runFor(1000)
    expect(pollAll(reader)).toEqual([])
    expect(f.cluster.fetchLog.slice(2).every((line) => !line.includes('0@'))).toBe(true)
    let woken = false
    reader.setPaused(0, false)
    reader.onReady(() => {
      woken = true
    })
    await f.scheduler.runFor(300)
    expect(woken).toBe(true)
    expect(values(pollAll(reader))).toEqual(['a'])
    await reader.close()
  })

  it('ends a bounded partition inside a batch, and steps over a tail without records', async () => {
    const f = fixture(2)
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    a.append(['a0', 'a1', 'a2'])
    b.append(['b0'])
    b.appendIn(9n, ['x'])
    b.end(9n, 'abort')
    b.append([], 0, { lastOffsetDelta: 4 })
    const reader = f.open()
    f.assign(reader, 0, 1, 2)
    f.assign(reader, 1, 0, 8)
    expect(values(await take(f, reader, 2)).sort()).toEqual(['a1', 'b0'])
    await f.scheduler.runUntil(() => {
      pollAll(reader)
      return reader.status(0).finished && reader.status(1).finished
    })
    expect([reader.status(0).position, reader.status(1).position]).toEqual([2, 8])
    const { fetches } = f.cluster
    await f.scheduler.runFor(5000)
    expect(f.cluster.fetches).toBe(fetches)
    await reader.close()
  })
})

describe('trouble that passes', () => {
  it('waits for a broker that is away for a minute, without a throw, a loss or a repeat', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['before'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 1)
    f.cluster.stop(1)
    const { connects } = f.cluster
    for (let second = 0; second < 60; second++) {
      await f.scheduler.runFor(1000)
      expect(pollAll(reader)).toEqual([])
      expect(reader.status(0)).toMatchObject({ reachable: false, position: 1 })
    }
    // Backoff: quick at first, then every one to two seconds.
    expect(f.cluster.connects - connects).toBeGreaterThan(30)
    expect(f.cluster.connects - connects).toBeLessThan(80)
    f.cluster.up.add(1)
    log.append(['after'])
    const cameBackMs = f.clock.monotonicMs()
    expect(values(await take(f, reader, 1))).toEqual(['after'])
    expect(f.clock.monotonicMs() - cameBackMs).toBeLessThan(2500)
    expect(reader.status(0).reachable).toBe(true)
    await reader.close()
  })

  it('starts while no broker is there', async () => {
    const f = fixture()
    f.cluster.stop(1)
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(5000)
    expect(reader.status(0).reachable).toBe(false)
    f.cluster.up.add(1)
    f.cluster.partitions[0]!.append(['a'])
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    await reader.close()
  })

  it('follows a leader to another broker, and reads the other partitions meanwhile', async () => {
    const f = fixture(2, [1, 2])
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    b.leader = 2
    const reader = f.open()
    f.assign(reader, 0)
    f.assign(reader, 1)
    await f.scheduler.runFor(50)
    f.cluster.stop(2)
    b.append(['b'])
    a.append(['a'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    expect([reader.status(0).reachable, reader.status(1).reachable]).toEqual([true, false])
    b.leader = 1
    expect(values(await take(f, reader, 1))).toEqual(['b'])
    a.leader = 2
    f.cluster.up.add(2)
    a.append(['a2'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['a2'])
    await reader.close()
  })

  it('does not count a partition as reachable while its broker owes an answer', async () => {
    const f = fixture()
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    f.cluster.silent.add(1)
    await f.scheduler.runFor(150)
    expect(reader.status(0).reachable).toBe(true)
    await f.scheduler.runFor(2000)
    expect(reader.status(0).reachable).toBe(false)
    await reader.close()
  })

  it('sits out error codes that pass and gives up on others', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a'])
    log.fetchError = 6
    const reader = f.open()
    f.assign(reader, 0)
    for (const code of [6, 5, 9, 56, 74, 78, -1]) {
      log.fetchError = code
      await f.scheduler.runFor(3000)
      expect(pollAll(reader)).toEqual([])
      expect(reader.status(0).reachable).toBe(false)
    }
    log.fetchError = 0
    await take(f, reader, 1)
    log.fetchError = 29
    const failure = await failureOf(f, reader)
    expect(failure).toMatchObject({ code: 'BROKER_ERROR', retry: 'never' })
    expect(failure.message).toContain('TOPIC_AUTHORIZATION_FAILED')
    await reader.close()
  })
})

describe('a topic or position that is gone', () => {
  it('waits for a topic that is not known for a while, then says TOPIC_NOT_FOUND', async () => {
    const f = fixture()
    f.cluster.exists = false
    const reader = f.open({ missingTimeoutMs: 30_000 })
    f.assign(reader, 0)
    await f.scheduler.runFor(20_000)
    expect(pollAll(reader)).toEqual([])
    f.cluster.exists = true
    f.cluster.partitions[0]!.append(['a'])
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    f.cluster.exists = false
    f.cluster.notify()
    const goneMs = f.clock.monotonicMs()
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('TOPIC_NOT_FOUND')
    expect(failure.message).toContain('events-0')
    expect(f.clock.monotonicMs() - goneMs).toBeGreaterThan(30_000)
    await reader.close()
  })

  it.each([10, 6])('counts what retention took before it was read (Metadata %i)', async (metadataVersion) => {
    const f = fixture()
    f.cluster.metadataVersion = metadataVersion
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open()
    f.assign(reader, 0, 1)
    const failure = await failureOf(f, reader)
    expect(failure).toMatchObject({ code: 'POSITION_LOST', domain: 'external', retry: 'never' })
    expect(failure.message).toContain('events-0')
    expect(failure.message).toContain('2 records')
    expect(() => reader.poll()).toThrow(failure)
    await reader.close()
  })

  it('goes on behind them when told so, and counts them', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open({ skipLost: true })
    f.assign(reader, 0, 1)
    expect(values(await take(f, reader, 1))).toEqual(['d'])
    expect(reader.lostRecords).toBe(2)
    expect(reader.status(0).position).toBe(4)
    await reader.close()
  })

  it('hands out what it had fetched before it says that the rest is gone', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.regionBytes = 1
    log.append(['a'])
    log.append(['b'])
    log.append(['c'])
    log.append(['d'])
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    log.deleteBefore(3)
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('a')
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('b')
    expect((await failureOf(f, reader)).message).toContain('1 records')
    await reader.close()
  })

  it('tells a re-created topic by its id', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 2)
    f.cluster.topicId = '00000000-0000-4000-8000-000000000002'
    log.recreate()
    for (let i = 0; i < 5; i++) log.append(['other'])
    // No error in between: the next look at the metadata finds it.
    const failure = await failureOf(f, reader, 15_000)
    expect(failure.code).toBe('TOPIC_RECREATED')
    await reader.close()
    const later = f.open()
    later.assign({ partition: 0, offset: 2, stopOffset: 5, topicId: '00000000-0000-4000-8000-000000000001' })
    expect((await failureOf(f, later)).code).toBe('TOPIC_RECREATED')
    await later.close()
  })

  it('tells it without ids by an end before the position or a fallen leader epoch, also after a restore', async () => {
    const f = fixture()
    f.cluster.metadataVersion = 6
    const log = f.cluster.partitions[0]!
    log.epoch = 4
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 2)
    const state = reader.splitState(0)
    log.recreate()
    log.epoch = 0
    log.append(['x'])
    f.cluster.notify()
    expect((await failureOf(f, reader)).code).toBe('TOPIC_RECREATED')
    await reader.close()
    log.append(['y', 'z'])
    const later = f.open()
    later.assign({ partition: 0, offset: 2, stopOffset: 3, topicId: '', state })
    expect((await failureOf(f, later)).code).toBe('TOPIC_RECREATED')
    await later.close()
  })

  it('calls a log that was cut under the same id a lost position', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0, 5)
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('POSITION_LOST')
    expect(failure.message).toContain('3 records')
    await reader.close()
  })
})

describe('corrupt data', () => {
  it('names topic, partition and offset of a batch with a wrong CRC, after the good ones', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['good'])
    log.append(['bad'])
    const bad = log.batches[1]!.bytes
    bad[bad.length - 2]! ^= 1
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    expect(values(rowsOf(reader.poll()!))).toEqual(['good'])
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('RECORD_BATCH_CORRUPT')
    expect(failure.message).toContain('events-0 at offset 1')
    expect(() => reader.poll()).toThrow(failure)
    await reader.close()
    const trusting = f.open({ checkCrc: false })
    f.assign(trusting, 0)
    expect(await take(f, trusting, 2)).toHaveLength(2)
    await trusting.close()
  })
})

describe('closing', () => {
  it('ends everything, twice too, in any state', async () => {
    const f = fixture()
    const reader = f.open()
    f.assign(reader, 0)
    reader.onReady(() => {
      throw new Error('woken after close')
    })
    await reader.close()
    await reader.close()
    f.cluster.partitions[0]!.append(['a'])
    f.cluster.notify()
    await f.scheduler.runFor(60_000)
    expect(f.scheduler.pending).toBe(0)
  })
})
