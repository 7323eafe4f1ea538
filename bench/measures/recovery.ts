/**
 * Recovery: from starting a process anew, after `kill -9`, to an answer that holds everything from before, against the size
 * of the state.
 *
 * A job has a row for each person and has made a checkpoint. Its process is killed and started again with the same name
 * over the same Redis: so the lease is taken over at once, and that is part of the time. The stages are those that the job
 * tells of itself, as seen by asking every few milliseconds.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { EngineProcess } from '../engine-process.ts'
import { drawEvent, type EventDraw, type EventStream } from '../events.ts'
import { deleteTopic } from '../producer.ts'
import { allValues } from '../query.ts'
import { startBenchRedis } from '../redis.ts'
import { writeTopic } from '../topics.ts'
import type { Measure, MeasureContext } from './measure.ts'

/** Keys of the runs; the last one is the figure. */
const KEYS = [100_000, 300_000, 1_000_000]
const DEADLINE_MS = 120_000
const JOB = 'recovery'

/** What a job says that it is doing while it starts, in order, and the name of that stage. */
const stages = [
  [/^acquiring the lease/, 'lease'],
  [/^reading the latest checkpoint/, 'manifest'],
  [/^asking for the partitions/, 'partitions'],
  [/^waiting for worker threads/, 'threads'],
  [/^deploying/, 'restore'],
] as const

/** Milliseconds from the start of the process to the first whole answer, with where they went. */
export const recovery: Measure = {
  id: 'recovery',
  async run(context) {
    let last = { ms: 0, stateMb: 0, parts: '' }
    for (const keys of KEYS) {
      last = await recoverOnce(context, keys)
      context.detail(`recovery keys=${keys} ms=${last.ms} state_mb=${last.stateMb} ${last.parts}`)
    }
    return { figures: `keys=${KEYS.at(-1)} ms=${last.ms} state_mb=${last.stateMb} ${last.parts}`, remarks: [] }
  },
}

async function recoverOnce(
  { brokers }: MeasureContext,
  keys: number,
): Promise<{ readonly ms: number; readonly stateMb: number; readonly parts: string }> {
  const topic = `bench-recovery-${process.pid}-${keys}`
  const draw = (stream: EventStream, k: number, into: EventDraw): void => {
    drawEvent(stream, k, into)
    into.person = k % keys
  }
  await writeTopic({ brokers, topic, events: keys, draw })
  const redis = await startBenchRedis()
  try {
    const first = await EngineProcess.start({ brokers, redisUrl: redis.url })
    const job = await first.submit(jobText(topic))
    await first.untilJob(job, ({ events: { applied } }) => applied === keys)
    await first.client.control.triggerCheckpoint(job)
    const [checkpoint] = await first.client.control.listCheckpoints(job)
    await first.kill()
    const startMs = performance.now()
    const second = await EngineProcess.start({ brokers, redisUrl: redis.url })
    try {
      const parts = await watchStages(second, startMs)
      const { values } = await second.client.query.query(allValues(job, 'persons'))
      const ms = performance.now() - startMs
      const persons = values.reduce((sum, { value }) => sum + value, 0)
      if (persons !== keys) throw new Error(`${persons} persons came back of ${keys}`)
      const stateMb = Math.round((checkpoint?.sizeBytes ?? 0) / 2 ** 20)
      return { ms: Math.round(ms), stateMb, parts }
    } finally {
      await second.stop()
    }
  } finally {
    await redis.stop()
    await deleteTopic(brokers, topic)
  }
}

/** The milliseconds of each stage, until the job runs. */
async function watchStages(engine: EngineProcess, startMs: number): Promise<string> {
  const began = new Map<string, number>()
  const servingMs = performance.now()
  let runningMs = 0
  while (runningMs === 0) {
    const job = (await engine.client.control.list().catch(() => [])).find(({ name }) => name === JOB)
    const nowMs = performance.now()
    const stage = stages.find(([pattern]) => job?.state === 'STARTING' && pattern.test(job.reason))?.[1]
    if (stage !== undefined && !began.has(stage)) began.set(stage, nowMs)
    if (job?.state === 'RUNNING') runningMs = nowMs
    if (nowMs - startMs > DEADLINE_MS) throw new Error(`the job does not run again\n${engine.logTail()}`)
    await delay(2)
  }
  const marks = [...began].concat([['running', runningMs]])
  const parts = marks.slice(0, -1).map(([stage, atMs], i) => `${stage}_ms=${Math.round(marks[i + 1]![1] - atMs)}`)
  const recoveredMs = Math.round((marks[0]?.[1] ?? runningMs) - servingMs)
  return [`process_ms=${Math.round(servingMs - startMs)}`, `jobs_ms=${recoveredMs}`, ...parts].join(' ')
}

function jobText(topic: string): string {
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${JOB} }
sources: [{ id: events, kafka: { topic: ${topic} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
checkpoint: { every: 1s }
metrics:
  - { id: events_by_person, count: {}, window: { tumbling: 1d }, by: [person] }
  - { id: persons, activeUsers: {}, window: { tumbling: 1d } }
`
}
