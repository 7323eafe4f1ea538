/**
 * Latency: from the moment an event happens to the moment a query answers with it, while 100,000 events a second pass.
 *
 * The load is a process of its own (load.ts). Probes are events with a screen that nobody else has, due every 50 ms. Each
 * is timed from when it was due, on its own, whatever became of those before it, so that nothing that is slow hides what
 * waits behind it. A probe is visible when a query with a filter for its screen, asked again and again over gRPC, gives
 * a value; the metric is counted by screen, so it passes both exchanges of the graph.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { EngineProcess } from '../engine-process.ts'
import type { LoadReport } from '../load.ts'
import { BatchProducer, deleteTopic } from '../producer.ts'
import { allValues } from '../query.ts'
import { startBenchRedis } from '../redis.ts'
import { rules } from '../rules.ts'
import { BENCH_PARTITIONS, createReadyTopic } from '../topics.ts'
import { type Measure, quantile } from './measure.ts'

const PROBE_EVERY_MS = 50
/** Pause between two queries for one probe: what the measure may see a probe late by. */
const POLL_MS = 2
const PROBE_DEADLINE_MS = 30_000
/** Fewer probes say little of a 99th percentile. */
const MIN_PROBES = 300
const JOB = 'latency'

/** Event to queryable value at a steady rate, in ms. */
export const latency: Measure = {
  id: 'latency',
  async run({ brokers, warmupSeconds, durationSeconds, rate, detail }) {
    const topic = `bench-latency-${process.pid}`
    await createReadyTopic(brokers, topic)
    const redis = await startBenchRedis()
    try {
      const engine = await EngineProcess.start({ brokers, redisUrl: redis.url })
      try {
        const job = await engine.submit(jobText(topic))
        await engine.untilJob(job, ({ state }) => state === 'RUNNING')
        const load = startLoad(brokers, topic, rate, warmupSeconds + durationSeconds)
        const probing = delay(warmupSeconds * 1000).then(() => probe(engine, brokers, topic, durationSeconds))
        const [report, latencies] = await Promise.all([load, probing])
        detail(JSON.stringify({ bench: 'latency', ...report, probes: latencies.length }))
        const expected = report.events + latencies.length
        const { events } = await engine.untilJob(job, ({ events: { read } }) => read >= expected, 60_000)
        if (events.applied !== expected) throw new Error(`not every event was applied: ${JSON.stringify(events)}`)
        const [p50, p99, worst] = [quantile(latencies, 0.5), quantile(latencies, 0.99), Math.max(...latencies)]
        const figures =
          `rate=${rate} p50_ms=${p50.toFixed(0)} p99_ms=${p99.toFixed(0)} max_ms=${worst.toFixed(0)} ` +
          `probes=${latencies.length}`
        return { figures, remarks: remarksOf(report, rate, latencies.length) }
      } finally {
        await engine.stop()
      }
    } finally {
      await redis.stop()
      await deleteTopic(brokers, topic)
    }
  },
}

function remarksOf(report: LoadReport, rate: number, probes: number): string[] {
  const remarks: string[] = []
  const sentRate = report.events / report.seconds
  if (sentRate < rate * 0.98) remarks.push(`the load came to ${Math.round(sentRate)} of ${rate} events/s`)
  if (report.worstDelayMs > 100) {
    remarks.push(`the load was up to ${Math.round(report.worstDelayMs)} ms behind: the machine is too small or busy`)
  }
  if (probes < MIN_PROBES) remarks.push(`${probes} of at least ${MIN_PROBES} probes`)
  return remarks
}

function startLoad(brokers: string, topic: string, rate: number, seconds: number): Promise<LoadReport> {
  const args = ['--brokers', brokers, '--topic', topic, '--partitions', `${BENCH_PARTITIONS}`, '--rate', `${rate}`]
  const child = spawn(process.execPath, [join(import.meta.dirname, '../load.ts'), ...args, '--seconds', `${seconds}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (status) => {
      if (status === 0) done(JSON.parse(output) as LoadReport)
      else fail(new Error(`the load ended with status ${status}`))
    })
  })
}

/** Sends probes on schedule for a span and gives the latency of each, ms, once all are visible. */
async function probe(engine: EngineProcess, brokers: string, topic: string, seconds: number): Promise<number[]> {
  const producer = await BatchProducer.open(brokers, topic, 1_000)
  try {
    const count = Math.max(1, Math.floor((seconds * 1000) / PROBE_EVERY_MS))
    const startMs = performance.now()
    const startWallMs = Date.now()
    const found: Promise<number>[] = []
    for (let i = 0; i < count; i++) {
      const dueMs = startMs + i * PROBE_EVERY_MS
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await delay(waitMs)
      const screen = `/probe/${i}`
      const batch = probeBatch(screen, i, startWallMs + i * PROBE_EVERY_MS)
      void producer.send([{ partition: i % BENCH_PARTITIONS, batch }]).catch(() => {})
      found.push(untilVisible(engine, screen, dueMs))
    }
    const latencies = await Promise.all(found)
    await producer.flush()
    return latencies
  } finally {
    await producer.close()
  }
}

async function untilVisible(engine: EngineProcess, screen: string, dueMs: number): Promise<number> {
  const query = allValues(JOB, 'by_screen', { screen })
  for (;;) {
    const { values } = await engine.client.query.query(query)
    const latencyMs = performance.now() - dueMs
    if (values.length > 0) return latencyMs
    if (latencyMs > PROBE_DEADLINE_MS) throw new Error(`probe ${screen} was not visible after ${PROBE_DEADLINE_MS} ms`)
    await delay(POLL_MS)
  }
}

function probeBatch(screen: string, i: number, occurredAtMs: number): Uint8Array {
  const event = Event.fromPartial({
    eventId: `probe-${i}`,
    person: `probe-${i}`,
    name: 'page_view',
    occurredAt: new Date(occurredAtMs),
    platform: 'web',
    screen,
  })
  const value = Event.encode(event).finish()
  const writer = new RecordBatchWriter(value.length + 64)
  writer.append(null, value, occurredAtMs)
  return writer.finish(0)
}

function jobText(topic: string): string {
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${JOB} }
sources: [{ id: events, kafka: { topic: ${topic} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
watermark: { outOfOrderness: ${rules.outOfOrdernessMs}ms }
checkpoint: { every: ${rules.checkpointMs}ms }
metrics:
  - { id: by_person, count: {}, window: { tumbling: 1m }, by: [person], retain: 5m }
  - { id: by_screen, count: {}, window: { tumbling: 1m }, by: [screen], retain: 5m }
`
}
