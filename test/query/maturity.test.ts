import { describe, expect, it } from 'vitest'
import type { MetricKind } from '../../src/job/definition.ts'
import type { RetentionKind } from '../../src/job/person/kinds.ts'
import type { FunnelKind } from '../../src/job/person-definition.ts'
import { markImmature } from '../../src/query/maturity.ts'
import type { MetricInfo, MetricValue } from '../../src/query/metric-info.ts'
import { type Period, windowOf } from '../metrics/calendar.ts'

const retention: RetentionKind = {
  ...{ kind: 'retention', start: null, return: null, periods: 3, mode: 'on', cohort: 'first', clock: 'calendar' },
  ...{ lookbackMs: 1, measure: 'persons' },
}

/** Texts of the own dimension of those values of the window of `day` that are immature at a watermark. */
function immature(
  kind: MetricKind,
  period: Period,
  timezone: string,
  windowEnd: string,
  watermark: string,
  own = ['0', '1', '2', '3'],
): string[] {
  const window = windowOf(period, timezone)
  const info: MetricInfo = {
    ...{ job: 'j', metric: 'm', description: '', kind, where: '', window, integer: true },
    dimensions: ['platform', 'period'],
  }
  const values = own.map(
    (text): MetricValue => ({
      ...{ dimensions: ['ios', text], windowStartMs: 0, windowEndMs: Date.parse(windowEnd), value: 1 },
      ...{ status: 'provisional', revision: 0, watermarkMs: Date.parse(watermark) },
      ...{ lateCount: 0, eventCount: 1, attempt: 1 },
    }),
  )
  const marked = markImmature({ info, dimensions: info.dimensions, values }).values
  return marked.flatMap((value) => (value.immature === true ? [value.dimensions[1]!] : []))
}

describe('immature values of a retention', () => {
  it('are those whose period is not over', () => {
    const at = (watermark: string) => immature(retention, 'day', 'UTC', '2024-03-02T00:00Z', watermark)
    expect(at('2024-03-01T23:59:59.998Z')).toEqual(['0', '1', '2', '3'])
    expect(at('2024-03-01T23:59:59.999Z')).toEqual(['1', '2', '3'])
    expect(at('2024-03-03T12:00Z')).toEqual(['2', '3'])
    expect(at('2024-03-04T23:59:59.999Z')).toEqual([])
  })

  it('follow the calendar: a day of 23 hours, months of every length', () => {
    // Berlin, 31 March 2024 has 23 hours.
    const day = (watermark: string) => immature(retention, 'day', 'Europe/Berlin', '2024-03-30T23:00Z', watermark)
    expect(day('2024-03-31T21:59:59.999Z')).toEqual(['2', '3'])
    expect(day('2024-03-31T21:59:59.998Z')).toEqual(['1', '2', '3'])
    const month = (watermark: string) => immature(retention, 'month', 'UTC', '2024-02-01T00:00Z', watermark)
    expect(month('2024-02-29T23:59:59.998Z')).toEqual(['1', '2', '3'])
    expect(month('2024-03-01T00:00Z')).toEqual(['2', '3'])
  })

  it('are all but the cohort until the last period is over, where a later return counts', () => {
    const at = (watermark: string) =>
      immature({ ...retention, mode: 'onOrAfter' }, 'day', 'UTC', '2024-03-02T00:00Z', watermark)
    expect(at('2024-03-04T23:59:59.998Z')).toEqual(['1', '2', '3'])
    expect(at('2024-03-04T23:59:59.999Z')).toEqual([])
  })

  it('wait for those who started last, where time is their own', () => {
    const elapsed = { ...retention, clock: 'elapsed' } as const
    const at = (watermark: string) => immature(elapsed, 'day', 'UTC', '2024-03-02T00:00Z', watermark)
    expect(at('2024-03-03T12:00Z')).toEqual(['1', '2', '3'])
    expect(at('2024-03-03T23:59:59.999Z')).toEqual(['2', '3'])
  })
})

describe('immature values of others', () => {
  it('of a funnel are all of a window, until those who entered have had their time', () => {
    const funnel: FunnelKind = {
      ...{ kind: 'funnel', steps: [], withinMs: 3_600_000, order: 'sequential', exclude: [] },
      ...{ attribution: 'first', attributionStep: 0, bucketsMs: [], measure: 'persons' },
    }
    expect(immature(funnel, 'day', 'UTC', '2024-03-02T00:00Z', '2024-03-02T00:59:59.998Z', ['1', '2'])).toEqual([
      ...['1', '2'],
    ])
    expect(immature(funnel, 'day', 'UTC', '2024-03-02T00:00Z', '2024-03-02T00:59:59.999Z', ['1', '2'])).toEqual([])
  })

  it('are none', () => {
    const kinds: MetricKind[] = [{ kind: 'count' }, { kind: 'lifecycle', lookbackMs: 1 }]
    for (const kind of kinds) {
      expect(immature(kind, 'day', 'UTC', '2024-03-02T00:00Z', '2024-03-01T00:00Z', ['new'])).toEqual([])
    }
  })
})
