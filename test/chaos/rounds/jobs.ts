/** The jobs of the chaos rounds: a declarative one whose metrics are of every kind of window, and one in TypeScript. */

/** Topics and places that the jobs write. */
export interface Outputs {
  readonly results: string
  readonly deadLetters: string
  readonly late: string
  readonly counts: string
  /** Further sinks of the declarative job, by id. */
  readonly others: Readonly<Record<string, object>>
}

export const DECLARED = 'chaos'
export const PROGRAM = 'chaos-counts'

/** Length of the windows by minute. */
export const MINUTE_MS = 60_000
/** Length of the windows of actives. */
export const ACTIVES_MS = 5 * MINUTE_MS
export const SESSION_GAP_MS = 20_000

const restart = { exponentialDelay: { initial: '100ms', max: '1s' } }
const watermark = { outOfOrderness: '10s', idleness: '0s' }

/** The declarative job. */
export function declaredJob(topic: string, outputs: Outputs): string {
  const minute = { tumbling: '1m' }
  const orderly = `name == 'page_view' || name == 'purchase'`
  return JSON.stringify({
    apiVersion: 'millrace.dev/v1',
    kind: 'Job',
    metadata: { name: DECLARED },
    sources: [{ id: 'events', kafka: { topic } }],
    watermark,
    restart,
    checkpoint: { every: '300ms', tolerableFailures: 1000 },
    parallelism: 2,
    dedupe: { by: 'event_id', within: '2h' },
    metrics: [
      { id: 'views', count: {}, where: `name == 'page_view'`, window: minute, by: ['person'] },
      { id: 'revenue', sum: { field: 'revenue_minor' }, where: `name == 'purchase'`, window: minute, by: ['platform'] },
      { id: 'actives', activeUsers: {}, where: orderly, window: { tumbling: '5m' } },
      {
        id: 'sliding',
        count: {},
        where: `name == 'purchase'`,
        window: { sliding: '1m', slide: '20s' },
        by: ['platform'],
      },
      { id: 'sessions', count: {}, where: orderly, window: { session: '20s' }, by: ['person'] },
      { id: 'clicks', count: {}, where: `name == 'click'`, window: minute, by: ['platform'], allowedLateness: '1h' },
      { id: 'ancient', count: {}, where: `name == 'ancient'`, window: minute },
    ],
    sinks: [
      { id: 'results', kafka: { topic: outputs.results } },
      ...Object.entries(outputs.others).map(([id, output]) => ({ id, ...output })),
    ],
    deadLetters: { kafka: { topic: outputs.deadLetters } },
    late: { kafka: { topic: outputs.late } },
  })
}

/** The module of the job in TypeScript: the number of every event of a person, to a topic. */
export function countsModule(topic: string, outputs: Outputs): string {
  return `
import { defineJob, Event, value } from 'millrace'
const state = { n: value() }
export default defineJob({
  name: ${JSON.stringify(PROGRAM)},
  source: { input: { kafka: { topic: ${JSON.stringify(topic)} } }, event: Event, time: (event) => event.occurredAt },
  checkpoint: { every: '300ms', tolerableFailures: 1000 },
  restart: ${JSON.stringify(restart)},
  parallelism: 2,
  build: (events) =>
    events
      .filter((event) => event.name === 'page_view')
      .keyBy((event) => event.person)
      .process({
        id: 'counts',
        state,
        onEvent(event, context) {
          const n = (context.state.n.get() ?? 0) + 1
          context.state.n.set(n)
          context.emit({ person: context.key, n })
        },
      })
      .sinkTo({ id: 'out', to: { kafka: { topic: ${JSON.stringify(outputs.counts)} } }, key: (count) => count.person }),
})
`
}
