/** What a run of the bench is asked for, out of the environment. Pure; run.ts says what each variable means. */
import { benchCases } from './cases/all.ts'
import type { BenchCase } from './cases/case.ts'
import { measures } from './measures/all.ts'
import type { Measure } from './measures/measure.ts'
import { parseDurationMs, rules } from './rules.ts'

/** What to run, and how large. */
export interface BenchRequest {
  readonly cases: readonly BenchCase[]
  readonly measures: readonly Measure[]
  readonly durationSeconds: number
  readonly warmupSeconds: number
  readonly rounds: number
  /** Size of the topic of a case; of the fastest one, which the measures share, without one. */
  readonly eventsOf: (bench?: BenchCase) => number
  /** Size of a topic for what is many times slower than the cases. */
  readonly smallEvents: number
  /** Events per second of the latency measure. */
  readonly rate: number
  readonly millrace: boolean
  readonly flink: boolean
}

const DEFAULT_RATE = 100_000
const SMALL_EVENTS_PER_SECOND = 250_000

/** Reads the request; throws an error that says what is wrong, with the names that there are. */
export function readRequest(env: Readonly<Record<string, string | undefined>>): BenchRequest {
  const durationSeconds = parseDurationMs(env.DURATION || `${rules.minMeasuredSeconds}s`) / 1000
  const warmupSeconds =
    durationSeconds < rules.minMeasuredSeconds
      ? Math.min(rules.warmupSeconds, durationSeconds / 2)
      : rules.warmupSeconds
  const fastest = Math.max(...benchCases.map(({ sizingEventsPerSecond }) => sizingEventsPerSecond))
  const sized = (bench: BenchCase | undefined): number =>
    Math.ceil((bench?.sizingEventsPerSecond ?? fastest) * (warmupSeconds + durationSeconds))
  const events = env.EVENTS ? positive('EVENTS', env.EVENTS, 1) : undefined
  const sides = new Set((env.SIDES || 'millrace,flink').split(',').map((side) => side.trim()))
  const unknown = [...sides].find((side) => side !== 'millrace' && side !== 'flink')
  if (unknown !== undefined) throw new Error(`SIDES: there is no side ${JSON.stringify(unknown)}: millrace, flink`)
  const millrace = sides.has('millrace')
  const chosen = choose(env.CASE)
  return {
    ...chosen,
    // Flink alone has nothing to do with figures of Millrace.
    measures: millrace ? chosen.measures : [],
    durationSeconds,
    warmupSeconds,
    rounds: positive('ROUNDS', env.ROUNDS, 1),
    eventsOf: (bench) => events ?? sized(bench),
    smallEvents: events ?? SMALL_EVENTS_PER_SECOND * (warmupSeconds + durationSeconds),
    rate: positive('RATE', env.RATE, DEFAULT_RATE),
    millrace,
    flink: sides.has('flink') && chosen.cases.length > 0,
  }
}

function choose(names: string | undefined): Pick<BenchRequest, 'cases' | 'measures'> {
  if (!names) return { cases: benchCases, measures }
  const wanted = names.split(',').map((name) => name.trim())
  const all: readonly string[] = [...benchCases, ...measures].map(({ id }) => id)
  const unknown = wanted.find((name) => !all.includes(name))
  if (unknown !== undefined) {
    throw new Error(`no bench case ${JSON.stringify(unknown)}: one of ${all.join(', ')}`)
  }
  return {
    cases: benchCases.filter(({ id }) => wanted.includes(id)),
    measures: measures.filter(({ id }) => wanted.includes(id)),
  }
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (!text) return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name}=${text}: expected a whole number from 1`)
  return value
}
