/** The jobs that `bench/millrace.ts` runs, by name: those of the cases, and variants that only Millrace is compared with. */
import { join } from 'node:path'
import { inspectModule } from '../src/coordinator/module-inspector.ts'
import { systemScheduler } from '../src/core/system.ts'
import type { Descriptors } from '../src/event/descriptor.ts'
import type { Delivery, JobDefinition } from '../src/job/definition.ts'
import { parseJob } from '../src/job/parse.ts'
import { programDefinition } from '../src/program/job-definition.ts'
import type { CaseId } from './cases/case.ts'

/**
 * The jobs: a case's; `screens` counts and sums by screen; `typescript` is `tumbling` as a job in TypeScript; `product` has
 * the metrics of a product, and `product-one` the first of them alone.
 */
export type BenchJobId = CaseId | 'screens' | 'typescript' | 'product' | 'product-one'

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

const screens = 'id: screens, count: {}, window: { tumbling: 1m }, by: [screen]'

/**
 * Ten metrics of a product, of each kind that there is. Of the stream's events 12.5 % are a view that begins the checkout,
 * 2.5 % go into the cart, 1.25 % to the checkout, 0.6 % are a purchase with revenue; 17 % are a step of the funnel.
 */
const product: readonly string[] = [
  screens,
  'id: dau, activeUsers: {}, window: { calendar: day }',
  'id: wau, activeUsers: {}, window: { sliding: 7d, slide: 1d }',
  'id: mau, activeUsers: {}, window: { sliding: 28d, slide: 1d }',
  'id: current, activeUsers: {}, window: { sliding: 5m, slide: 1m }',
  'id: sessions, count: {}, window: { session: 30s }, by: [person]',
  `id: checkout, window: { tumbling: 10m }, by: [platform], funnel: { within: 10m, steps: [
    { where: "name == 'page_view'" },
    { where: "name == 'add_to_cart' && screen.endsWith('0')" },
    { where: "name == 'checkout' && screen.endsWith('0')" },
    { where: "name == 'purchase' && revenue_minor > 0" } ] }`,
  'id: lifecycle, lifecycle: { lookback: 90d }, window: { calendar: day }',
  `id: revenue, sum: { field: revenue_minor }, where: "name == 'purchase'", window: { tumbling: 1m }, by: [platform]`,
  'id: features, count: {}, window: { tumbling: 1m }, by: [name]',
]

/** How many metrics the job `product` has. */
export const productMetrics = product.length

/** Window and dimension that the metrics of a job share, and what each of them computes. */
const metricsOf: Readonly<Record<Exclude<BenchJobId, 'typescript'>, readonly [string, readonly string[]]>> = {
  'product-actives': ['window: { sliding: 5m, slide: 30s }, retain: 1ms', ['id: persons, activeUsers: {}']],
  'product-sessions': ['window: { session: 30s }, by: [person], retain: 1ms', [count, revenue]],
  'product-pages': ['window: { tumbling: 1m }, by: [screen], retain: 1ms', [count]],
  product: ['retain: 1h', product],
  'product-one': ['retain: 1h', [screens]],
  tumbling: ['window: { tumbling: 1m }, by: [person], retain: 1ms', [count, revenue]],
  screens: ['window: { tumbling: 1m }, by: [screen], retain: 1ms', [count, revenue]],
  distinct: ['window: { tumbling: 1m }, by: [screen], retain: 1ms', ['id: persons, activeUsers: {}']],
  sliding: ['window: { sliding: 1m, slide: 5s }, by: [person], retain: 1ms', [count, revenue]],
  session: ['window: { session: 10s }, by: [person], retain: 1ms', [count, revenue]],
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
${metrics.map((metric) => `  - { ${metric}, ${shared} }`).join('\n')}
sinks:
  - { id: out, discard: {} }
${written === undefined ? '' : `  - { id: written, log: { path: ${written.path}, topic: ${written.topic} }, delivery: ${written.delivery} }\n`}`
  return parseJob(text, from).definition
}
