/**
 * The metric table in Prometheus' text format.
 *
 * Owns: the one registry, filled at each scrape from what jobs are like at that moment; nothing is counted twice, and
 * nothing runs between scrapes. The process's own metrics (CPU, memory, event-loop delay) come with the library.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import type { MetricSpec, ObservedJob, Sample } from './metric-spec.ts'
import { metricTable } from './metric-table.ts'

/** Answers scrapes. */
export interface MetricsEndpoint {
  readonly contentType: string
  /** The text of one scrape. */
  scrape(): Promise<string>
}

/** How the endpoint learns what to say. */
export interface MetricsOptions {
  /** All jobs, with their subtasks. What it rejects with fails the scrape. */
  readonly jobs: () => Promise<readonly ObservedJob[]>
  readonly nowMs: () => number
  /** Also expose CPU, memory and event-loop delay of the process; on by default. */
  readonly process?: boolean
}

/** Makes the endpoint. */
export function createMetrics(options: MetricsOptions): MetricsEndpoint {
  const registry = new Registry()
  let jobs: readonly ObservedJob[] = []
  for (const spec of metricTable) {
    registry.registerMetric(exposed(spec, () => samplesOf(spec, jobs, options.nowMs())) as unknown as Metric)
  }
  if (options.process ?? true) collectDefaultMetrics({ register: registry })
  return {
    contentType: registry.contentType,
    scrape: async () => {
      jobs = await options.jobs()
      return registry.metrics()
    },
  }
}

function samplesOf(spec: MetricSpec, jobs: readonly ObservedJob[], nowMs: number): Sample[] {
  return jobs.flatMap((job) => [...spec.read(job, nowMs)])
}

/** The part of a prom-client Metric that a Registry uses. */
function exposed(spec: MetricSpec, read: () => readonly Sample[]) {
  return {
    name: spec.name,
    help: spec.help,
    type: spec.type,
    get: async () => ({
      name: spec.name,
      help: spec.help,
      type: spec.type,
      values: read().map(({ suffix, labels, value }) => ({
        metricName: `${spec.name}${suffix ?? ''}`,
        labels,
        value,
      })),
    }),
    reset: () => {},
  }
}
