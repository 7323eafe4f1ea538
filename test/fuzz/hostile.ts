/** What the tests against hostile input share: how many runs, how long one may take, and bytes and texts made of good ones. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'

/** Whether this is the long run, `make test-full`. */
export const full = process.env.MILLRACE_FULL === '1'

/** Inputs of each kind (job definitions, expressions, descriptors, frames): 100,000 in the long run, else a few. */
export const fuzzRuns = full ? 100_000 : 800

/** Longest that a test of so many inputs may take: a bound on hanging, not on speed. */
export const fuzzTimeoutMs = full ? 3_600_000 : 60_000

/** Longest that one input may keep the processor busy. */
const BUSY_MS_MAX = 1000

let slowestMs = 0

/**
 * Checks `property` on `runs` inputs; the long run says how many, with which seed, and what the slowest one took. The
 * environment variable MILLRACE_FUZZ_SEED repeats a run.
 */
export async function fuzz<T>(name: string, runs: number, property: fc.IRawProperty<T>): Promise<void> {
  const given = process.env.MILLRACE_FUZZ_SEED
  const seed = given === undefined ? (Math.random() * 2 ** 31) | 0 : Number(given)
  slowestMs = 0
  const startMs = performance.now()
  await fc.assert(property, { numRuns: runs, seed })
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  if (full)
    process.stdout.write(
      `fuzz ${name}: ${runs} inputs, seed ${seed}, ${seconds} s, slowest ${slowestMs.toFixed(0)} ms\n`,
    )
}

/** Notes what one input took; the slowest is printed. */
export function took(ms: number): void {
  slowestMs = Math.max(slowestMs, ms)
}

/**
 * Runs `task` on one input: it ends within a second of the thread's own time, and throws nothing but errors with a code.
 * `task` must give the same again: what was too slow is tried again by itself before it counts.
 */
export function withstand<T>(task: () => T): T | MillraceError {
  let result: T | MillraceError | undefined
  let leastMs = Infinity
  for (let attempt = 0; attempt < 3 && leastMs >= BUSY_MS_MAX; attempt++) {
    // Not by the clock on the wall: other processes may have the machine meanwhile.
    const before = process.threadCpuUsage()
    try {
      result = task()
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      expect(error.code).not.toBe('INTERNAL')
      result = error
    }
    const { user, system } = process.threadCpuUsage(before)
    leastMs = Math.min(leastMs, (user + system) / 1000)
  }
  took(leastMs)
  expect(leastMs).toBeLessThan(BUSY_MS_MAX)
  return result as T | MillraceError
}

/** Edits of a text: pieces cut out, doubled, swapped for a hostile one. */
export function damagedText(good: readonly string[], hostile: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat(40),
    what: fc.oneof(
      fc.constant('cut' as const),
      fc.constant('double' as const),
      fc.constantFrom(...hostile),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
  })
  return fc
    .record({ text: fc.constantFrom(...good), edits: fc.array(edit, { maxLength: 8 }) })
    .map(({ text, edits }) => {
      let damaged = text
      for (const { at, length, what } of edits) {
        const from = Math.floor(at * damaged.length)
        const piece = damaged.slice(from, from + length)
        const into = what === 'cut' ? '' : what === 'double' ? piece + piece : what
        damaged = damaged.slice(0, from) + into + damaged.slice(from + length)
      }
      return damaged
    })
}

/** Edits of bytes: bits turned, stretches cut out, doubled or replaced. */
export function damagedBytes(good: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat(12),
    into: fc.oneof(fc.constant('double' as const), fc.uint8Array({ maxLength: 12 })),
  })
  return fc
    .record({ bytes: fc.constantFrom(...good), edits: fc.array(edit, { maxLength: 8 }) })
    .map(({ bytes, edits }) => {
      let damaged = Buffer.from(bytes)
      for (const { at, length, into } of edits) {
        const from = Math.floor(at * damaged.length)
        const piece = damaged.subarray(from, from + length)
        const middle = into === 'double' ? [piece, piece] : [into]
        damaged = Buffer.concat([damaged.subarray(0, from), ...middle, damaged.subarray(from + length)])
      }
      return new Uint8Array(damaged)
    })
}
