/**
 * Cold start: from starting the process to the first value that a query gives.
 *
 * `node src/main.ts run JOB` on a topic that has events, with an empty Redis; asked over gRPC from the moment its port
 * is open. Fresh processes, so the file cache is warm and nothing else is.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { EngineProcess } from '../engine-process.ts'
import { deleteTopic } from '../producer.ts'
import { allValues } from '../query.ts'
import { startBenchRedis } from '../redis.ts'
import { writeTopic } from '../topics.ts'
import { type Measure, type MeasureContext, quantile } from './measure.ts'

const STARTS = 5
const EVENTS = 20_000
const DEADLINE_MS = 60_000
const JOB = 'cold-start'

/** Milliseconds from the start of the process to the first queryable value: median and worst of some starts. */
export const coldStart: Measure = {
  id: 'cold-start',
  async run(context) {
    const { brokers } = context
    const topic = `bench-cold-start-${process.pid}`
    await writeTopic({ brokers, topic, events: EVENTS })
    try {
      const serving: number[] = []
      const answered: number[] = []
      for (let start = 0; start < STARTS; start++) {
        const times = await startOnce(context, topic)
        serving.push(times.servingMs)
        answered.push(times.answeredMs)
      }
      const [median, worst] = [quantile(answered, 0.5), Math.max(...answered)].map(Math.round)
      const servingMs = Math.round(quantile(serving, 0.5))
      return { figures: `ms=${median} worst_ms=${worst} serving_ms=${servingMs} starts=${STARTS}`, remarks: [] }
    } finally {
      await deleteTopic(brokers, topic)
    }
  },
}

async function startOnce(
  { brokers }: MeasureContext,
  topic: string,
): Promise<{ readonly servingMs: number; readonly answeredMs: number }> {
  const redis = await startBenchRedis()
  try {
    const startMs = performance.now()
    const engine = await EngineProcess.start({ brokers, redisUrl: redis.url, job: jobText(topic) })
    try {
      const servingMs = performance.now() - startMs
      const query = allValues(JOB, 'events')
      for (;;) {
        // The job is not known, then not deployed, then has read nothing.
        const answer = await engine.client.query.query(query).catch(() => null)
        const nowMs = performance.now()
        if (answer?.values.some(({ value }) => value > 0)) {
          return { servingMs, answeredMs: nowMs - startMs }
        }
        if (nowMs - startMs > DEADLINE_MS) throw new Error(`no value after ${DEADLINE_MS} ms\n${engine.logTail()}`)
        await delay(2)
      }
    } finally {
      await engine.stop()
    }
  } finally {
    await redis.stop()
  }
}

function jobText(topic: string): string {
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${JOB} }
sources: [{ id: events, kafka: { topic: ${topic} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
metrics:
  - { id: events, count: {}, window: { tumbling: 1h }, by: [platform] }
`
}
