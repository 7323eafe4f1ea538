import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyTest, TooMuchWork, valuePasses } from '../../src/operator/view-filter.ts'
import type { DimensionCondition, ValueCondition } from '../../src/operator/view-rows.ts'

const encoder = new TextEncoder()

/** The group key of these texts, written by the rule that group-key.ts states. */
function keyOf(texts: readonly string[]): Uint8Array {
  if (texts.length === 1) return encoder.encode(texts[0])
  const bytes: number[] = []
  for (const text of texts) {
    const encoded = encoder.encode(text)
    let rest = encoded.length
    for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
    bytes.push(rest, ...encoded)
  }
  return Uint8Array.from(bytes)
}

const text = fc.oneof(
  fc.constantFrom('', 'a', 'ab', 'abc', 'ä', 'äb', '界'),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
)

function holds(texts: readonly string[], condition: DimensionCondition): boolean {
  const own = texts[condition.dimension]!
  const any = condition.texts.some((wanted) => (condition.test === 'equals' ? own === wanted : own.startsWith(wanted)))
  return any !== condition.not
}

describe('conditions on a group', () => {
  it('agree with the same conditions on the decoded texts', () => {
    const groups = fc.integer({ min: 1, max: 3 }).chain((dimensions) =>
      fc.record({
        texts: fc.array(text, { minLength: dimensions, maxLength: dimensions }),
        equals: fc.array(fc.option(text), { minLength: dimensions, maxLength: dimensions }),
        conditions: fc.array(
          fc.record({
            dimension: fc.integer({ min: 0, max: dimensions - 1 }),
            test: fc.constantFrom('equals' as const, 'prefix' as const),
            texts: fc.array(text, { minLength: 1, maxLength: 20 }),
            not: fc.boolean(),
          }),
          { maxLength: 3 },
        ),
      }),
    )
    fc.assert(
      fc.property(groups, ({ texts, equals, conditions }) => {
        const expected =
          equals.every((wanted, index) => wanted === null || wanted === texts[index]) &&
          conditions.every((condition) => holds(texts, condition))
        const test = keyTest(texts.length, equals, conditions)
        expect(test === null ? true : test(keyOf(texts))).toBe(expected)
      }),
    )
  })

  it('end a walk that has too much to test', () => {
    const condition = { dimension: 0, test: 'prefix' as const, texts: ['a'], not: true }
    const test = keyTest(1, ['x'], [condition, condition], 10)!
    for (let i = 0; i < 3; i++) expect(test(keyOf(['x']))).toBe(true)
    expect(() => test(keyOf(['x']))).toThrow(TooMuchWork)
  })

  it('are none when nothing is asked', () => {
    expect(keyTest(2, [null, null], [])).toBeNull()
    expect(keyTest(0, [], [])).toBeNull()
  })
})

describe('conditions on a value', () => {
  it.each<[ValueCondition['relation'], readonly boolean[]]>([
    ['==', [false, true, false, false]],
    ['!=', [true, false, true, true]],
    ['<', [true, false, false, false]],
    ['<=', [true, true, false, false]],
    ['>', [false, false, true, false]],
    ['>=', [false, true, true, false]],
  ])('%s 5 takes 4, 5, 6 and what is no number: %j', (relation, expected) => {
    expect([4, 5, 6, Number.NaN].map((value) => valuePasses(value, [{ relation, than: 5 }]))).toEqual(expected)
  })

  it('must all hold', () => {
    const between: ValueCondition[] = [
      { relation: '>', than: 1 },
      { relation: '<', than: 3 },
    ]
    expect([1, 2, 3].map((value) => valuePasses(value, between))).toEqual([false, true, false])
    expect(valuePasses(Number.NaN, [])).toBe(true)
  })
})
