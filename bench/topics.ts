/**
 * Bench topics: the first N events of a stream, written fast to a real broker.
 *
 * Event k goes to partition k modulo the partitions, keyed by its person, in key order per partition; the same seed
 * makes the same topic. Persons are spread over all partitions, so a keyed job has to exchange.
 *
 *   node bench/topics.ts BROKERS TOPIC EVENTS [PARTITIONS]
 */
import { systemClock, systemRandom, systemScheduler } from '../src/core/system.ts'
import { RecordBatchWriter } from '../src/event/record-batch-writer.ts'
import { KafkaEnumerator } from '../src/source/kafka/kafka-enumerator.ts'
import {
  benchStream,
  drawEvent,
  type EventStream,
  encodeEvent,
  encodeKey,
  MAX_EVENT_BYTES,
  newEventDraw,
} from './events.ts'
import { BatchProducer, createTopic, type PartitionBatch } from './producer.ts'

/** Partitions of a bench topic. */
export const BENCH_PARTITIONS = 8

/** Records in one batch: about 280 KB, well under a broker's usual limit of 1 MB. */
const RECORDS_PER_BATCH = 2_000

/** What to write where. */
export interface TopicPlan {
  readonly brokers: string
  readonly topic: string
  readonly events: number
  /** Default `BENCH_PARTITIONS`. */
  readonly partitions?: number
  /** Default `benchStream`. */
  readonly stream?: EventStream
  /** The first event; `events` is the number of the one after the last. Default 0. */
  readonly from?: number
  /** What each event is; default `drawEvent`. */
  readonly draw?: typeof drawEvent
}

/** What was written. */
export interface TopicReport {
  readonly topic: string
  readonly events: number
  readonly partitions: number
  /** Bytes of all Protobuf values. */
  readonly valueBytes: number
  /** Bytes of all record batches. */
  readonly batchBytes: number
  readonly seconds: number
}

/** Creates the topic anew and fills it; resolves when the broker has it all. */
export async function writeTopic(plan: TopicPlan): Promise<TopicReport> {
  await createReadyTopic(plan.brokers, plan.topic, plan.partitions)
  return appendToTopic(plan)
}

/** Creates the topic anew, empty; resolves when all its partitions take records. */
export async function createReadyTopic(brokers: string, topic: string, partitions = BENCH_PARTITIONS): Promise<void> {
  await createTopic(brokers, topic, partitions)
  // A broker hears of a new topic after the controller has made it, and metadata names leaders before they lead.
  const enumerator = new KafkaEnumerator(
    { brokers: brokers.split(','), topic, attempts: 12 },
    { clock: systemClock, scheduler: systemScheduler, random: systemRandom },
  )
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await enumerator.partitions()
        return
      } catch (error) {
        if ((error as { code?: string }).code !== 'TOPIC_NOT_FOUND' || attempt === 50) throw error
        await new Promise((done) => setTimeout(done, 100))
      }
    }
  } finally {
    await enumerator.close()
  }
}

/** Appends events to an existing topic; resolves when the broker has them all. */
export async function appendToTopic(plan: TopicPlan): Promise<TopicReport> {
  const { brokers, topic, events, partitions = BENCH_PARTITIONS, stream = benchStream } = plan
  const { from: first = 0, draw: drawInto = drawEvent } = plan
  const startMs = performance.now()
  const producer = await BatchProducer.open(brokers, topic)
  const writer = new RecordBatchWriter(RECORDS_PER_BATCH * MAX_EVENT_BYTES)
  const scratch = new Uint8Array(MAX_EVENT_BYTES + 32)
  const draw = newEventDraw()
  let valueBytes = 0
  let batchBytes = 0
  const perRound = RECORDS_PER_BATCH * partitions
  for (let from = first; from < events; from += perRound) {
    const to = Math.min(events, from + perRound)
    const batches: PartitionBatch[] = []
    for (let partition = 0; partition < partitions; partition++) {
      for (let k = from + partition; k < to; k += partitions) {
        drawInto(stream, k, draw)
        const valueEnd = encodeEvent(stream, k, draw, scratch, 0)
        const keyEnd = encodeKey(draw, scratch, valueEnd)
        valueBytes += valueEnd
        writer.append(scratch.subarray(valueEnd, keyEnd), scratch.subarray(0, valueEnd), draw.occurredAtMs)
      }
      if (writer.count === 0) continue
      // The writer reuses its buffer for the next batch.
      const batch = writer.finish(0).slice()
      batchBytes += batch.length
      batches.push({ partition, batch })
    }
    await producer.send(batches)
  }
  await producer.close()
  const seconds = (performance.now() - startMs) / 1000
  return { topic, events: events - first, partitions, valueBytes, batchBytes, seconds }
}

if (import.meta.main) {
  const [brokers, topic, events, partitions] = process.argv.slice(2)
  if (brokers === undefined || topic === undefined || events === undefined) {
    console.error('usage: node bench/topics.ts BROKERS TOPIC EVENTS [PARTITIONS]')
    process.exit(2)
  }
  const report = await writeTopic({
    brokers,
    topic,
    events: Number(events),
    ...(partitions === undefined ? {} : { partitions: Number(partitions) }),
  })
  console.log(JSON.stringify(report))
}
