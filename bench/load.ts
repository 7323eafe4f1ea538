/**
 * An open-loop load: events at a steady rate, each stamped with the moment at which it was due.
 *
 * What is due is sent whatever the broker and the engine do: an event that is held up keeps its time, so that waiting is
 * seen as latency instead of as a lower rate. Event k goes to partition k modulo the partitions.
 *
 *   node bench/load.ts --brokers … --topic … --partitions 8 --rate 100000 --seconds 30
 *
 * Prints a `LoadReport` as a JSON line when it ends.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { RecordBatchWriter } from '../src/event/record-batch-writer.ts'
import { benchStream, drawEvent, encodeEvent, encodeKey, MAX_EVENT_BYTES, newEventDraw } from './events.ts'
import { BatchProducer, type PartitionBatch } from './producer.ts'

/** What was sent. */
export interface LoadReport {
  readonly type: 'load'
  readonly events: number
  readonly seconds: number
  /** Longest that an event left after it was due, because of the producer or the broker, ms. */
  readonly worstDelayMs: number
}

const TICK_MS = 5
/** More than a broker on the same machine ever has open at this rate; at the limit sending waits, which `worstDelayMs` shows. */
const MAX_IN_FLIGHT = 64

const { values } = parseArgs({
  options: {
    brokers: { type: 'string' },
    topic: { type: 'string' },
    partitions: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
  },
})
const { brokers = '', topic = '' } = values
const [partitions, rate, seconds] = [Number(values.partitions), Number(values.rate), Number(values.seconds)]

const producer = await BatchProducer.open(brokers, topic, MAX_IN_FLIGHT)
const perPartition = Math.ceil(rate / partitions)
const writer = new RecordBatchWriter(perPartition * MAX_EVENT_BYTES)
const scratch = new Uint8Array(MAX_EVENT_BYTES + 32)
const draw = newEventDraw()

const startMs = performance.now()
const startWallMs = Date.now()
const total = Math.floor(rate * seconds)
let sent = 0
let worstDelayMs = 0
while (sent < total) {
  const dueNow = Math.min(total, Math.floor(((performance.now() - startMs) * rate) / 1000))
  // A second's worth at most at once: what the writer has room for.
  const until = Math.min(dueNow, sent + rate)
  if (until > sent) {
    const dueMs = (sent * 1000) / rate
    const batches = batchesOf(sent, until)
    sent = until
    await producer.send(batches)
    worstDelayMs = Math.max(worstDelayMs, performance.now() - startMs - dueMs)
  }
  if (until === dueNow) await delay(TICK_MS)
}
await producer.close()
const report: LoadReport = { type: 'load', events: sent, seconds: (performance.now() - startMs) / 1000, worstDelayMs }
console.log(JSON.stringify(report))

function batchesOf(from: number, to: number): PartitionBatch[] {
  const batches: PartitionBatch[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const first = from + ((((partition - from) % partitions) + partitions) % partitions)
    for (let k = first; k < to; k += partitions) {
      drawEvent(benchStream, k, draw)
      draw.occurredAtMs = startWallMs + Math.floor((k * 1000) / rate)
      const valueEnd = encodeEvent(benchStream, k, draw, scratch, 0)
      const keyEnd = encodeKey(draw, scratch, valueEnd)
      writer.append(scratch.subarray(valueEnd, keyEnd), scratch.subarray(0, valueEnd), draw.occurredAtMs)
    }
    if (writer.count > 0) batches.push({ partition, batch: writer.finish(0).slice() })
  }
  return batches
}
