/** What the tests against hostile input share: how many runs, how long one may take, and bytes and texts made of good ones. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'

/** Runs of each property: 25,000 of each of the four kinds of input in `make test-full`, fewer in every run. */
export const fuzzRuns = process.env.MILLRACE_FULL === '1' ? 25_000 : 400

/** Longest that one input may keep the processor busy. */
const CPU_MS_MAX = 1000

/** Runs `task` on one input: it ends within a second of processor time, and throws nothing but errors with a code. */
export function withstand<T>(task: () => T): T | MillraceError {
  // Not by the clock on the wall: other processes may have the machine meanwhile.
  const before = process.cpuUsage()
  let result: T | MillraceError
  try {
    result = task()
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    expect(error.code).not.toBe('INTERNAL')
    result = error
  }
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(CPU_MS_MAX)
  return result
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
