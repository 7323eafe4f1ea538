/** Plans of random jobs, for tests of what becomes of state. */
import fc from 'fast-check'
import { parseJob } from '../../src/job/parse.ts'
import type { JobPlan } from '../../src/job/plan.ts'
import { planJob } from '../../src/job/planner.ts'
import { describeState, type StateDescription } from '../../src/job/state-identity.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()

export interface MetricText {
  readonly id: string
  readonly kind: string
  readonly where: string
  readonly by: string
  readonly window: string
  readonly late: string
  readonly retain: string
}

export function metricYaml({ id, kind, where, by, window, late, retain }: MetricText): string {
  const parts = [`id: ${id}`, kind, `by: [${by}]`, `window: ${window}`, `retain: ${retain}`]
  if (where !== '') parts.push(`where: "${where}"`)
  if (late !== '') parts.push(`allowedLateness: ${late}`)
  return `  - { ${parts.join(', ')} }\n`
}

export function planOf(metrics: string, more = ''): JobPlan {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: j }
sources: [{ id: events, kafka: { topic: events } }]
${more}metrics:
${metrics}`
  return planJob(parseJob(text, descriptors).definition, { threads: 2, descriptors })
}

export function stateOf(metrics: string, more = ''): StateDescription {
  return describeState(planOf(metrics, more))
}

const kinds = [
  'count: {}',
  'sum: { field: revenue_minor }',
  'avg: { field: revenue_minor }',
  'avg: { field: properties.price }',
  'sum: { field: properties.price }',
  'max: { field: revenue_minor }',
  'activeUsers: {}',
  'distinct: { field: screen }',
  'quantile: { field: revenue_minor, q: 0.5 }',
  'quantile: { field: revenue_minor, q: 0.99 }',
  'topK: { field: screen, k: 3 }',
  'histogram: { field: revenue_minor, bounds: [1, 10] }',
]

/** One to six metrics of few forms, so that two jobs often have some in common. */
export const jobs: fc.Arbitrary<readonly MetricText[]> = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    kind: fc.constantFrom(...kinds),
    where: fc.constantFrom('', '', "name == 'page_view'", "platform == 'web' && revenue_minor > 3"),
    by: fc.constantFrom('', 'platform', 'person'),
    window: fc.constantFrom('{ tumbling: 1m }', '{ tumbling: 1m }', '{ sliding: 1m, slide: 20s }'),
    late: fc.constantFrom('', '', '1m'),
    retain: fc.constantFrom('90d', '90d', '1d'),
  }),
  { minLength: 1, maxLength: 6, selector: ({ id }) => id },
)
