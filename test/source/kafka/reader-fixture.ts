/** Kafka readers over brokers in memory, in virtual time. */
import { expect } from 'vitest'
import { SeededRandom } from '../../../src/core/clock.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import { KafkaReader, type KafkaReaderOptions } from '../../../src/source/kafka/kafka-reader.ts'
import { ManualClock, ManualScheduler } from '../../../src/testing/manual-clock.ts'
import { FakeCluster } from './fake-broker.ts'
import { pollAll, type Row } from './support.ts'

/** A cluster in memory and readers of it. */
export interface Fixture {
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly cluster: FakeCluster
  readonly open: (options?: Partial<KafkaReaderOptions>) => KafkaReader
  readonly assign: (reader: KafkaReader, partition: number, offset?: number, stopOffset?: number) => void
}

/** A cluster of `brokers` with one topic, in virtual time. */
export function fixture(partitions = 1, brokers: readonly number[] = [1]): Fixture {
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
export async function take(f: Fixture, reader: KafkaReader, count: number): Promise<Row[]> {
  const rows: Row[] = []
  await f.scheduler.runUntil(() => {
    rows.push(...pollAll(reader))
    return rows.length >= count
  }, `${count} rows`)
  return rows
}

/** Runs until `poll` throws, and returns what it threw. */
export async function failureOf(f: Fixture, reader: KafkaReader, virtualMs = 300_000): Promise<MillraceError> {
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

/** The values of rows. */
export const values = (rows: readonly Row[]): (string | null)[] => rows.map((row) => row.value)
