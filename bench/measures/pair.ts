/** Two variants of a job of Millrace, one after the other on the same topic, by the rules of the cases. */
import type { BenchJobId } from '../millrace-jobs.ts'
import type { SideRun } from '../process.ts'
import { startBenchRedis } from '../redis.ts'
import { detailLine } from '../report.ts'
import { type MillraceOptions, runMillrace } from '../rival.ts'
import { type RivalResult, shortcomings } from '../rules.ts'
import type { MeasureContext } from './measure.ts'

/** A variant: a job and what differs. */
export interface Variant {
  readonly label: string
  readonly job: BenchJobId
  readonly options?: Partial<MillraceOptions>
}

/** What came out of two variants, means over the rounds. */
export interface PairReport {
  /** Events per second. */
  readonly rates: readonly [number, number]
  /** CPU of process and Redis, ns an event. */
  readonly cpuNs: readonly [number, number]
  /** Highest resident memory of process and Redis. */
  readonly rssBytes: readonly [number, number]
  /** Whether all runs gave the same rows. */
  readonly equal: boolean
  readonly remarks: readonly string[]
}

/** Runs both variants, alternating, as often as the context's rounds say; `judged` changes a result before it is judged. */
export async function runPair(
  measure: string,
  context: MeasureContext,
  pair: readonly [Variant, Variant],
  judged: (result: RivalResult, variant: Variant) => RivalResult = (result) => result,
): Promise<PairReport> {
  const runs: [SideRun[], SideRun[]] = [[], []]
  for (let round = 0; round < context.rounds; round++) {
    for (const side of [0, 1] as const) runs[side].push(await runVariant(measure, context, pair[side]))
  }
  const results = runs.flat().map(({ result }) => result)
  const remarks = ([0, 1] as const).flatMap((side) =>
    runs[side].flatMap(({ result }) =>
      shortcomings(judged(result, pair[side])).map((text) => `${pair[side].label}: ${text}`),
    ),
  )
  return {
    rates: [mean(runs[0], rateOf), mean(runs[1], rateOf)],
    cpuNs: [mean(runs[0], cpuNsOf), mean(runs[1], cpuNsOf)],
    rssBytes: [mean(runs[0], rssOf), mean(runs[1], rssOf)],
    equal: new Set(results.map(({ records, rows, checksum }) => `${records} ${rows} ${checksum}`)).size === 1,
    remarks: [...new Set(remarks)],
  }
}

/** Runs one variant once. */
export async function runVariant(measure: string, context: MeasureContext, variant: Variant): Promise<SideRun> {
  const topic = await context.topic()
  const redis = await startBenchRedis()
  try {
    const run = await runMillrace(variant.job, {
      brokers: context.brokers,
      topic,
      warmupSeconds: context.warmupSeconds,
      redisUrl: redis.url,
      ...variant.options,
      ...(redis.pid === undefined ? {} : { redisPid: redis.pid }),
    })
    context.detail(detailLine(measure, variant.label, run))
    return run
  } finally {
    await redis.stop()
  }
}

function rateOf({ result }: SideRun): number {
  return result.eventsPerSecond
}

function cpuNsOf({ cpuSeconds, result }: SideRun): number {
  return (cpuSeconds * 1e9) / result.records
}

function rssOf({ rssPeakBytes }: SideRun): number {
  return rssPeakBytes
}

function mean(runs: readonly SideRun[], of: (run: SideRun) => number): number {
  return Math.round(runs.reduce((sum, run) => sum + of(run), 0) / runs.length)
}
