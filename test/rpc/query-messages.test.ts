import { describe, expect, it } from 'vitest'
import { MetricValue as ValueMessage } from '../../src/gen/millrace/v1/metric.ts'
import { MetricDescription } from '../../src/gen/millrace/v1/query.ts'
import type { MetricKind } from '../../src/job/definition.ts'
import { hllError } from '../../src/job/sketch-limits.ts'
import type { MetricInfo, MetricValue } from '../../src/query/metric-info.ts'
import { fromDescription, fromValue, toDescription, toValues } from '../../src/rpc/query-messages.ts'
import { GLOBAL_END_MS, GLOBAL_START_MS } from '../../src/window/global.ts'

const infoOf = (kind: MetricKind): MetricInfo => ({
  job: 'shop',
  metric: 'm',
  description: 'what it is',
  kind,
  where: 'a > 1',
  dimensions: ['platform'],
  window: { kind: 'tumbling', sizeMs: 60_000, offsetMs: 0, timezone: 'UTC', time: 'event' },
  integer: false,
})

const kinds: readonly MetricKind[] = [
  { kind: 'count' },
  { kind: 'activeUsers' },
  { kind: 'activeUsers', exactUpTo: 1000, error: hllError(12) },
  { kind: 'approxDistinct', field: 'screen', exactUpTo: 5, error: hllError(10) },
  { kind: 'avg', field: 'price' },
  { kind: 'approxDistinct', field: '', error: hllError(12) },
  { kind: 'quantile', field: 'price', q: 0, error: 0.01 },
  { kind: 'topK', field: 'screen', k: 10 },
  { kind: 'first', field: 'screen' },
  { kind: 'last', field: 'price' },
  { kind: 'variance', field: 'price', sample: true },
  { kind: 'stddev', field: 'price', sample: false },
  { kind: 'histogram', field: 'price', bounds: [-1, 0, 2.5] },
]

describe('metrics on the wire', () => {
  it.each(kinds)('come back as they were: $kind', (kind) => {
    const info = infoOf(kind)
    const bytes = MetricDescription.encode(toDescription(info)).finish()
    expect(fromDescription(MetricDescription.decode(bytes))).toEqual(info)
  })

  it('state their error', () => {
    const errorOf = (kind: MetricKind) => toDescription(infoOf(kind)).error
    expect(errorOf({ kind: 'count' })).toBe(0)
    expect(errorOf({ kind: 'approxDistinct', field: '', error: 0.02 })).toBe(1.04 / 64)
    expect(errorOf({ kind: 'activeUsers', exactUpTo: 10, error: 0.02 })).toBe(1.04 / 64)
    expect(errorOf({ kind: 'quantile', field: 'x', q: 0.5, error: 0.05 })).toBe(0.05)
    expect(errorOf({ kind: 'topK', field: 'x', k: 3 })).toBe(2 / 1024)
  })
})

describe('values on the wire', () => {
  const value = (more: Partial<MetricValue>): MetricValue => ({
    dimensions: ['web'],
    windowStartMs: 0,
    windowEndMs: 60_000,
    value: 3,
    status: 'final',
    revision: 1,
    watermarkMs: 59_999,
    lateCount: 0,
    eventCount: 5,
    attempt: 1,
    ...more,
  })

  it.each([
    ['a number', value({})],
    ['no number', value({ value: Number.NaN })],
    ['a text', value({ value: Number.NaN, detail: { items: [], text: 'home' } })],
    ['an empty text', value({ value: Number.NaN, detail: { items: [], text: '' } })],
    ['the global window', value({ windowStartMs: GLOBAL_START_MS, windowEndMs: GLOBAL_END_MS })],
    ['a list', value({ detail: { items: [{ label: 'a', value: 3, error: 1 }], text: null } })],
  ])('come back as they were: %s', (_what, one) => {
    const info = infoOf({ kind: 'count' })
    const [message] = toValues({ info, dimensions: ['platform'], values: [one], truncated: false })
    expect(fromValue(ValueMessage.decode(ValueMessage.encode(message!).finish()))).toEqual(one)
  })
})
