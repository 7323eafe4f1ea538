/**
 * Runs Millrace's side of a case: `node bench/millrace.ts CASE --brokers … --topic … --parallelism …`, a process of its
 * own like Flink's, that prints the same JSON lines (`RivalResult` last).
 *
 * The checkpoint store is a Redis of the bench's own; its memory and CPU count as Millrace's.
 */
import { join } from 'node:path'
import type { CaseId } from './cases/case.ts'
import { runSide, type SideRun } from './process.ts'
import { rules } from './rules.ts'

/** How to run a case on Millrace. What is absent comes from the rules. */
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
  readonly timeoutMs?: number
}

const main = join(import.meta.dirname, 'millrace.ts')

/** Runs the case to the end of the topic. Rejects when the process fails. */
export function runMillrace(caseId: CaseId, options: MillraceOptions): Promise<SideRun> {
  return runSide({
    name: `Millrace (${caseId})`,
    command: process.execPath,
    args: [
      main,
      caseId,
      ...['--brokers', options.brokers, '--topic', options.topic, '--redis', options.redisUrl],
      ...['--parallelism', String(options.parallelism ?? rules.parallelism)],
      ...['--warmup-seconds', String(options.warmupSeconds ?? rules.warmupSeconds)],
      ...['--checkpoint-ms', String(options.checkpointMs ?? rules.checkpointMs)],
    ],
    ...(options.redisPid === undefined ? {} : { helperPids: [options.redisPid] }),
    timeoutMs: options.timeoutMs ?? 15 * 60_000,
  })
}
