/** What lifetimes are predicted from, out of answers of any size; and what is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { checkByPersonAndDay, personDays } from '../../src/query/lifetime-days.ts'
import { checkLifetimeQuery, lifetimeResult } from '../../src/query/lifetime-report.ts'
import type { MetricInfo } from '../../src/query/metric-info.ts'
import { OneByOne } from '../../src/query/one-by-one.ts'
import type { ViewMetric, ViewPort } from '../../src/query/view-port.ts'
import { days as info } from '../support/fakes/reports.ts'

const DAY_MS = 86_400_000
const asked = {
  ...{ job: 'revenue', metric: 'days', untilMs: Infinity, steps: 12, daysPerStep: 30, discountRate: 0, penalizer: 0 },
  ...{ persons: [], limit: 10, margin: null, churn: null },
}

interface Day {
  readonly person: string
  readonly startMs: number
  readonly amount: number
}

/** Views that answer with at most `most` rows. */
function viewsOf(
  all: readonly Day[],
  watermarkMs: number,
  most = Infinity,
): { views: ViewPort; asks: [number, number][] } {
  const asks: [number, number][] = []
  const views = {
    ask: async (_job: string, { fromMs, toMs }: { fromMs: number; toMs: number }) => {
      asks.push([fromMs, toMs])
      const found = all.filter(({ startMs }) => startMs + DAY_MS > fromMs && startMs < toMs)
      const rows = found.slice(0, most)
      const part = {
        ...{ count: rows.length, truncated: found.length > most, watermarkMs },
        dimensions: rows.map(({ person }) => [person]),
        windowStartMs: rows.map(({ startMs }) => startMs),
        values: rows.map(({ amount }) => amount),
      }
      return { attempt: 1, ended: false, rows: [part] }
    },
  }
  return { views: views as unknown as ViewPort, asks }
}

const metricOf = (change: Partial<MetricInfo> = {}): ViewMetric => ({
  ...{ info: { ...info, ...change }, index: 0, keyDimension: 0 },
})

const berlin = { ...info.window, timezone: 'Europe/Berlin' } as MetricInfo['window']

const day = fc.record({
  person: fc.constantFrom('ann', 'bob', 'cem'),
  // Some before 1970 and after 2100, where few days are.
  startMs: fc.oneof(fc.integer({ min: -9, max: 60 }), fc.integer({ min: 47_481, max: 47_490 })).map((n) => n * DAY_MS),
  amount: fc.integer({ min: -2, max: 9 }),
})

describe('days of persons', () => {
  it('are the same in however many answers they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(day, { selector: ({ person, startMs }) => `${person}${startMs}`, maxLength: 60 }),
        fc.integer({ min: 3, max: 12 }),
        fc.constantFrom(Infinity, 20 * DAY_MS),
        async (all, most, untilMs) => {
          const whole = await personDays(viewsOf(all, 40 * DAY_MS).views, metricOf(), untilMs)
          const parts = await personDays(viewsOf(all, 40 * DAY_MS, most).views, metricOf(), untilMs)
          const sorted = (found: typeof whole) => ({
            ...found,
            purchases: Object.fromEntries(
              [...found.purchases].sort().map(([name, list]) => [name, list.toSorted((a, b) => a.period - b.period)]),
            ),
          })
          expect(sorted(parts)).toEqual(sorted(whole))
        },
      ),
    )
  })

  it('are complete up to the watermark, refunds apart', async () => {
    const all = [
      { person: 'ann', startMs: 10 * DAY_MS, amount: 5 },
      { person: 'ann', startMs: 12 * DAY_MS, amount: 0 },
      { person: 'bob', startMs: 9 * DAY_MS, amount: -7 },
      { person: 'bob', startMs: 13 * DAY_MS, amount: 3 },
    ]
    const at = (watermarkMs: number) => personDays(viewsOf(all, watermarkMs).views, metricOf(), Infinity)
    const found = await at(13 * DAY_MS - 1)
    expect(found).toMatchObject({ sinceMs: 10 * DAY_MS, endDay: 2, refundDays: 1 })
    expect(found.purchases.get('ann')).toEqual([
      { period: 0, amount: 5 },
      { period: 2, amount: 0 },
    ])
    expect(found.purchases.get('bob')).toEqual([{ period: 3, amount: 3 }])
    expect((await at(13 * DAY_MS - 2)).endDay).toBe(1)
    expect((await at(Infinity)).endDay).toBe(3)
    expect((await at(-Infinity)).endDay).toBe(-1)
  })

  it('are days of the calendar where clocks change', async () => {
    const starts = ['2024-03-29T23:00Z', '2024-03-30T23:00Z', '2024-03-31T22:00Z', '2024-10-27T23:00Z'].map(Date.parse)
    const all = starts.map((startMs) => ({ person: 'ann', startMs, amount: 1 }))
    const found = await personDays(
      viewsOf(all, Date.parse('2024-10-28T23:00Z') - 1).views,
      metricOf({ window: berlin }),
      Infinity,
    )
    expect(found.purchases.get('ann')!.map(({ period }) => period)).toEqual([0, 1, 2, 212])
    expect(found.endDay).toBe(212)
  })

  it('are refused where even one day does not fit an answer', async () => {
    const all = Array.from({ length: 20 }, (_, i) => ({ person: `p${i}`, startMs: 5 * DAY_MS, amount: 1 }))
    await expect(personDays(viewsOf(all, Infinity, 10).views, metricOf(), Infinity)).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
    })
  })
})

describe('a prediction', () => {
  it.each([
    ['a count', { kind: { kind: 'count' } as const }],
    ['hours', { window: { ...info.window, sizeMs: 3_600_000 } as MetricInfo['window'] }],
    ['two dimensions', { dimensions: ['person', 'platform'] }],
  ])('refuses %s', (_, change) => {
    expect(() => checkByPersonAndDay(metricOf(change))).toThrow(/what each person spends on each day/)
    expect(() => checkByPersonAndDay(metricOf())).not.toThrow()
    expect(() => checkByPersonAndDay({ ...metricOf(), keyDimension: -1 })).toThrow(/by` the event's key/)
  })

  it.each([
    { steps: 0 },
    { steps: 1.5 },
    { daysPerStep: 100_000 },
    { discountRate: -0.5 },
    { discountRate: Number.NaN },
    { penalizer: Number.NaN },
    { margin: 0.5 },
    { margin: 0.5, churn: 0 },
    { margin: 2, churn: 0.5 },
  ])('refuses %j', (change) => {
    expect(() => checkLifetimeQuery({ ...asked, ...change })).toThrow(MillraceError)
    expect(() => checkLifetimeQuery(asked)).not.toThrow()
  })

  it('refuses more names than fit', () => {
    const persons = Array.from({ length: 1001 }, (_, i) => `p${i}`)
    expect(() => checkLifetimeQuery({ ...asked, persons })).toThrow(/at most 1000 persons/)
  })

  it('says why too few purchases are no model, as a question that cannot be answered', async () => {
    const once = viewsOf([{ person: 'ann', startMs: 0, amount: 1 }], Infinity)
    const predicted = lifetimeResult(once.views, metricOf(), asked, async () => {})
    await expect(predicted).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringMatching(/revenue\/days: BG\/NBD of 1 persons without a repeat purchase/),
    })
  })
})

describe('dear work', () => {
  it('is done one after the other, and refused where too much waits', async () => {
    const queue = new OneByOne(2)
    const log: string[] = []
    const first = Promise.withResolvers<void>()
    const one = queue.run(async () => {
      log.push('one begins')
      await first.promise
      throw new Error('one fails')
    })
    const two = queue.run(async () => log.push('two'))
    await expect(queue.run(async () => {})).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(log).toEqual(['one begins'])
    first.resolve()
    await expect(one).rejects.toThrow('one fails')
    await two
    await queue.run(async () => log.push('three'))
    expect(log).toEqual(['one begins', 'two', 'three'])
  })
})
