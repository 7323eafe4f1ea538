import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GroupTotals } from '../../src/query/group-totals.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { pageViews, someValue } from '../support/fakes/query.ts'

const { window } = pageViews

function countOf(at: number, platform: string, screen: string, count: number): MetricValue {
  const dimensions = [platform, screen]
  return someValue({
    windowStartMs: at * 1000,
    windowEndMs: (at + 1) * 1000,
    dimensions,
    value: count,
    eventCount: count,
  })
}

/** The view that is watched: every value there is. */
class View {
  readonly values = new Map<string, MetricValue>()
  asked = 0

  set(value: MetricValue): void {
    this.values.set(JSON.stringify([value.windowStartMs, value.dimensions]), value)
  }

  of(at: number): MetricValue[] {
    this.asked++
    return [...this.values.values()].filter(({ windowStartMs }) => windowStartMs === at)
  }
}

describe('totals that a watch follows', () => {
  const change = fc.record({
    at: fc.nat(8),
    platform: fc.constantFrom('ios', 'web'),
    screen: fc.constantFrom('home', 'cart', 'help'),
    count: fc.integer({ min: 1, max: 9 }),
  })

  it('are those of all values, though old windows are let go', () => {
    let letGo = 0
    fc.assert(
      fc.property(
        fc.array(fc.array(change, { minLength: 1, maxLength: 2 }), { minLength: 15, maxLength: 40 }),
        (looks) => {
          const view = new View()
          const totals = new GroupTotals([0], window, 6)
          for (const look of looks) {
            const changed = look.map(({ at, platform, screen, count }) => countOf(at, platform, screen, count))
            for (const value of changed) view.set(value)
            const expected = new Map<string, number>()
            for (const { windowStartMs, dimensions } of changed) {
              let sum = 0
              for (const value of view.values.values()) {
                if (value.windowStartMs === windowStartMs && value.dimensions[0] === dimensions[0]) sum += value.value
              }
              expected.set(`${windowStartMs} ${dimensions[0]}`, sum)
            }
            const told = totals.parts(changed).flatMap((part) => {
              if (totals.lacks(part)) totals.fill(part, view.of(part[0]!.windowStartMs))
              return totals.add(part)!
            })
            expect(new Map(told.map((v) => [`${v.windowStartMs} ${v.dimensions[0]}`, v.value]))).toEqual(expected)
          }
          letGo += view.asked
        },
      ),
    )
    expect(letGo).toBeGreaterThan(0)
  })

  it('hold no more than they may, and ask for nothing as long as they hold all', () => {
    const totals = new GroupTotals([0], window, 100)
    for (let at = 0; at < 50; at++) {
      const changed = [countOf(at, 'ios', 'home', 1), countOf(at, 'ios', 'cart', 1)]
      expect(totals.lacks(changed)).toBe(false)
      expect(totals.add(changed)).toMatchObject([{ value: 2 }])
    }
    expect(totals.add([countOf(50, 'ios', 'home', 1)])).toHaveLength(1)
    expect(totals.lacks([countOf(0, 'ios', 'home', 2)])).toBe(true)
    expect(totals.lacks([countOf(49, 'ios', 'home', 2)])).toBe(false)
  })

  it('of one window with too many values are none', () => {
    const totals = new GroupTotals([0], window, 10)
    const many = Array.from({ length: 11 }, (_, i) => countOf(0, 'ios', `screen ${i}`, 1))
    expect(totals.add(many)).toBeNull()
  })
})
