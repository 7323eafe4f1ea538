/**
 * Millrace's side of the differential test: the cases as jobs of a whole engine, their rows read over gRPC.
 *
 * Owns: the jobs and turning values into canonical rows. Does not own: topics, other engines, what is expected.
 */
import type { FlinkJobId } from '../../bench/flink/run.ts'
import { rowText, rules } from '../../bench/rules.ts'
import { MetricValue as MetricRecord } from '../../src/gen/millrace/v1/metric.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { openEngine, submitJob, type TestEngine, untilRead, untilState, untilWatermark } from './engine.ts'
import { valuesOf } from './engine-numbers.ts'
import { readLogTopic } from './events-log.ts'
import { CUMULATE_STEP_MS, type DifferentialTopic, EVENTS_A_RESULT, type LateOutcome, type RowSource } from './flink.ts'
import { lateTopic, writeSecondPart } from './late-topic.ts'

/** The windows of a case. */
const windowOf: Readonly<Record<FlinkJobId, string>> = {
  tumbling: '{ tumbling: 1m }',
  distinct: '{ tumbling: 1m }',
  session: '{ session: 10s }',
  sliding: '{ sliding: 1m, slide: 5s }',
  cumulate: `{ cumulate: 1m, step: ${CUMULATE_STEP_MS}ms }`,
  counted: '{ global: {} }',
  'product-actives': '{ sliding: 5m, slide: 30s }',
  'product-sessions': '{ session: 30s }',
  'product-pages': '{ tumbling: 1m }',
}

const byPerson = [
  ['events', 'count: {}, by: [person]'],
  ['revenue', 'sum: { field: revenue_minor }, by: [person]'],
] as const
const counted = `trigger: { count: ${EVENTS_A_RESULT}, purge: true }`

/** The metrics of a case; their values in this order are the values of a row. */
const metricsOf: Readonly<Record<FlinkJobId, readonly (readonly [id: string, definition: string])[]>> = {
  tumbling: byPerson,
  sliding: byPerson,
  session: byPerson,
  cumulate: byPerson,
  counted: byPerson.map(([id, text]) => [id, `${text}, ${counted}`]),
  distinct: [['persons', 'activeUsers: {}, by: [screen]']],
  'product-actives': [['persons', 'activeUsers: {}']],
  'product-sessions': byPerson,
  'product-pages': [['events', 'count: {}, by: [screen]']],
}

/** What the engine and its jobs run with. */
export interface MillraceSetup {
  /** Checkpoints go there. */
  readonly redisUrl: string
  /** First part of the keys in it. */
  readonly redisPrefix: string
  /** Default that of the benches. */
  readonly parallelism?: number
}

/** Millrace reading a topic to the end it has. */
export function millraceSide(setup: MillraceSetup): RowSource {
  return (caseId, from) =>
    withJob(setup, caseId, from, true, async ({ client, logRoot }, job) => {
      const { events } = await untilState(client, job, 'FINISHED')
      if (events.read !== events.applied) throw new Error(`not every event was applied: ${JSON.stringify(events)}`)
      return caseId === 'counted' ? countedRowsOf(logRoot) : rowsOf(client, job, caseId)
    })
}

/**
 * Millrace reading a topic that has its first part (late-topic.ts): writes the second one once the watermark of the
 * first is made.
 */
export function millraceWithLateEvents(
  setup: MillraceSetup,
): (caseId: FlinkJobId, from: DifferentialTopic) => Promise<LateOutcome> {
  return (caseId, from) =>
    withJob(setup, caseId, from, false, async ({ client }, job) => {
      await untilWatermark(client, job, lateTopic.firstWatermarkMs)
      await writeSecondPart(from)
      const { events } = await untilRead(client, job, lateTopic.events)
      return { rows: await rowsOf(client, job, caseId), dropped: events.late }
    })
}

async function withJob<T>(
  setup: MillraceSetup,
  caseId: FlinkJobId,
  from: DifferentialTopic,
  bounded: boolean,
  task: (engine: TestEngine, job: string) => Promise<T>,
): Promise<T> {
  const engine = await openEngine({ ...setup, threads: rules.parallelism })
  try {
    const job = await submitJob(engine.client, jobText(setup, caseId, from, bounded, engine.logRoot))
    return await task(engine, job)
  } finally {
    await engine.close()
  }
}

function jobText(
  setup: MillraceSetup,
  caseId: FlinkJobId,
  from: DifferentialTopic,
  bounded: boolean,
  logRoot: string,
): string {
  const metrics = metricsOf[caseId].map(([id, text]) => `  - { id: ${id}, window: ${windowOf[caseId]}, ${text} }`)
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: differential-${caseId} }
sources: [{ id: events, kafka: { topic: ${from.topic}, brokers: "${from.brokers}", bounded: ${bounded} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
watermark: { outOfOrderness: ${rules.outOfOrdernessMs}ms }
checkpoint: { every: ${rules.checkpointMs}ms }
parallelism: ${setup.parallelism ?? rules.parallelism}
metrics:
${metrics.join('\n')}
${caseId === 'counted' ? `sinks: [{ id: out, log: { path: ${logRoot}, topic: counted } }]` : ''}
`
}

/** Results by count are not kept for queries: those that the sink got. */
async function countedRowsOf(logRoot: string): Promise<readonly string[]> {
  const results = new Map<string, MetricRecord[]>()
  for (const value of [...(await readLogTopic(logRoot, 'counted')).values()].flat()) {
    const result = MetricRecord.decode(value)
    const id = `${result.dimensions[0]!.value}|${result.revision}`
    results.set(id, [...(results.get(id) ?? []), result])
  }
  return [...results.values()]
    .map((of) => {
      const number = (metric: string) => Number(of.find((one) => one.metric === metric)!.value!.value)
      return rowText(of[0]!.dimensions[0]!.value, 0, [number('events'), number('revenue')])
    })
    .sort()
}

async function rowsOf(client: MillraceClient, job: string, caseId: FlinkJobId): Promise<readonly string[]> {
  const rows = new Map<string, { readonly first: MetricValue; readonly values: number[] }>()
  for (const [metric] of metricsOf[caseId]) {
    for (const value of await valuesOf(client, job, metric)) {
      const id = `${value.dimensions[0] ?? ''}|${boundOf(value, caseId)}`
      const row = rows.get(id)
      if (row === undefined) rows.set(id, { first: value, values: [value.value] })
      else row.values.push(value.value)
    }
  }
  return [...rows.values()]
    .map(({ first, values }) => rowText(first.dimensions[0] ?? '', boundOf(first, caseId), values))
    .sort()
}

/** What a row's window is known by. */
function boundOf({ windowStartMs, windowEndMs }: MetricValue, caseId: FlinkJobId): number {
  return caseId === 'cumulate' ? windowEndMs : windowStartMs
}
