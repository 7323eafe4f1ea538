/** Which totals of metrics about persons there are. */
import { expect, it } from 'vitest'
import type { FunnelMeasure } from '../../src/job/person-definition.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricInfo } from '../../src/query/metric-info.ts'
import { keptDimensions } from '../../src/query/render.ts'
import { fromDescription, toDescription } from '../../src/rpc/query-messages.ts'

function funnel(measure: FunnelMeasure): MetricInfo {
  return {
    ...{
      job: 'j',
      metric: 'm',
      description: '',
      where: '',
      dimensions: ['platform', 'country', 'step'],
      integer: true,
    },
    kind: {
      ...{ kind: 'funnel', steps: [], withinMs: 1, order: 'sequential', exclude: [], attribution: 'first' },
      ...{ attributionStep: 0, bucketsMs: [60_000], measure },
    },
    window: { kind: 'tumbling', sizeMs: 31 * 86_400_000, unit: 'month', offsetMs: 0, timezone: 'UTC', time: 'event' },
  }
}

function query(groupBy: readonly string[] | null, filters: readonly (readonly [string, string])[] = []): MetricQuery {
  const everything = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY, limit: 10, latest: false }
  return { job: 'j', metric: 'm', ...everything, filters: new Map(filters), groupBy }
}

const refused = expect.objectContaining({ code: 'QUERY_INVALID' })

it('groups of a step add up: a person counts in one of them', () => {
  expect(keptDimensions(funnel('persons'), query(['step']))).toEqual([2])
  expect(keptDimensions(funnel('persons'), query(['country', 'step']))).toEqual([1, 2])
  expect(keptDimensions(funnel('persons'), query([], [['step', '3']]))).toEqual([])
})

it('steps do not, nor do rates and times', () => {
  expect(() => keptDimensions(funnel('persons'), query(['platform']))).toThrow(refused)
  expect(() => keptDimensions(funnel('persons'), query([]))).toThrow(refused)
  for (const measure of ['conversion', 'stepConversion', 'convertTime', 'convertTimes'] as const)
    expect(() => keptDimensions(funnel(measure), query(['step']))).toThrow(refused)
})

it('statuses do not: those who are new on one platform may return on another', () => {
  const info: MetricInfo = {
    ...funnel('persons'),
    kind: { kind: 'lifecycle', lookbackMs: 1 },
    dimensions: ['a', 'status'],
  }
  expect(() => keptDimensions(info, query(['status']))).toThrow(refused)
})

it('what is measured, and months, come over the wire', () => {
  for (const measure of ['persons', 'convertTimes'] as const) {
    const { kind, window } = fromDescription(toDescription(funnel(measure)))
    expect(kind).toMatchObject({ kind: 'funnel', measure, bucketsMs: measure === 'convertTimes' ? [60_000] : [] })
    expect(window).toEqual(funnel(measure).window)
  }
})
