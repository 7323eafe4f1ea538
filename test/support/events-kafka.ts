/** Topics of a broker for whole-job tests: created, filled, and read back as messages. */
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { KafkaEnumerator } from '../../src/source/kafka/kafka-enumerator.ts'
import { KafkaReader } from '../../src/source/kafka/kafka-reader.ts'
import type { SampleEvent } from './events.ts'
import type { KafkaAccess } from './kafka-modes.ts'

const ports = { clock: systemClock, scheduler: systemScheduler, random: systemRandom }

/** Creates a topic that keeps records of any age. */
export async function createKafkaTopic(access: KafkaAccess, partitions: number): Promise<KafkaTopic> {
  return new KafkaTopic(access, await access.createTopic(partitions))
}

/** A topic of a broker. */
export class KafkaTopic {
  readonly access: KafkaAccess
  readonly topic: string

  constructor(access: KafkaAccess, topic: string) {
    this.access = access
    this.topic = topic
  }

  /** The source of a job that reads this topic; the server or `options` say from which brokers. */
  source(options: Readonly<Record<string, unknown>> = {}): object {
    return { kafka: { topic: this.topic, ...options } }
  }

  /** Appends events by partition; resolves when the broker has them. */
  async append(partitions: readonly (readonly SampleEvent[])[]): Promise<void> {
    const records = partitions.flatMap((events, partition) =>
      events.map(({ value, timeMs }) => ({ key: null, value, timestampMs: timeMs, partition })),
    )
    if (records.length > 0) await this.access.producer.send(this.topic, records)
  }
}

/** Values of all records that a topic has now, by partition; partitions without records are left out. */
export async function readKafkaTopic(brokers: readonly string[], topic: string): Promise<Map<number, Uint8Array[]>> {
  const enumerator = new KafkaEnumerator({ brokers, topic }, ports)
  const reader = new KafkaReader({ brokers, topic }, ports)
  const all = new Map<number, Uint8Array[]>()
  try {
    const open = (await enumerator.partitions()).filter(({ earliest, end }) => end > earliest)
    for (const { partition, topicId, earliest, end } of open) {
      all.set(partition, [])
      reader.assign({ partition, topicId, offset: earliest, stopOffset: end })
    }
    const records = new RecordCursor(topic)
    while (open.some(({ partition }) => !reader.status(partition).finished)) {
      const chunk = reader.poll()
      if (chunk === undefined) {
        await new Promise<void>((resolve) => reader.onReady(resolve))
        continue
      }
      records.reset(chunk)
      while (records.next()) {
        if (records.valueStart < 0) continue
        all.get(chunk.partition)!.push(records.bytes.slice(records.valueStart, records.valueEnd))
      }
    }
    return all
  } finally {
    await reader.close()
    await enumerator.close()
  }
}
