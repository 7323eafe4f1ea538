/**
 * Millrace's side of the differential test: the cases as jobs of a whole engine, their rows read over gRPC.
 *
 * Owns: the jobs and turning values into canonical rows. Does not own: topics, other engines, what is expected.
 */
import type { CaseId } from '../../bench/cases/case.ts'
import { rowText, rules } from '../../bench/rules.ts'
import type { MetricValue } from '../../src/query/api.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { openEngine, submitJob, type TestEngine, untilRead, untilState, untilWatermark } from './engine.ts'
import { valuesOf } from './engine-numbers.ts'
import type { DifferentialTopic, LateOutcome, RowSource } from './flink.ts'
import { lateTopic, writeSecondPart } from './late-topic.ts'

/** The windows of a case. */
const windowOf: Readonly<Record<CaseId, string>> = {
  tumbling: '{ tumbling: 1m }',
  distinct: '{ tumbling: 1m }',
  session: '{ session: 10s }',
  sliding: '{ sliding: 1m, slide: 5s }',
}

/** The metrics of a case; their values in this order are the values of a row. */
const metricsOf: Readonly<Record<CaseId, readonly (readonly [id: string, definition: string])[]>> = {
  tumbling: [
    ['events', 'count: {}, by: [person]'],
    ['revenue', 'sum: { field: revenue_minor }, by: [person]'],
  ],
  sliding: [
    ['events', 'count: {}, by: [person]'],
    ['revenue', 'sum: { field: revenue_minor }, by: [person]'],
  ],
  session: [
    ['events', 'count: {}, by: [person]'],
    ['revenue', 'sum: { field: revenue_minor }, by: [person]'],
  ],
  distinct: [['persons', 'activeUsers: {}, by: [screen]']],
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
    withJob(setup, caseId, from, true, async ({ client }, job) => {
      const { events } = await untilState(client, job, 'FINISHED')
      if (events.read !== events.applied) throw new Error(`not every event was applied: ${JSON.stringify(events)}`)
      return rowsOf(client, job, caseId)
    })
}

/**
 * Millrace reading a topic that has its first part (late-topic.ts): writes the second one once the watermark of the
 * first is made.
 */
export function millraceWithLateEvents(
  setup: MillraceSetup,
): (caseId: CaseId, from: DifferentialTopic) => Promise<LateOutcome> {
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
  caseId: CaseId,
  from: DifferentialTopic,
  bounded: boolean,
  task: (engine: TestEngine, job: string) => Promise<T>,
): Promise<T> {
  const engine = await openEngine({ ...setup, threads: rules.parallelism })
  try {
    const job = await submitJob(engine.client, jobText(setup, caseId, from, bounded))
    return await task(engine, job)
  } finally {
    await engine.close()
  }
}

function jobText(setup: MillraceSetup, caseId: CaseId, from: DifferentialTopic, bounded: boolean): string {
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
`
}

async function rowsOf(client: MillraceClient, job: string, caseId: CaseId): Promise<readonly string[]> {
  const rows = new Map<string, { readonly first: MetricValue; readonly values: number[] }>()
  for (const [metric] of metricsOf[caseId]) {
    for (const value of await valuesOf(client, job, metric)) {
      const id = `${value.dimensions[0]}|${value.windowStartMs}`
      const row = rows.get(id)
      if (row === undefined) rows.set(id, { first: value, values: [value.value] })
      else row.values.push(value.value)
    }
  }
  return [...rows.values()]
    .map(({ first, values }) => rowText(first.dimensions[0]!, first.windowStartMs, values))
    .sort()
}
