/** A funnel, a retention and predicted lifetimes, as a QueryApi answers them. */

import type { FunnelResult, RetentionResult } from '../../../src/query/api.ts'
import type { PersonTimeline } from '../../../src/query/key-api.ts'
import type { LifetimeResult } from '../../../src/query/lifetime-api.ts'
import type { MetricInfo } from '../../../src/query/metric-info.ts'

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

export const days: MetricInfo = {
  ...{ job: 'revenue', metric: 'days', description: '', where: '', integer: true, dimensions: ['person'] },
  kind: { kind: 'sum', field: 'revenue_minor' },
  window: { kind: 'tumbling', sizeMs: DAY_MS, offsetMs: 0, timezone: 'UTC', time: 'event' },
}

/** Of two persons, one of whom Gamma-Gamma says nothing of. */
export const someLifetime: LifetimeResult = {
  info: days,
  formula: 'a sum of money',
  ...{ steps: 12, daysPerStep: 30, discountRate: 0.01, sinceMs: START_MS, days: 90, refundDays: 2 },
  purchases: { parameters: { r: 0.25, alpha: 4.5, a: 0.75, b: 2.5 }, persons: 2000, logLikelihood: -9582.5 },
  spend: { parameters: { p: 6.25, q: 3.75, v: 15.5 }, persons: 900, logLikelihood: -4000.5 },
  ...{ correlation: 0.125, total: 123_456.5, mean: 61.75 },
  steadyState: { arppu: 40, buyers: 30, margin: 0.5, churn: 0.25, value: 80 },
  persons: [
    {
      ...{ person: '=cmd', frequency: 3, recency: 60, age: 80, monetaryValue: 1250.5, alive: 0.75 },
      ...{ expectedPurchases: 4.5, expectedAmount: 1200, value: 5000.25 },
    },
    {
      ...{ person: 'ann', frequency: 0, recency: 0, age: 80, monetaryValue: 0, alive: 1 },
      ...{ expectedPurchases: 0.5, expectedAmount: Number.NaN, value: Number.NaN },
    },
  ],
  watermarkMs: START_MS + 90 * DAY_MS,
}

export const someTimeline: PersonTimeline = {
  ...{ metrics: ['checkout', 'drop_off'], conditions: ["step 1: screen == 'cart'", "step 2: name == 'purchase'"] },
  ...{ dimensions: ['platform'], truncated: true },
  events: [
    { timeMs: START_MS, conditions: [0], dimensions: ['web'], copies: 2, value: Number.NaN },
    { timeMs: START_MS + 60_000, conditions: [0, 1], dimensions: ['ios'], copies: 1, value: 12.5 },
  ],
}
