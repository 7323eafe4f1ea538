/**
 * Runs a case on Flink: one JVM with a local mini-cluster, to the end of a topic.
 *
 * Used by the bench (rows discarded, counted and summed) and by the differential test (rows kept).
 *
 *   node bench/flink/run.ts CASE BROKERS TOPIC [datastream|sql] [HEAP_MB]
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { benchCases, findCase } from '../cases/all.ts'
import type { CaseId } from '../cases/case.ts'
import { runSide, type SideRun } from '../process.ts'
import { type RivalResult, rules } from '../rules.ts'
import { buildFlink } from './build.ts'

/** Jobs of the rival: those of the cases, and others that only the differential test compares. */
export type FlinkJobId = CaseId | 'cumulate' | 'counted'

/** How to run a case on Flink. What is absent comes from the rules and from the case. */
export interface FlinkOptions {
  readonly brokers: string
  readonly topic: string
  readonly api?: 'datastream' | 'sql' | 'idiomatic'
  readonly parallelism?: number
  readonly heapMb?: number
  readonly warmupSeconds?: number
  /** Cancels the job after this long; the result is then not complete. Default: runs to the end of the topic. */
  readonly maxSeconds?: number
  /** 0 switches checkpoints off. */
  readonly checkpointMs?: number
  /** Keep the result rows' canonical texts. Only for small topics. */
  readonly keepRows?: boolean
  /** How the job differs from the rival's, as `per-event` for a watermark after each event. */
  readonly variant?: string
  /** More JVM flags, for tuning. */
  readonly jvmFlags?: readonly string[]
  /** More `--name value` arguments of the rival's main, for tuning. */
  readonly arguments?: readonly string[]
  readonly timeoutMs?: number
}

/** What Flink did. */
export interface FlinkResult extends SideRun {
  readonly result: RivalResult
  /** Sorted canonical texts of the rows; empty unless they were kept. */
  readonly rows: readonly string[]
}

const MODULE_FLAGS = ['java.util', 'java.lang', 'java.time', 'java.nio'].map(
  (name) => `--add-opens=java.base/${name}=ALL-UNNAMED`,
)

/** Builds the rival when needed, runs the case and gives its result. Rejects when Flink fails. */
export async function runFlink(caseId: FlinkJobId, options: FlinkOptions): Promise<FlinkResult> {
  const setup = benchCases.find(({ id }) => id === caseId)?.flink ?? { api: 'datastream', heapMb: 512 }
  const classPath = await buildFlink()
  const parent = resolve(import.meta.dirname, '../../.cache/run')
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'flink-'))
  const rowsDirectory = join(directory, 'rows')
  try {
    const run = await runSide({
      name: `Flink (${caseId})`,
      command: 'java',
      args: [
        `-Xmx${options.heapMb ?? setup.heapMb}m`,
        // Measured the faster collector for these jobs; Flink sets none.
        '-XX:+UseParallelGC',
        ...MODULE_FLAGS,
        ...(options.jvmFlags ?? []),
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
        '-cp',
        classPath,
        'dev.millrace.bench.Main',
        ...flags({
          job: caseId,
          api: options.api ?? setup.api,
          brokers: options.brokers,
          topic: options.topic,
          parallelism: options.parallelism ?? rules.parallelism,
          'warmup-seconds': options.warmupSeconds ?? rules.warmupSeconds,
          'max-seconds': options.maxSeconds ?? 0,
          'checkpoint-ms': options.checkpointMs ?? rules.checkpointMs,
          checkpoints: join(directory, 'checkpoints'),
          ...(options.variant === undefined ? {} : { variant: options.variant }),
          ...(options.keepRows ? { rows: rowsDirectory } : {}),
        }),
        ...(options.arguments ?? []),
      ],
      timeoutMs: options.timeoutMs ?? 15 * 60_000,
    })
    return { ...run, rows: options.keepRows ? readRows(rowsDirectory) : [] }
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

function flags(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])
}

function readRows(directory: string): string[] {
  const rows: string[] = []
  for (const file of readdirSync(directory)) {
    for (const line of readFileSync(join(directory, file), 'utf8').split('\n')) if (line !== '') rows.push(line)
  }
  return rows.sort()
}

if (import.meta.main) {
  const [caseId, brokers, topic, api, heapMb] = process.argv.slice(2)
  if (caseId === undefined || brokers === undefined || topic === undefined) {
    console.error('usage: node bench/flink/run.ts CASE BROKERS TOPIC [datastream|sql] [HEAP_MB]')
    process.exit(2)
  }
  const run = await runFlink(findCase(caseId).id, {
    brokers,
    topic,
    ...(api === 'sql' || api === 'datastream' || api === 'idiomatic' ? { api } : {}),
    ...(heapMb === undefined ? {} : { heapMb: Number(heapMb) }),
  })
  console.log(JSON.stringify({ ...run, rows: undefined }))
}
