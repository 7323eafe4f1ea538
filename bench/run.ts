/**
 * `make bench [CASE=tumbling] [DURATION=20s]`: Millrace beside Flink on the same topic, one after the other, and what is
 * measured of Millrace alone.
 *
 * Prints for each case
 *   bench CASE millrace=EVENTS_PER_S flink=EVENTS_PER_S ratio=R rss_mb=MILLRACE/FLINK checksum=equal
 * and for each measure `bench MEASURE name=figure …`; before it JSON lines of its runs, after it a remark for each rule
 * that a run fell short of. The exit status is not 0 when something failed or the checksums differ. What the figures
 * mean: bench/README.md.
 *
 * Environment: CASE cases and measures, with commas between (default all); DURATION the span that is measured, after the warm-up (default
 * 20s; below that the warm-up is half of it); ROUNDS runs a side, alternating (default 1); EVENTS the size of the topic
 * (default from DURATION); SIDES=millrace or flink runs only one; RATE the load of the latency measure.
 */
import { cpus } from 'node:os'
import { type Broker, startBroker } from '../test/support/broker.ts'
import type { BenchCase } from './cases/case.ts'
import { buildFlink } from './flink/build.ts'
import { runFlink } from './flink/run.ts'
import type { Measure, MeasureContext } from './measures/measure.ts'
import type { SideRun } from './process.ts'
import { deleteTopic } from './producer.ts'
import { startBenchRedis } from './redis.ts'
import { detailLine, summarise } from './report.ts'
import { type BenchRequest, readRequest } from './request.ts'
import { runMillrace } from './rival.ts'
import { writeTopic } from './topics.ts'

/** The topics that cases read: one of each size, written when it is first needed. */
class SharedTopics {
  readonly #brokers: string
  readonly #written = new Map<number, Promise<string>>()

  constructor(brokers: string) {
    this.#brokers = brokers
  }

  /** The name of the topic of so many events, once it is written. */
  name(events: number): Promise<string> {
    const written = this.#written.get(events) ?? this.#write(events)
    this.#written.set(events, written)
    return written
  }

  async remove(): Promise<void> {
    for (const written of this.#written.values()) {
      const topic = await written.catch(() => undefined)
      if (topic !== undefined) await deleteTopic(this.#brokers, topic)
    }
  }

  async #write(events: number): Promise<string> {
    const topic = `bench-${process.pid}-${events}`
    const written = await writeTopic({ brokers: this.#brokers, topic, events })
    const meanBytes = (written.valueBytes / written.events).toFixed(1)
    console.log(
      `bench topic: ${written.events} events of ${meanBytes} bytes over ${written.partitions} partitions, ` +
        `written in ${written.seconds.toFixed(1)} s`,
    )
    return topic
  }
}

/** Runs one case on both sides in turn; true when they agree. */
async function runCase(bench: BenchCase, request: BenchRequest, topic: string, brokers: string): Promise<boolean> {
  const runs: Record<'millrace' | 'flink', SideRun[]> = { millrace: [], flink: [] }
  const common = { brokers, topic, warmupSeconds: request.warmupSeconds }
  const record = (side: 'millrace' | 'flink', run: SideRun): void => {
    runs[side].push(run)
    console.log(detailLine(bench.id, side, run))
  }
  for (let round = 0; round < request.rounds; round++) {
    if (request.millrace) {
      const redis = await startBenchRedis()
      try {
        const helper = redis.pid === undefined ? {} : { redisPid: redis.pid }
        record('millrace', await runMillrace(bench.id, { ...common, redisUrl: redis.url, ...helper }))
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

async function runMeasure(measure: Measure, context: MeasureContext): Promise<true> {
  const { figures, remarks } = await measure.run(context)
  console.log(`bench ${measure.id} ${figures}`)
  for (const remark of remarks) console.log(`bench ${measure.id} remark: ${remark}`)
  return true
}

/** Runs everything that was asked for; what fails says so and does not keep the rest from running. */
async function runAll(request: BenchRequest, brokers: string, interrupted: () => boolean): Promise<boolean> {
  const topics = new SharedTopics(brokers)
  const context: MeasureContext = {
    ...request,
    events: request.eventsOf(),
    brokers,
    topic: () => topics.name(request.eventsOf()),
    smallTopic: () => topics.name(request.smallEvents),
    detail: (text) => console.log(text),
  }
  const steps = [
    ...request.cases.map((bench) => ({
      id: bench.id,
      run: async () => runCase(bench, request, await topics.name(request.eventsOf(bench)), brokers),
    })),
    ...request.measures.map((measure) => ({ id: measure.id, run: () => runMeasure(measure, context) })),
  ]
  let good = true
  try {
    for (const { id, run } of steps) {
      try {
        good = (await run()) && good
      } catch (error) {
        if (interrupted()) return false
        good = false
        console.log(`bench ${id} FAILED: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  } finally {
    if (!interrupted()) await topics.remove()
  }
  return good
}

async function main(): Promise<number> {
  const request = readRequest(process.env)
  if (request.flink) await buildFlink()
  const broker: Broker = await startBroker()
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
    const [cpu] = cpus()
    console.log(`bench machine: ${cpus().length} cores (${cpu?.model.trim()}), Node ${process.versions.node}`)
    console.log(`bench broker: ${broker.description} on the same machine`)
    if (!request.millrace) console.log('bench: without Millrace')
    return (await runAll(request, broker.brokers, () => ended)) ? 0 : 1
  } finally {
    await end()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
