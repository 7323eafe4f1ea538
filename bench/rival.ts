/**
 * Runs a job on Millrace: `node bench/millrace.ts JOB --brokers … --topic … --parallelism …`, a process of its
 * own like Flink's, that prints the same JSON lines (`RivalResult` last).
 *
 * The checkpoint store is a Redis of the bench's own; its memory and CPU count as Millrace's.
 */
import { join } from 'node:path'
import type { Delivery } from '../src/job/definition.ts'
import { compiledEnv, compileEngine } from './compiled.ts'
import type { BenchJobId } from './millrace-jobs.ts'
import { runSide, type SideRun } from './process.ts'
import { rules } from './rules.ts'

/** How to run a job on Millrace. What is absent comes from the rules. */
export interface MillraceOptions {
  readonly brokers: string
  readonly topic: string
  readonly redisUrl: string
  /** Process of that Redis, when it is on this machine. */
  readonly redisPid?: number
  readonly parallelism?: number
  readonly warmupSeconds?: number
  /** 0 switches checkpoints off. */
  readonly checkpointMs?: number
  /** True unless given. */
  readonly preAggregation?: boolean
  /** Also writes results to a topic of the embedded log of the run's own, so; to none unless given. */
  readonly delivery?: Delivery
  readonly timeoutMs?: number
}

const main = join(import.meta.dirname, 'millrace.ts')

/** Runs the job to the end of the topic. Rejects when the process fails. */
export function runMillrace(id: BenchJobId, options: MillraceOptions): Promise<SideRun> {
  compileEngine()
  return runSide({
    name: `Millrace (${id})`,
    command: process.execPath,
    args: [
      main,
      id,
      ...['--brokers', options.brokers, '--topic', options.topic, '--redis', options.redisUrl],
      ...['--parallelism', String(options.parallelism ?? rules.parallelism)],
      ...['--warmup-seconds', String(options.warmupSeconds ?? rules.warmupSeconds)],
      ...['--checkpoint-ms', String(options.checkpointMs ?? rules.checkpointMs)],
      ...(options.delivery === undefined ? [] : ['--delivery', options.delivery]),
      ...['--pre-aggregation', options.preAggregation === false ? 'off' : 'on'],
    ],
    env: compiledEnv,
    ...(options.redisPid === undefined ? {} : { helperPids: [options.redisPid] }),
    timeoutMs: options.timeoutMs ?? 15 * 60_000,
  })
}
