/**
 * The minimum of a smooth function of a few numbers, with its gradient: BFGS (Nocedal and Wright, Numerical Optimization,
 * algorithm 6.1) and a line search for the weak Wolfe conditions by bisection (Lewis and Overton 2013).
 *
 * Deterministic: the same function and start give the same bits. A step where the function is not finite counts as
 * uphill, so a start inside the domain stays inside. It finds a local minimum; what is asked of it here (likelihoods in
 * log-parameters) has one.
 */

/** Writes the gradient at `at` into `gradient`, returns the value. */
export type DifferentiableFunction = (at: Float64Array, gradient: Float64Array) => number

/** When to stop. */
export interface MinimiseOptions {
  /** Ends when no part of the gradient is larger. 1e-8 by default: the rounding of a mean over 1e5 persons is below it. */
  readonly gradientMax?: number
  /** Ends after this many steps. 500 by default. */
  readonly stepsMax?: number
}

/** Where the search ended. */
export interface Minimum {
  readonly at: Float64Array
  readonly value: number
  /** The largest part of the gradient there, without sign. */
  readonly gradient: number
  readonly steps: number
  /** Whether it ended for the gradient's size, or where no step in double precision goes further down. */
  readonly converged: boolean
}

const SUFFICIENT_DECREASE = 1e-4
const CURVATURE = 0.9
const LINE_STEPS_MAX = 60
/** Differences of values below this share of them are rounding: there only slopes tell the way (Hager and Zhang 2005). */
const ROUNDING = 1e-14
/** A gradient this small where the line search finds nothing lower is rounding. */
const ROUNDING_GRADIENT = 1e-6

/** Works off what is done step by step, at once. */
export function finish<T>(steps: Generator<undefined, T, undefined>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** As `minimising`, at once. */
export function minimise(f: DifferentiableFunction, start: readonly number[], options: MinimiseOptions = {}): Minimum {
  return finish(minimising(f, start, options))
}

/** Searches step by step from `start`, which must be where `f` is finite (else the result has not converged and is the start). */
export function* minimising(
  f: DifferentiableFunction,
  start: readonly number[],
  options: MinimiseOptions = {},
): Generator<undefined, Minimum, undefined> {
  const gradientMax = options.gradientMax ?? 1e-8
  const stepsMax = options.stepsMax ?? 500
  const n = start.length
  let at = Float64Array.from(start)
  let gradient = new Float64Array(n)
  let value = f(at, gradient)
  let inverse = identity(n)
  let steps = 0
  if (!Number.isFinite(value)) return { at, value, gradient: Number.NaN, steps, converged: false }
  let fresh = true
  while (largest(gradient) > gradientMax && steps < stepsMax) {
    let direction = times(inverse, gradient, -1)
    if (!(dot(direction, gradient) < 0)) {
      inverse = identity(n)
      direction = gradient.map((g) => -g)
      fresh = true
    }
    const next = lineSearch(f, at, value, gradient, direction)
    if (next === undefined) {
      if (fresh) break
      // The curvature that was learned misleads: once more from the steepest way down.
      inverse = identity(n)
      fresh = true
      continue
    }
    const moved = next.at.map((x, i) => x - at[i]!)
    const turned = next.gradient.map((g, i) => g - gradient[i]!)
    const curvature = dot(moved, turned)
    if (curvature > 0) {
      if (fresh) inverse = identity(n, curvature / dot(turned, turned))
      update(inverse, moved, turned, curvature)
      fresh = false
    }
    ;({ at, value, gradient } = next)
    steps++
    yield
  }
  const size = largest(gradient)
  return { at, value, gradient: size, steps, converged: size <= Math.max(gradientMax, ROUNDING_GRADIENT) }
}

interface Point {
  readonly at: Float64Array<ArrayBuffer>
  readonly value: number
  readonly gradient: Float64Array<ArrayBuffer>
}

function lineSearch(
  f: DifferentiableFunction,
  from: Float64Array,
  value: number,
  gradient: Float64Array,
  direction: Float64Array,
): Point | undefined {
  const slope = dot(gradient, direction)
  let least = 0
  let most = Number.POSITIVE_INFINITY
  let step = 1
  let best: Point | undefined
  for (let i = 0; i < LINE_STEPS_MAX; i++) {
    const at = Float64Array.from(from, (x, j) => x + step * direction[j]!)
    const found = new Float64Array(from.length)
    const reached = f(at, found)
    const flat = Math.abs(reached - value) <= ROUNDING * Math.abs(value)
    if (flat && Math.abs(dot(found, direction)) <= -CURVATURE * slope) return { at, value: reached, gradient: found }
    if (!(reached <= value + SUFFICIENT_DECREASE * step * slope)) most = step
    else {
      if (reached < value) best = { at, value: reached, gradient: found }
      if (dot(found, direction) >= CURVATURE * slope) return best
      least = step
    }
    step = Number.isFinite(most) ? (least + most) / 2 : least * 2
  }
  return best
}

/** H ← (I − s yᵀ/yᵀs) H (I − y sᵀ/yᵀs) + s sᵀ/yᵀs, in place. */
function update(inverse: Float64Array[], s: Float64Array, y: Float64Array, ys: number): void {
  const hy = times(inverse, y, 1)
  const yhy = dot(y, hy)
  for (let i = 0; i < s.length; i++) {
    for (let j = 0; j < s.length; j++) {
      inverse[i]![j]! += ((1 + yhy / ys) * s[i]! * s[j]! - s[i]! * hy[j]! - hy[i]! * s[j]!) / ys
    }
  }
}

function identity(n: number, scale = 1): Float64Array[] {
  return Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? scale : 0)))
}

function times(matrix: readonly Float64Array[], vector: Float64Array, sign: 1 | -1): Float64Array<ArrayBuffer> {
  return Float64Array.from(matrix, (row) => sign * dot(row, vector))
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function largest(gradient: Float64Array): number {
  let most = 0
  for (const part of gradient) most = Math.max(most, Math.abs(part))
  return most
}
