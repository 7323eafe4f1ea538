/** A simulated job that is watched: its definition, its events, and watches that note all that they are told. */
import { SeededRandom } from '../../../src/core/clock.ts'
import type { MillraceError } from '../../../src/core/errors.ts'
import type { JobDefinition } from '../../../src/job/definition.ts'
import { parseJob } from '../../../src/job/parse.ts'
import { jobViews } from '../../../src/query/job-views.ts'
import { createQueryService } from '../../../src/query/service.ts'
import { MemoryTopic } from '../../../src/source/memory-topic.ts'
import { Simulation } from '../../../src/testing/simulation.ts'
import { builtInDescriptors } from '../../support/descriptors.ts'
import { makeEvent } from '../../support/events.ts'

const descriptors = builtInDescriptors()
const startMs = 1_700_000_000_000

/** The views of an hour. */
export const views = '{ id: views, count: {}, window: { tumbling: 1h } }'

/** The job `followed`, of these metrics in YAML. */
export function followedJob(metrics: string): JobDefinition {
  return parseJob(
    `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: followed }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { maxFuture: 36500d }
checkpoint: { every: 20ms }
parallelism: 2
metrics: [${metrics}]
`,
    descriptors,
  ).definition
}

/** What a watch has been told. */
export interface Told {
  readonly waits: (string | null)[]
  readonly values: number[]
  readonly ends: (MillraceError | null)[]
}

/** A deployment for it. `append` brings so many events, each of another person; `watch` begins to follow a metric. */
export function followed(): {
  readonly simulation: Simulation
  readonly append: (count: number) => void
  readonly watch: (metric: string) => Told
} {
  const topic = new MemoryTopic('events', 2, new SeededRandom(1))
  const append = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const { value } = makeEvent({ person: `p${i}`, timeMs: startMs + i })
      topic.append(i % 2, [{ key: null, value, timestampMs: startMs }])
    }
  }
  const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors })
  const queries = createQueryService(jobViews(simulation.manager), simulation.scheduler, 10)
  const watch = (metric: string): Told => {
    const told: Told = { waits: [], values: [], ends: [] }
    const query = { job: 'followed', metric, filters: new Map(), groupBy: null, limit: 100, latest: false }
    const range = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }
    queries.watch(
      { ...query, ...range },
      {
        onValues: (answer) => told.values.push(...answer.values.map(({ value }) => value)),
        onWaiting: (why) => told.waits.push(why),
        onEnd: (error) => told.ends.push(error),
      },
    )
    return told
  }
  return { simulation, append, watch }
}
