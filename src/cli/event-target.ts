/**
 * Where produced events go: a topic of a cluster or of the embedded log, created if it is not there.
 *
 * The key of a record is the event's person, so that the events of one person stay in order; its timestamp is the event
 * time. A topic that is created here keeps records of any age: replayed events are old.
 */
import type { Clock, Random } from '../core/clock.ts'
import { hashBytes } from '../core/hash.ts'
import { LogWriter } from '../log/log-writer.ts'
import { createTopic, findTopic } from '../log/topic.ts'
import { openKafkaRecordWriter } from '../sink/kafka-sink.ts'
import { openKafkaAdmin } from '../source/kafka/admin.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'

/** Not the seed of key groups: partitions of a topic and shares of state are to have nothing to do with each other. */
const partitionSeed = 1

/** Names a target. */
export type TargetSpec =
  | { readonly kind: 'log'; readonly path: string; readonly topic: string }
  | { readonly kind: 'kafka'; readonly brokers: string; readonly topic: string }

/** Takes events. */
export interface EventTarget {
  /** For people: `topic events of the embedded log in .millrace/log`. */
  readonly name: string
  /** Buffers one record; its bytes are copied. */
  write(key: Uint8Array, value: Uint8Array, timestampMs: number): void
  /** Bytes that are not known to be written. */
  readonly bufferedBytes: number
  /** Resolves when all that was written is there for readers. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Opens a target; `accessOf` says what brokers want of a client. BROKER_UNREACHABLE, BROKER_ERROR, LEASE_HELD while another writes the log's topic. */
export async function openTarget(
  spec: TargetSpec,
  partitions: number,
  ports: { readonly clock: Clock; readonly random: Random },
  accessOf: (brokers: string) => KafkaSecurity,
): Promise<EventTarget> {
  return spec.kind === 'log' ? openLog(spec, partitions, ports) : openKafka(spec, partitions, accessOf(spec.brokers))
}

function openLog(
  { path: root, topic }: Extract<TargetSpec, { kind: 'log' }>,
  partitions: number,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): EventTarget {
  if (findTopic(root, topic) === undefined) createTopic(root, topic, partitions, random)
  const writer = new LogWriter({ root, topic, clock })
  let bufferedBytes = 0
  return {
    name: `topic ${topic} of the embedded log in ${root}`,
    get bufferedBytes() {
      return bufferedBytes
    },
    write: (key, value, timestampMs) => {
      writer.append(hashBytes(key, 0, key.length, partitionSeed) % writer.partitions, key, value, timestampMs)
      bufferedBytes += key.length + value.length
    },
    flush: async () => {
      await writer.flush()
      bufferedBytes = 0
    },
    close: () => writer.close(),
  }
}

async function openKafka(
  { brokers, topic }: Extract<TargetSpec, { kind: 'kafka' }>,
  partitions: number,
  access: KafkaSecurity,
): Promise<EventTarget> {
  const options = { brokers: brokers.split(','), ...access }
  const admin = await openKafkaAdmin(options)
  try {
    if (!(await admin.topicExists(topic))) {
      await admin.createTopic(topic, { partitions, config: { 'retention.ms': '-1' } })
    }
  } finally {
    await admin.close()
  }
  const writer = openKafkaRecordWriter({ ...options, topic })
  return {
    name: `topic ${topic} of ${brokers}`,
    get bufferedBytes() {
      return writer.bufferedBytes
    },
    write: (key, value, timestampMs) => writer.write(key, value, timestampMs),
    flush: () => writer.flush(),
    close: () => writer.close(),
  }
}
