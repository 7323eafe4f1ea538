/**
 * `make bench [CASE=tumbling] [DURATION=20s]`: Millrace beside Flink on the same topic, one after the other.
 *
 * Prints for each case
 *   bench CASE millrace=EVENTS_PER_S flink=EVENTS_PER_S ratio=R rss_mb=MILLRACE/FLINK checksum=equal
 * before it one JSON line for each run, after it a remark for each rule that a run fell short of. The exit status is not
 * 0 when a side failed or the checksums differ. What the figures mean: bench/README.md.
 *
 * Environment: CASE one case (default all); DURATION the span that the topic is sized for, after the warm-up (default
 * 20s; below that the warm-up is half of it); ROUNDS runs a side, alternating (default 1); EVENTS the size of the topic
 * (default from DURATION); SIDES=millrace or flink runs only one.
 */
import { cpus } from 'node:os'
import { type Broker, startBroker } from '../test/support/broker.ts'
import { exchange } from '../test/support/infra-process.ts'
import { type RedisServer, startRedis } from '../test/support/redis.ts'
import { benchCases, findCase } from './cases/all.ts'
import type { BenchCase } from './cases/case.ts'
import { buildFlink } from './flink/build.ts'
import { runFlink } from './flink/run.ts'
import type { SideRun } from './process.ts'
import { deleteTopic } from './producer.ts'
import { detailLine, summarise } from './report.ts'
import { hasMillrace, runMillrace } from './rival.ts'
import { parseDurationMs, rules } from './rules.ts'
import { writeTopic } from './topics.ts'

/** What a run of the bench was asked for. */
interface BenchRequest {
  readonly cases: readonly BenchCase[]
  readonly durationSeconds: number
  readonly warmupSeconds: number
  readonly rounds: number
  readonly events: number
  readonly millrace: boolean
  readonly flink: boolean
}

function readRequest(env: NodeJS.ProcessEnv): BenchRequest {
  const cases = env.CASE ? [findCase(env.CASE)] : benchCases
  const durationSeconds = parseDurationMs(env.DURATION || `${rules.minMeasuredSeconds}s`) / 1000
  const warmupSeconds =
    durationSeconds < rules.minMeasuredSeconds
      ? Math.min(rules.warmupSeconds, durationSeconds / 2)
      : rules.warmupSeconds
  const sizing = Math.max(...cases.map(({ sizingEventsPerSecond }) => sizingEventsPerSecond))
  const sides = env.SIDES || 'millrace,flink'
  return {
    cases,
    durationSeconds,
    warmupSeconds,
    rounds: positive('ROUNDS', env.ROUNDS, 1),
    events: positive('EVENTS', env.EVENTS, Math.ceil(sizing * (warmupSeconds + durationSeconds))),
    millrace: sides.includes('millrace') && hasMillrace(),
    flink: sides.includes('flink'),
  }
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (!text) return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name}=${text}: expected a whole number from 1`)
  return value
}

/** Process id of a redis-server on this machine; undefined when it runs elsewhere. */
async function redisPid(redis: RedisServer): Promise<number | undefined> {
  if (redis.kind !== 'server') return undefined
  const info = await exchange(Number(new URL(redis.url).port), 'INFO server\r\n', 1_000)
  const found = /process_id:(\d+)/.exec(info.toString('latin1'))
  return found === null ? undefined : Number(found[1])
}

/** Runs one case on both sides in turn; true when they agree. */
async function runCase(bench: BenchCase, request: BenchRequest, topic: string, broker: Broker): Promise<boolean> {
  const runs: Record<'millrace' | 'flink', SideRun[]> = { millrace: [], flink: [] }
  const common = { brokers: broker.brokers, topic, warmupSeconds: request.warmupSeconds }
  const record = (side: 'millrace' | 'flink', run: SideRun): void => {
    runs[side].push(run)
    console.log(detailLine(bench.id, side, run))
  }
  for (let round = 0; round < request.rounds; round++) {
    if (request.millrace) {
      const redis = await startRedis({ own: true })
      try {
        const pid = await redisPid(redis)
        const run = await runMillrace(bench.id, {
          ...common,
          redisUrl: redis.url,
          ...(pid === undefined ? {} : { redisPid: pid }),
        })
        record('millrace', run)
      } finally {
        await redis.stop()
      }
    }
    if (request.flink) record('flink', await runFlink(bench.id, common))
  }
  const summary = summarise({ caseId: bench.id, ...runs })
  console.log(summary.line)
  for (const remark of summary.remarks) console.log(`bench ${bench.id} remark: ${remark}`)
  return summary.equal
}

async function main(): Promise<number> {
  const request = readRequest(process.env)
  if (request.flink) await buildFlink()
  const broker = await startBroker()
  let ended = false
  const end = async (): Promise<void> => {
    if (ended) return
    ended = true
    await broker.stop()
  }
  const interrupt = (): void => void end().finally(() => process.exit(130))
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  try {
    const topic = `bench-${process.pid}`
    const [cpu] = cpus()
    console.log(`bench machine: ${cpus().length} cores (${cpu?.model.trim()}), Node ${process.versions.node}`)
    console.log(`bench broker: ${broker.description} on the same machine`)
    if (!request.millrace) console.log('bench: without Millrace')
    const written = await writeTopic({ brokers: broker.brokers, topic, events: request.events })
    const meanBytes = (written.valueBytes / written.events).toFixed(1)
    console.log(
      `bench topic: ${written.events} events of ${meanBytes} bytes over ${written.partitions} partitions, ` +
        `written in ${written.seconds.toFixed(1)} s`,
    )
    let equal = true
    try {
      for (const bench of request.cases) equal = (await runCase(bench, request, topic, broker)) && equal
    } finally {
      if (!ended) await deleteTopic(broker.brokers, topic)
    }
    return equal ? 0 : 1
  } finally {
    await end()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
