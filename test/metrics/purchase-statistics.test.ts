/** What a purchase history comes to. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  countPurchases,
  countSpend,
  type PurchaseStatistics,
  purchaseStatistics,
} from '../../src/metrics/purchase-statistics.ts'

const END = 100
const purchases = fc.array(
  fc.record({ period: fc.integer({ min: 0, max: 120 }), amount: fc.integer({ min: 0, max: 1000 }) }),
  { maxLength: 12 },
)

describe('purchaseStatistics', () => {
  it('counts repeat purchases only, and their money', () => {
    const list = [
      { period: 20, amount: 7 },
      { period: 10, amount: 1000 },
      { period: 40, amount: 5 },
      { period: 40, amount: 4 },
      { period: 101, amount: 99 },
    ]
    expect(purchaseStatistics(list, END)).toEqual({ frequency: 2, recency: 30, age: 90, monetaryValue: 8 })
  })

  it('of one purchase has no recency and no money', () => {
    const once = { frequency: 0, recency: 0, age: 0, monetaryValue: 0 }
    expect(purchaseStatistics([{ period: END, amount: 5 }], END)).toEqual(once)
    expect(purchaseStatistics([{ period: END + 1, amount: 5 }], END)).toBeUndefined()
    expect(purchaseStatistics([], END)).toBeUndefined()
  })

  it('does not depend on the order, nor on how a period is told', () => {
    fc.assert(
      fc.property(purchases, (list) => {
        const split = list.flatMap(({ period, amount }) => [
          { period, amount: Math.floor(amount / 2) },
          { period, amount: Math.ceil(amount / 2) },
        ])
        expect(purchaseStatistics(split.reverse(), END)).toEqual(purchaseStatistics(list, END))
      }),
    )
  })
})

describe('counts', () => {
  const person = (frequency: number, recency: number, age: number, monetaryValue = 1): PurchaseStatistics => ({
    frequency,
    recency,
    age,
    monetaryValue,
  })

  it('hold equal histories once', () => {
    const counts = countPurchases([person(1, 5, 9), person(0, 0, 9), person(1, 5, 9, 7), person(1, 6, 9)])
    expect([...counts.persons]).toEqual([2, 1, 1])
    expect([...counts.frequency]).toEqual([1, 0, 1])
    expect([...counts.recency]).toEqual([5, 0, 6])
    expect([...counts.age]).toEqual([9, 9, 9])
  })

  it('of spending leave out who did not buy again, or for nothing', () => {
    const counts = countSpend([person(1, 5, 9, 4), person(0, 0, 9, 0), person(1, 7, 8, 4), person(2, 5, 9, 0)])
    expect([...counts.frequency, ...counts.monetaryValue, ...counts.persons]).toEqual([1, 4, 2])
  })

  it.each([[person(-1, 0, 1)], [person(1.5, 1, 2)], [person(1, 3, 2)], [person(0, 1, 2)], [person(1, 1, Number.NaN)]])(
    'refuse %o',
    (impossible) => {
      expect(() => countPurchases([impossible])).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
    },
  )
})
