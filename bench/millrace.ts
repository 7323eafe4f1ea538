/**
 * Millrace's side of a case, as a process of its own: `node bench/millrace.ts JOB --brokers … --topic … --redis …`.
 *
 * The real engine without its gRPC and HTTP: coordinator, worker threads over Piscina, checkpoints to Redis, results to
 * the discarding sink. Reads the topic to the end it has, prints progress as JSON lines and a `RivalResult` last.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openCheckpointStore } from '../src/checkpoint/open-store.ts'
import type { StoreConfig } from '../src/checkpoint/store.ts'
import { JobManager } from '../src/coordinator/job-manager.ts'
import { openProgramThreads } from '../src/coordinator/program-threads.ts'
import { ThreadHub } from '../src/coordinator/thread-hub.ts'
import { WorkerPool } from '../src/coordinator/worker-pool.ts'
import { systemClock as clock, systemRandom as random, systemScheduler as scheduler } from '../src/core/system.ts'
import { loadDescriptors } from '../src/event/descriptor.ts'
import { planJob } from '../src/job/planner.ts'
import { planProgram } from '../src/job/program-plan.ts'
import { createTopic } from '../src/log/topic.ts'
import { openEnumerator } from '../src/source/open-enumerator.ts'
import { type BenchJobOptions, benchJob, benchJobId, typescriptModule } from './millrace-jobs.ts'
import type { RivalResult } from './rules.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    brokers: { type: 'string' },
    topic: { type: 'string' },
    redis: { type: 'string' },
    parallelism: { type: 'string', default: '2' },
    'warmup-seconds': { type: 'string', default: '10' },
    'checkpoint-ms': { type: 'string', default: '1000' },
    delivery: { type: 'string' },
    'pre-aggregation': { type: 'string', default: 'on' },
  },
})
const id = benchJobId(positionals[0] ?? '')
const parallelism = Number(values.parallelism)
const warmupMs = Number(values['warmup-seconds']) * 1000

const log = (level: string, message: string, fields: Readonly<Record<string, unknown>>): void => {
  if (level !== 'debug') console.error(level, message, JSON.stringify(fields))
}
const descriptors = loadDescriptors(readFileSync(join(import.meta.dirname, '../src/gen/descriptors.binpb')))
const written = createOutput(values.delivery)
const definition = await benchJob(
  id,
  {
    brokers: values.brokers ?? '',
    topic: values.topic ?? '',
    parallelism,
    checkpointMs: Number(values['checkpoint-ms']),
    preAggregation: values['pre-aggregation'] !== 'off',
    ...(written === undefined ? {} : { written }),
  },
  descriptors,
)

const chunkStore: StoreConfig = { kind: 'redis', url: values.redis ?? '', prefix: `bench-${process.pid}` }
const store = await openCheckpointStore(chunkStore, { clock, random })
const pool = new WorkerPool({ threads: parallelism, clock, scheduler, log })
await pool.start()
const hub = new ThreadHub({ workers: pool, clock, scheduler, log, pollMs: 100 })
const manager = new JobManager({
  ports: {
    clock,
    scheduler,
    random,
    log,
    hub,
    store,
    chunkStore,
    instanceId: 'bench',
    openThreads: (plan) => openProgramThreads(plan, { clock, scheduler, log, heapBytes: 2 ** 31, silenceMs: 10_000 }),
    openEnumerator: async (source) => openEnumerator(source, { clock, scheduler, random }),
  },
  planJob: (job) =>
    job.program === undefined
      ? planJob(job, { threads: parallelism, descriptors })
      : planProgram(job, { threads: parallelism, fileOf: () => typescriptModule }),
})
await manager.recover()
const job = await manager.submit(definition, '')

const result = await measure()
console.log(JSON.stringify(result))
await manager.close()
hub.close()
await pool.close()
await store.close()
if (written !== undefined) rmSync(written.path, { recursive: true, force: true })

/** Watches the job to its end. */
async function measure(): Promise<RivalResult> {
  /** When the first record was read, the first reading after the warm-up, and the first one with all records. */
  let first: Reading | undefined
  let warm: Reading | undefined
  let last: Reading | undefined
  for (;;) {
    const { state, reason } = job.coordinator.status
    if (state === 'FAILED') throw new Error(reason)
    const stats = manager.statsOf(job).map((reading) => reading.stats)
    const now: Reading = {
      atMs: clock.monotonicMs(),
      read: sum(stats, (s) => s.read),
      checkpoints: job.coordinator.history.completed,
    }
    if (now.read > 0) first ??= now
    if (first !== undefined && now.atMs - first.atMs >= warmupMs) warm ??= now
    if (last === undefined || now.read > last.read) last = now
    if (state === 'FINISHED' && stats.length > 0 && stats.every((s) => s.finished)) {
      const warmedUp = warm !== undefined && last.read > warm.read
      const from = warmedUp ? warm! : { ...first!, read: 0 }
      const measuredSeconds = (last.atMs - from.atMs) / 1000
      return {
        type: 'result',
        case: id,
        parallelism,
        complete: true,
        records: last.read,
        eventsPerSecond: Math.round((last.read - from.read) / measuredSeconds),
        measuredSeconds,
        warmedUp,
        checkpoints: now.checkpoints,
        measuredCheckpoints: last.checkpoints - from.checkpoints,
        rows: sum(stats, (s) => s.results),
        checksum: stats.reduce((total, s) => (total + s.checksum) >>> 0, 0),
        late: sum(stats, (s) => s.late),
        rssPeakBytes: process.resourceUsage().maxRSS * 1024,
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** A topic of the embedded log in a folder of its own; undefined for no delivery. */
function createOutput(delivery: string | undefined): BenchJobOptions['written'] {
  if (delivery === undefined) return undefined
  if (delivery !== 'exactly-once' && delivery !== 'at-least-once') throw new Error(`no delivery ${delivery}`)
  const [path, topic] = [mkdtempSync(join(tmpdir(), 'millrace-bench-')), 'out']
  // A partition for each writer; an outbox needs one.
  createTopic(path, topic, parallelism, random)
  return { path, topic, delivery }
}

interface Reading {
  readonly atMs: number
  readonly read: number
  readonly checkpoints: number
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
