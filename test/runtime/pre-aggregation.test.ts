import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { combinerPlan } from '../../src/runtime/pre-aggregation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()

function combinerOf(metrics: string, rest = '') {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: j }
sources: [{ kafka: { topic: events } }]
${rest}
metrics:
${metrics}`
  const plan = planJob(parseJob(text, descriptors).definition, { threads: 1, descriptors })
  const combiner = combinerPlan(plan)
  const paths = (columns: readonly number[]) => columns.map((column) => plan.schema.columns[column]!.field.path)
  return combiner === null
    ? null
    : {
        byKey: combiner.byKey,
        texts: paths(combiner.texts),
        sums: paths(combiner.sums),
        mins: paths(combiner.mins),
        maxs: paths(combiner.maxs),
        tables: combiner.assigners.length,
      }
}

const views = '  - { id: views, count: {}, window: { tumbling: 1h }, by: [platform] }\n'

describe('whether rows may be folded', () => {
  it('counts, sums and extremes by dimensions need no key', () => {
    const revenue = '  - { id: revenue, avg: { field: revenue_minor }, window: { tumbling: 1m }, by: [screen] }\n'
    const greatest = '  - { id: top, max: { field: occurred_at }, window: { tumbling: 1m } }\n'
    expect(combinerOf(views + revenue + greatest)).toEqual({
      byKey: false,
      texts: ['platform', 'screen'],
      sums: ['revenue_minor'],
      mins: [],
      maxs: ['occurred_at'],
      tables: 3,
    })
  })

  it.each([
    ['persons are counted', '  - { id: dau, activeUsers: {}, window: { tumbling: 1d } }\n'],
    ['persons are estimated', '  - { id: about, approxDistinct: {}, window: { tumbling: 1d } }\n'],
    ['a metric is by person', '  - { id: mine, count: {}, window: { tumbling: 1d }, by: [person] }\n'],
  ])('keys stay apart where %s', (_, metric) => {
    expect(combinerOf(views + metric)).toMatchObject({ byKey: true, texts: ['platform'] })
  })

  it.each([
    ['late events are kept', views, 'late: { log: { path: /tmp/late, topic: late } }'],
    ['it is switched off', views, 'preAggregation: false'],
    ['copies are to be found', views, 'dedupe: { by: event_id, within: 1h }'],
    ['texts are ranked', `${views}  - { id: ranked, topK: { field: screen, k: 3 }, window: { tumbling: 1h } }\n`, ''],
    [
      'quantiles are asked',
      `${views}  - { id: p95, quantile: { field: revenue_minor, q: 0.95 }, window: { tumbling: 1h } }\n`,
      '',
    ],
    [
      'a sum is of doubles',
      `${views}  - { id: price, sum: { field: properties.price }, window: { tumbling: 1h } }\n`,
      '',
    ],
    [
      'a column is asked two things',
      '  - { id: a, sum: { field: revenue_minor }, window: { tumbling: 1h } }\n' +
        '  - { id: b, max: { field: revenue_minor }, window: { tumbling: 1h } }\n',
      '',
    ],
  ])('not where %s', (_, metrics, rest) => {
    expect(combinerOf(metrics, rest)).toBe(null)
  })
})
