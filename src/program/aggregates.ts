/** Aggregates that most jobs need; any object of the same form is one too. All of them merge. */
import { MillraceError } from '../core/errors.ts'
import type { Aggregate } from './state.ts'

/** Counts values. */
export function count(): Aggregate<unknown, number, number> {
  return { create: () => 0, add: (n) => n + 1, merge: (a, b) => a + b, inverse: (a, b) => a - b, result: (n) => n }
}

/** Adds numbers up. Whole numbers exactly, and JOB_CODE_FAILED past 2^53; others in the order in which they come. */
export function sum<In>(of: (value: In) => number): Aggregate<In, number, number> {
  const plus = (a: number, b: number): number => {
    const total = a + b
    if (Number.isInteger(total) && !Number.isSafeInteger(total)) {
      throw new MillraceError('JOB_CODE_FAILED', 'a sum is past 2^53 and would not be exact any more: use a bigint')
    }
    return total
  }
  return { create: () => 0, add: (total, value) => plus(total, of(value)), merge: plus, result: (total) => total }
}

/** The least number; undefined never, as a window holds a value at least. */
export function min<In>(of: (value: In) => number): Aggregate<In, number, number> {
  return {
    create: () => Number.POSITIVE_INFINITY,
    add: (least, value) => Math.min(least, of(value)),
    merge: Math.min,
    result: (least) => least,
  }
}

/** The greatest number. */
export function max<In>(of: (value: In) => number): Aggregate<In, number, number> {
  return {
    create: () => Number.NEGATIVE_INFINITY,
    add: (most, value) => Math.max(most, of(value)),
    merge: Math.max,
    result: (most) => most,
  }
}

/** The mean of numbers. */
export function average<In>(of: (value: In) => number): Aggregate<In, { n: number; total: number }, number> {
  return {
    create: () => ({ n: 0, total: 0 }),
    add: (acc, value) => ({ n: acc.n + 1, total: acc.total + of(value) }),
    merge: (a, b) => ({ n: a.n + b.n, total: a.total + b.total }),
    result: (acc) => acc.total / acc.n,
  }
}

/** All values, in the order in which they came; sessions that merge append. Holds everything: use it for small windows. */
export function collect<In>(): Aggregate<In, In[], readonly In[]> {
  return {
    create: () => [],
    add(values, value) {
      values.push(value)
      return values
    },
    merge: (a, b) => [...a, ...b],
    result: (values) => [...values],
  }
}
