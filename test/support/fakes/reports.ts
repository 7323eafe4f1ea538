/** A funnel and a retention, as a QueryApi answers them. */
import type { FunnelResult, MetricInfo, RetentionResult } from '../../../src/query/api.ts'

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2024, 2, 11)

const week = { kind: 'tumbling', sizeMs: 7 * DAY_MS, offsetMs: 0, timezone: 'UTC', time: 'event' } as const

export const checkout: MetricInfo = {
  ...{ job: 'conversion', metric: 'checkout', description: '', where: '', integer: true, window: week },
  dimensions: ['platform', 'step'],
  kind: {
    ...{ kind: 'funnel', withinMs: 0, order: 'sequential', exclude: [], attribution: 'first', attributionStep: 0 },
    ...{ steps: [], bucketsMs: [], measure: 'persons' },
  },
}

export const someFunnel: FunnelResult = {
  ...{ info: checkout, dimensions: ['platform'], watermarkMs: START_MS + 9 * DAY_MS },
  funnels: [
    {
      ...{ dimensions: ['web'], windowStartMs: START_MS, windowEndMs: START_MS + 7 * DAY_MS },
      ...{ status: 'provisional', revision: 0, immature: true },
      steps: [
        {
          ...{ step: 1, where: "screen == 'cart'", persons: 40, conversion: 1, stepConversion: 1, dropped: 0 },
          ...{ meanTimeMs: 0, times: [] },
        },
        {
          ...{ step: 2, where: "name == 'purchase'", persons: 10, conversion: 0.25, stepConversion: 0.25, dropped: 30 },
          ...{ meanTimeMs: 90_000, times: [{ label: '<60000', value: 4, error: 0 }] },
        },
        {
          ...{ step: 3, where: "name == 'review'", persons: 0, conversion: 0, stepConversion: 0, dropped: 10 },
          ...{ meanTimeMs: Number.NaN, times: [] },
        },
      ],
    },
  ],
}

export const someRetention: RetentionResult = {
  info: {
    ...checkout,
    metric: 'weekly',
    dimensions: ['period'],
    kind: {
      ...{ kind: 'retention', start: null, return: null, periods: 2, lookbackMs: 0, mode: 'on', cohort: 'first' },
      ...{ clock: 'calendar', measure: 'persons' },
    },
  },
  ...{ dimensions: [], watermarkMs: START_MS + 15 * DAY_MS },
  cohorts: [
    {
      ...{ dimensions: [], windowStartMs: START_MS, windowEndMs: START_MS + 7 * DAY_MS, size: 8 },
      ...{ status: 'provisional', revision: 0, immature: true },
      periods: [
        { period: 0, persons: 8, retention: 1, previous: Number.NaN, immature: false },
        { period: 1, persons: 6, retention: 0.75, previous: 0.75, immature: false },
        { period: 2, persons: 1, retention: 0.125, previous: 1 / 6, immature: true },
      ],
    },
  ],
  curve: [
    { period: 0, cohorts: 1, size: 8, persons: 8, weighted: 1, mean: 1 },
    { period: 1, cohorts: 1, size: 8, persons: 6, weighted: 0.75, mean: 0.75 },
    { period: 2, cohorts: 0, size: 0, persons: 0, weighted: Number.NaN, mean: Number.NaN },
  ],
}
