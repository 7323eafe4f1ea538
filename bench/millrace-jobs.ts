/** The jobs that `bench/millrace.ts` runs, by name: those of the cases, and variants that only Millrace is compared with. */
import { join } from 'node:path'
import { inspectModule } from '../src/coordinator/module-inspector.ts'
import { systemScheduler } from '../src/core/system.ts'
import type { Descriptors } from '../src/event/descriptor.ts'
import type { Delivery, JobDefinition } from '../src/job/definition.ts'
import { parseJob } from '../src/job/parse.ts'
import { programDefinition } from '../src/program/job-definition.ts'
import type { CaseId } from './cases/case.ts'

/** The jobs: a case's; `screens` counts and sums by screen; `typescript` is `tumbling` as a job in TypeScript. */
export type BenchJobId = CaseId | 'screens' | 'typescript'

/** How to run a job. */
export interface BenchJobOptions {
  readonly brokers: string
  readonly topic: string
  readonly parallelism: number
  /** 0 switches checkpoints off. */
  readonly checkpointMs: number
  readonly preAggregation: boolean
  /** Where results are written beside being discarded. */
  readonly written?: { readonly path: string; readonly topic: string; readonly delivery: Delivery }
}

const count = 'id: events, count: {}'
const revenue = 'id: revenue, sum: { field: revenue_minor }'

/** Window and dimension that the metrics of a job share, and what each of them computes. */
const metricsOf: Readonly<Record<Exclude<BenchJobId, 'typescript'>, readonly [string, readonly string[]]>> = {
  tumbling: ['window: { tumbling: 1m }, by: [person]', [count, revenue]],
  screens: ['window: { tumbling: 1m }, by: [screen]', [count, revenue]],
  distinct: ['window: { tumbling: 1m }, by: [screen]', ['id: persons, activeUsers: {}']],
  sliding: ['window: { sliding: 1m, slide: 5s }, by: [person]', [count, revenue]],
  session: ['window: { session: 10s }, by: [person]', [count, revenue]],
}

/** The module of the job `typescript`. */
export const typescriptModule = join(import.meta.dirname, 'typescript-tumbling.ts')

/** Throws an error that lists the names. */
export function benchJobId(name: string): BenchJobId {
  const names = [...Object.keys(metricsOf), 'typescript']
  if (!names.includes(name)) throw new Error(`no bench job ${JSON.stringify(name)}: one of ${names.join(', ')}`)
  return name as BenchJobId
}

/** The definition of a job. The module of `typescript` reads its options from the environment, which is set here. */
export async function benchJob(id: BenchJobId, options: BenchJobOptions, from: Descriptors): Promise<JobDefinition> {
  const { brokers, topic, parallelism, checkpointMs, preAggregation, written } = options
  if (id === 'typescript') {
    Object.assign(process.env, {
      BENCH_BROKERS: brokers,
      BENCH_TOPIC: topic,
      BENCH_PARALLELISM: String(parallelism),
      BENCH_CHECKPOINT: `${checkpointMs}ms`,
    })
    return programDefinition('typescript-tumbling.ts', await inspectModule(typescriptModule, systemScheduler))
  }
  const [shared, metrics] = metricsOf[id]
  const text = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: bench-${id} }
sources: [{ id: events, kafka: { topic: ${topic}, brokers: "${brokers}", bounded: true } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
watermark: { outOfOrderness: 5s }
checkpoint: { every: ${checkpointMs}ms, retain: 1 }
parallelism: ${parallelism}
preAggregation: ${preAggregation}
metrics:
${metrics.map((metric) => `  - { ${metric}, ${shared}, retain: 1ms }`).join('\n')}
sinks:
  - { id: out, discard: {} }
${written === undefined ? '' : `  - { id: written, log: { path: ${written.path}, topic: ${written.topic} }, delivery: ${written.delivery} }\n`}`
  return parseJob(text, from).definition
}
