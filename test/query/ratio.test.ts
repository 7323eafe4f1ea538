import { describe, expect, it } from 'vitest'
import type { MetricInfo, MetricValue } from '../../src/query/metric-info.ts'
import { type RatioSide, ratioValues } from '../../src/query/ratio.ts'
import { someValue } from '../support/fakes/query.ts'

const DAY = 86_400_000
const day: MetricInfo['window'] = { kind: 'tumbling', sizeMs: DAY, offsetMs: 0, timezone: 'UTC', time: 'event' }
const rolling: MetricInfo['window'] = { ...day, kind: 'sliding', sizeMs: 30 * DAY, slideMs: DAY }
const all = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }

function side(
  dimensions: readonly string[],
  values: readonly MetricValue[],
  more: { kind?: MetricInfo['kind']; window?: MetricInfo['window']; watermarkMs?: number; settleMs?: number } = {},
): RatioSide {
  const { kind = { kind: 'count' }, window = day, watermarkMs = 100 * DAY, settleMs = 0 } = more
  const info = { ...{ job: 'j', metric: 'm', description: '', where: '', integer: true }, kind, window, dimensions }
  return { result: { info, dimensions, values }, watermarkMs, settleMs }
}

function value(endDay: number, dimensions: readonly string[], number: number, more: Partial<MetricValue> = {}) {
  const days = { windowStartMs: (endDay - 1) * DAY, windowEndMs: endDay * DAY, watermarkMs: 100 * DAY }
  return someValue({ ...days, dimensions, value: number, eventCount: number, lateCount: 0, ...more })
}

function ratios(of: RatioSide, to: RatioSide, scale = 1, range = all) {
  return ratioValues(of, to, { scale }, range)
}

describe('a ratio', () => {
  it('R1 divides what ends together, and has the window of what is above the line', () => {
    const month = { windowStartMs: -20 * DAY }
    const told = ratios(
      side([], [value(10, [], 3), value(11, [], 4)]),
      side([], [value(10, [], 12, month)], { window: rolling }),
      100,
    )
    expect(told).toMatchObject([{ windowStartMs: 9 * DAY, windowEndMs: 10 * DAY, value: 25, eventCount: 12 }])
  })

  it('R2 joins groups by the dimensions that both have, in whatever order', () => {
    const of = side(
      ['feature', 'platform'],
      [value(1, ['a', 'web'], 2), value(1, ['b', 'web'], 3), value(1, ['a', 'ios'], 1)],
    )
    const to = side(['platform'], [value(1, ['web'], 4), value(1, ['ios'], 10)])
    expect(ratios(of, to).map((one) => [...one.dimensions, one.value])).toEqual([
      ['a', 'web', 0.5],
      ['b', 'web', 0.75],
      ['a', 'ios', 0.1],
    ])
    const turned = side(['platform', 'feature'], [value(1, ['web', 'a'], 8)])
    expect(ratios(of, turned)).toMatchObject([{ dimensions: ['a', 'web'], value: 0.25 }])
  })

  it('R3 has no value by 0, and none where there is nothing below the line', () => {
    expect(ratios(side([], [value(1, [], 5), value(2, [], 5)]), side([], [value(1, [], 0)]))).toMatchObject([
      { windowEndMs: DAY, value: Number.NaN },
    ])
  })

  it('R4 is 0 where nothing was counted above the line, in windows that are asked for', () => {
    const to = side([], [value(1, [], 5), value(2, [], 5)])
    expect(ratios(side([], [value(1, [], 5)]), to)).toMatchObject([{ value: 1 }, { windowStartMs: DAY, value: 0 }])
    expect(ratios(side([], []), to, 1, { fromMs: DAY, toMs: 2 * DAY })).toMatchObject([{ windowEndMs: 2 * DAY }])
    // An average of nothing is none.
    expect(ratios(side([], [], { kind: { kind: 'avg', field: 'x' } }), to)).toEqual([])
    // Which features there are is not known from all users.
    expect(ratios(side(['feature'], []), to)).toEqual([])
    // Of a window above the line that does not end here there is nothing to tell.
    const hour = side([], [someValue({ ...value(1, [], 5), windowEndMs: DAY - 3_600_000 })], {
      window: { ...day, sizeMs: 3_600_000 },
    })
    expect(ratios(side([], []), hour)).toEqual([])
  })

  it('R5 is as settled as the less settled side, and its watermark is the smaller one', () => {
    const open = { status: 'provisional', revision: 0, watermarkMs: 5 } as const
    const corrected = { status: 'corrected', revision: 3 } as const
    const one = (above: Partial<MetricValue>, below: Partial<MetricValue>) =>
      ratios(side([], [value(1, [], 1, above)]), side([], [value(1, [], 2, below)]))[0]
    expect(one({}, {})).toMatchObject({ status: 'final', revision: 1 })
    expect(one(open, corrected)).toMatchObject({ status: 'provisional', revision: 0, watermarkMs: 5 })
    expect(one(corrected, {})).toMatchObject({ status: 'corrected', revision: 3 })
    // Each correction of either side is one of the ratio.
    expect(one(corrected, { status: 'corrected', revision: 2 })).toMatchObject({ status: 'corrected', revision: 4 })
    expect(one({}, { immature: true })).toMatchObject({ immature: true })
  })

  it('R5 0 is settled when its own window is, whatever is below the line', () => {
    const to = side([], [value(10, [], 5)])
    const at = (watermarkMs: number) => ratios(side([], [], { watermarkMs, settleMs: 14 * DAY }), to)[0]
    expect(at(24 * DAY - 2)).toMatchObject({ value: 0, status: 'provisional', revision: 0 })
    expect(at(24 * DAY - 1)).toMatchObject({ value: 0, status: 'final', revision: 1 })
  })
})
