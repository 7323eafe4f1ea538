/** The search for a minimum on functions whose minimum is known. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DifferentiableFunction, minimise } from '../../src/metrics/bfgs.ts'

const rosenbrock: DifferentiableFunction = (at, gradient) => {
  const [x, y] = at as unknown as [number, number]
  gradient[0] = -2 * (1 - x) - 400 * x * (y - x * x)
  gradient[1] = 200 * (y - x * x)
  return (1 - x) ** 2 + 100 * (y - x * x) ** 2
}

describe('minimise', () => {
  it('walks down the valley of Rosenbrock from anywhere', () => {
    const start = fc.double({ min: -5, max: 5, noNaN: true })
    fc.assert(
      fc.property(start, start, (x, y) => {
        const found = minimise(rosenbrock, [x, y])
        expect(found.converged).toBe(true)
        expect(found.at[0]).toBeCloseTo(1, 5)
        expect(found.at[1]).toBeCloseTo(1, 5)
      }),
    )
  })

  it('finds the bottom of any bowl, however long', () => {
    const axis = fc.record({
      centre: fc.double({ min: -100, max: 100, noNaN: true }),
      curvature: fc.double({ min: 1e-2, max: 1e3, noNaN: true }),
    })
    fc.assert(
      fc.property(fc.array(axis, { minLength: 1, maxLength: 5 }), (axes) => {
        const bowl: DifferentiableFunction = (at, gradient) =>
          axes.reduce((sum, { centre, curvature }, i) => {
            gradient[i] = 2 * curvature * (at[i]! - centre)
            return sum + curvature * (at[i]! - centre) ** 2
          }, 0)
        const found = minimise(
          bowl,
          axes.map(() => 0),
        )
        expect(found.converged).toBe(true)
        for (const [i, { centre }] of axes.entries()) expect(Math.abs(found.at[i]! - centre)).toBeLessThan(1e-4)
      }),
    )
  })

  it('stays where the function has a value', () => {
    // The minimum is at 1, ln has no value below 0, and the first steps are long.
    const logarithm: DifferentiableFunction = (at, gradient) => {
      gradient[0] = 100 * (1 - 1 / at[0]!)
      return 100 * (at[0]! - Math.log(at[0]!))
    }
    const found = minimise(logarithm, [0.01])
    expect(found.converged).toBe(true)
    expect(found.at[0]).toBeCloseTo(1, 6)
  })

  it('says when it found none', () => {
    const slope: DifferentiableFunction = (at, gradient) => {
      gradient[0] = -1
      return -at[0]!
    }
    expect(minimise(slope, [0], { stepsMax: 20 }).converged).toBe(false)
    expect(minimise(() => Number.NaN, [0]).converged).toBe(false)
  })
})
