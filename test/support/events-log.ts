/** Topics of the embedded log for whole-job tests: created, filled, and read back as messages. */
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock } from '../../src/core/system.ts'
import { Decompressor } from '../../src/event/compression.ts'
import { RecordBatchCursor } from '../../src/event/record-batch.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { LogWriter, type LogWriterOptions } from '../../src/log/log-writer.ts'
import { PartitionFetcher } from '../../src/log/partition-fetcher.ts'
import { createTopic, describeTopic } from '../../src/log/topic.ts'
import { fillChunk, newRecordChunk } from '../../src/source/record-chunk.ts'
import type { SampleEvent } from './events.ts'

/** Seeds of topic ids: a new topic is never the one that it replaces. */
let topics = Date.now() % 2 ** 31

/** Creates a topic; `writer` options as LogWriter's. */
export function createLogTopic(
  root: string,
  topic: string,
  partitions: number,
  options: Partial<LogWriterOptions> = {},
): LogTopic {
  createTopic(root, topic, partitions, new SeededRandom(++topics))
  return new LogTopic(root, topic, options)
}

/** A topic and its one writer. */
export class LogTopic {
  readonly root: string
  readonly topic: string
  readonly writer: LogWriter

  constructor(root: string, topic: string, options: Partial<LogWriterOptions> = {}) {
    this.root = root
    this.topic = topic
    this.writer = new LogWriter({ root, topic, clock: systemClock, fsync: 'never', ...options })
  }

  /** The source of a job that reads this topic. */
  source(options: Readonly<Record<string, unknown>> = {}): object {
    return { log: { path: this.root, topic: this.topic, ...options } }
  }

  /** Appends events by partition and makes them visible. */
  async append(partitions: readonly (readonly SampleEvent[])[]): Promise<void> {
    partitions.forEach((events, partition) => {
      for (const { value, timeMs } of events) this.writer.append(partition, null, value, timeMs)
    })
    await this.writer.flush()
  }

  async close(): Promise<void> {
    await this.writer.close()
  }
}

/** A record as it lies in a topic. */
export interface LogRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array
}

/** Values of all records of a topic, by partition; partitions without records are left out. */
export async function readLogTopic(root: string, topic: string): Promise<Map<number, Uint8Array[]>> {
  const { partitions } = describeTopic(root, topic)
  const all = new Map<number, Uint8Array[]>()
  for (let partition = 0; partition < partitions; partition++) {
    const records = await readLogPartition(root, topic, partition)
    if (records.length > 0)
      all.set(
        partition,
        records.map(({ value }) => value),
      )
  }
  return all
}

/** All records of one partition that have values, in order. */
export async function readLogPartition(root: string, topic: string, partition: number): Promise<LogRecord[]> {
  const fetcher = new PartitionFetcher(root, topic, partition, 0, 1 << 20)
  const batches = new RecordBatchCursor()
  const chunk = newRecordChunk()
  const records = new RecordCursor(topic)
  const decompressor = new Decompressor()
  const found: LogRecord[] = []
  while (await fetchOne(fetcher)) {
    const region = fetcher.take()
    batches.reset(region.bytes, 0, region.end, topic, partition)
    while (batches.next()) {
      fillChunk(chunk, batches, batches.baseOffset, Number.POSITIVE_INFINITY, decompressor)
      records.reset(chunk)
      while (records.next()) {
        const { bytes, keyStart, keyEnd, valueStart, valueEnd } = records
        if (valueStart < 0) continue
        found.push({
          key: keyStart < 0 ? null : bytes.slice(keyStart, keyEnd),
          value: bytes.slice(valueStart, valueEnd),
        })
      }
    }
  }
  fetcher.close()
  return found
}

function fetchOne(fetcher: PartitionFetcher): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const started = fetcher.fetch((error) => (error === undefined ? resolve(fetcher.ready) : reject(error)))
    if (!started) resolve(fetcher.ready)
  })
}
