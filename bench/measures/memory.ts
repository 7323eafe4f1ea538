/**
 * Memory: what the engine and its Redis hold with 100,000 persons in five metrics.
 *
 * A job reads a topic in which every person occurs, as fast as it can, with checkpoints each second. The peak is of the
 * whole run, sampled from outside; `settled` is what is left once the job waits for more.
 */

import { EngineProcess } from '../engine-process.ts'
import { drawEvent, type EventDraw, type EventStream } from '../events.ts'
import { rssBytes } from '../process.ts'
import { deleteTopic } from '../producer.ts'
import { allValues } from '../query.ts'
import { startBenchRedis } from '../redis.ts'
import { writeTopic } from '../topics.ts'
import type { Measure } from './measure.ts'

const PERSONS = 100_000
/** 1,000 s of event time, all in one hour: every person has a row in each window. */
const EVENTS_MAX = 10_000_000
const SAMPLE_MS = 100
const JOB = 'memory'

/** Resident memory of engine and Redis together. */
export const memory: Measure = {
  id: 'memory',
  async run({ brokers, events: wanted }) {
    const topic = `bench-memory-${process.pid}`
    const events = Math.max(PERSONS, Math.min(wanted, EVENTS_MAX))
    await writeTopic({ brokers, topic, events, draw: drawEveryPerson })
    const redis = await startBenchRedis()
    try {
      const engine = await EngineProcess.start({ brokers, redisUrl: redis.url })
      const rss = new RssWatch(engine.pid, redis.pid)
      try {
        const job = await engine.submit(jobText(topic))
        await engine.untilJob(job, ({ events: { read, applied } }) => read === events && applied === events)
        const first = (await engine.client.control.listCheckpoints(job))[0]?.id ?? 0
        while (((await engine.client.control.listCheckpoints(job))[0]?.id ?? 0) < first + 3) {
          await engine.client.control.triggerCheckpoint(job)
        }
        const { values } = await engine.client.query.query(allValues(job, 'persons'))
        const persons = values.reduce((sum, { value }) => sum + value, 0)
        if (persons !== PERSONS) throw new Error(`the job knows ${persons} persons of ${PERSONS}`)
        const { peak, engineMb, redisMb, settled } = rss.end()
        const figures =
          `rss_mb=${peak} (engine+redis) engine_mb=${engineMb} redis_mb=${redisMb} settled_mb=${settled} ` +
          `persons=${PERSONS} metrics=5`
        const remarks = redis.pid === undefined ? ['Redis runs elsewhere: its memory is not seen'] : []
        if (events < EVENTS_MAX) remarks.push(`${events} events of ${EVENTS_MAX}: a short run may not reach its peak`)
        return { figures, remarks }
      } finally {
        rss.end()
        await engine.stop()
      }
    } finally {
      await redis.stop()
      await deleteTopic(brokers, topic)
    }
  },
}

/** Samples memory, from outside, until it is ended. */
class RssWatch {
  readonly #enginePid: number
  readonly #redisPid: number | undefined
  readonly #timer: NodeJS.Timeout
  #peak = { total: 0, engine: 0, redis: 0 }

  constructor(enginePid: number, redisPid: number | undefined) {
    this.#enginePid = enginePid
    this.#redisPid = redisPid
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS)
  }

  end(): { readonly peak: number; readonly engineMb: number; readonly redisMb: number; readonly settled: number } {
    clearInterval(this.#timer)
    const settled = this.#look()
    const { total, engine, redis } = this.#peak
    return { peak: toMb(total), engineMb: toMb(engine), redisMb: toMb(redis), settled: toMb(settled) }
  }

  #look(): number {
    const engine = rssBytes(this.#enginePid)
    const redis = this.#redisPid === undefined ? 0 : rssBytes(this.#redisPid)
    const total = engine + redis
    if (total > this.#peak.total) this.#peak = { total, engine, redis }
    return total
  }
}

function drawEveryPerson(stream: EventStream, k: number, draw: EventDraw): void {
  drawEvent(stream, k, draw)
  draw.person = k % PERSONS
  draw.platform = draw.person % 3
}

function toMb(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function jobText(topic: string): string {
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${JOB} }
sources: [{ id: events, kafka: { topic: ${topic} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
watermark: { outOfOrderness: 5s }
checkpoint: { every: 1s }
metrics:
  - { id: events_by_person, count: {}, window: { tumbling: 1h }, by: [person] }
  - { id: revenue_by_person, sum: { field: revenue_minor }, window: { tumbling: 1h }, by: [person] }
  - { id: persons, activeUsers: {}, window: { tumbling: 1d } }
  - { id: persons_by_platform, activeUsers: {}, window: { tumbling: 1d }, by: [platform] }
  - { id: views_by_screen, count: {}, where: name == 'page_view', window: { tumbling: 1m }, by: [screen] }
`
}
