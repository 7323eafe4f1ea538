/**
 * Conditions of a question to a view, made ready for many rows.
 *
 * Owns: testing a group's key and a value. Does not own: walking rows (operator/view.ts). Texts are compared as UTF-8
 * bytes inside the group key, so that a row that fails is never decoded.
 */
import { dimensionBytes, groupKeyOf } from './group-key.ts'
import type { DimensionCondition, ValueCondition } from './view-rows.ts'

/** True for the group keys that are asked for. */
export interface KeyTest {
  (key: Uint8Array): boolean
  /** The only key that can pass, where every dimension has one text: then it is looked up, not searched for. */
  readonly onlyKey?: Uint8Array
}

const encoder = new TextEncoder()

/** Texts above which looking up is faster than a walk. */
const WALK_MAX = 8

/** Most tests of keys in one answer: a second or two of a thread that others share. */
export const TESTS_MAX = 20_000_000

/** Thrown out of a walk that would hold its thread for too long. */
export class TooMuchWork extends Error {}

/**
 * The test for group keys of `dimensions` dimensions: `equals` names exact texts (null takes any), `conditions` what must
 * hold besides. Null when every key passes. A walk with more than `testsMax` tests ends with TooMuchWork.
 */
export function keyTest(
  dimensions: number,
  equals: readonly (string | null)[],
  conditions: readonly DimensionCondition[],
  testsMax = TESTS_MAX,
): KeyTest | null {
  const tests: KeyTest[] = []
  equals.forEach((text, index) => {
    if (text !== null) tests.push(textTest(dimensions, { dimension: index, test: 'equals', texts: [text], not: false }))
  })
  for (const condition of conditions) tests.push(textTest(dimensions, condition))
  if (tests.length === 0) return null
  let left = testsMax
  const test = (key: Uint8Array): boolean => {
    for (let i = 0; i < tests.length; i++) {
      if (left-- <= 0) throw new TooMuchWork()
      if (!tests[i]!(key)) return false
    }
    return true
  }
  const fixed = Array.from({ length: dimensions }, (_, index) => equals[index] ?? fixedText(conditions, index))
  return fixed.every((text) => text !== null)
    ? Object.assign(test, { onlyKey: groupKeyOf(fixed.map((text) => encoder.encode(text))) })
    : test
}

/** The text that a dimension must have by one of the conditions; whether it passes the others, they say. */
function fixedText(conditions: readonly DimensionCondition[], dimension: number): string | null {
  const found = conditions.find(
    (one) => one.dimension === dimension && one.test === 'equals' && !one.not && one.texts.length === 1,
  )
  return found?.texts[0] ?? null
}

function textTest(dimensions: number, condition: DimensionCondition): KeyTest {
  const { dimension, test, not } = condition
  const wanted = condition.texts.map((text) => encoder.encode(text))
  if (test === 'equals' && wanted.length > WALK_MAX) {
    const names = new Set(wanted.map(nameOf))
    return (key) => names.has(nameOf(dimensionBytes(key, dimensions, dimension))) !== not
  }
  if (wanted.length > WALK_MAX) {
    const prefixes = shortest(wanted.map(nameOf))
    return (key) => isPrefixed(nameOf(dimensionBytes(key, dimensions, dimension)), prefixes) !== not
  }
  const exact = test === 'equals'
  return (key) => {
    const bytes = dimensionBytes(key, dimensions, dimension)
    for (let i = 0; i < wanted.length; i++) {
      const text = wanted[i]!
      if ((exact ? bytes.length === text.length : bytes.length >= text.length) && startsWith(bytes, text)) return !not
    }
    return not
  }
}

function startsWith(bytes: Uint8Array, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text[i]) return false
  return true
}

/** Sorted, without those that begin with another: then at most one can be a prefix of a name, the last one up to it. */
function shortest(prefixes: readonly string[]): string[] {
  const kept: string[] = []
  for (const prefix of prefixes.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))) {
    if (kept.length === 0 || !prefix.startsWith(kept.at(-1)!)) kept.push(prefix)
  }
  return kept
}

function isPrefixed(name: string, prefixes: readonly string[]): boolean {
  let low = 0
  let high = prefixes.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (prefixes[middle]! <= name) low = middle + 1
    else high = middle
  }
  return low > 0 && name.startsWith(prefixes[low - 1]!)
}

/** Bytes as a text of the same length: different for different bytes. */
function nameOf(bytes: Uint8Array): string {
  let name = ''
  for (let i = 0; i < bytes.length; i++) name += String.fromCharCode(bytes[i]!)
  return name
}

/** Whether a value passes all conditions. NaN equals nothing and is in no order. */
export function valuePasses(value: number, conditions: readonly ValueCondition[]): boolean {
  for (let i = 0; i < conditions.length; i++) {
    const { relation, than } = conditions[i]!
    const passes =
      relation === '=='
        ? value === than
        : relation === '!='
          ? value !== than
          : relation === '<'
            ? value < than
            : relation === '<='
              ? value <= than
              : relation === '>'
                ? value > than
                : value >= than
    if (!passes) return false
  }
  return true
}
