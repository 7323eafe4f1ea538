import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DEFAULT_KEY_GROUPS,
  KEY_GROUPS_MAX,
  keyGroupOf,
  keyGroupRangeOf,
  subtaskOf,
} from '../../src/core/key-groups.ts'

/** hash -> MathUtils.murmurHash(hash), printed by Flink 2.2.1 itself. */
const murmurOfFlink: readonly (readonly [number, number])[] = [
  [0, 593689054],
  [1, 68075478],
  [-1, 1982413648],
  [2, 1085422463],
  [42, 1134849565],
  [127, 1931274395],
  [128, 132521001],
  [255, 332370855],
  [256, 1409940790],
  [65535, 1986290322],
  [65536, 82754377],
  [123456789, 1088346449],
  [-123456789, 1470798557],
  [2147483647, 1653689534],
  [-2147483648, 1718298732],
  [-559038737, 1047277220],
  [-889275714, 2003420054],
  [776992547, 68006817],
  [1000000007, 62410208],
  [-2, 1087594050],
]

/** key groups, parallelism, index, first and last key group: KeyGroupRangeAssignment of Flink 2.2.1. */
const rangesOfFlink: readonly (readonly [number, number, number, number, number])[] = [
  [1, 1, 0, 0, 0],
  [128, 1, 0, 0, 127],
  [128, 2, 0, 0, 63],
  [128, 2, 1, 64, 127],
  [128, 3, 0, 0, 42],
  [128, 3, 1, 43, 85],
  [128, 3, 2, 86, 127],
  [128, 7, 0, 0, 18],
  [128, 7, 3, 55, 73],
  [128, 7, 6, 110, 127],
  [128, 128, 0, 0, 0],
  [128, 128, 64, 64, 64],
  [128, 128, 127, 127, 127],
  [97, 5, 0, 0, 19],
  [97, 5, 2, 39, 58],
  [97, 5, 4, 78, 96],
  [32768, 3, 0, 0, 10922],
  [32768, 3, 1, 10923, 21845],
  [32768, 3, 2, 21846, 32767],
  [32768, 200, 0, 0, 163],
  [32768, 200, 100, 16384, 16547],
  [32768, 200, 199, 32605, 32767],
]

/** Every key group belongs to one range, and to the subtask whose range it is. */
function expectPartition(keyGroups: number, parallelism: number): void {
  let next = 0
  for (let index = 0; index < parallelism; index++) {
    const { start, end } = keyGroupRangeOf(index, keyGroups, parallelism)
    if (start !== next || end < start) throw new Error(`${keyGroups} groups, subtask ${index} of ${parallelism}`)
    for (let group = start; group <= end; group++) {
      if (subtaskOf(group, keyGroups, parallelism) !== index) {
        throw new Error(`group ${group} of ${keyGroups} is in the range of subtask ${index} of ${parallelism}`)
      }
    }
    next = end + 1
  }
  expect(next).toBe(keyGroups)
}

describe('keyGroupOf', () => {
  it.each(murmurOfFlink)('mixes %i as Flink does', (hash, murmur) => {
    expect(keyGroupOf(hash, 2 ** 31)).toBe(murmur)
    expect(keyGroupOf(hash >>> 0, 2 ** 31)).toBe(murmur)
    expect(keyGroupOf(hash, DEFAULT_KEY_GROUPS)).toBe(murmur % DEFAULT_KEY_GROUPS)
  })

  it('stays within the key groups, whatever the hash', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: KEY_GROUPS_MAX }), (hash, keyGroups) => {
        const group = keyGroupOf(hash, keyGroups)
        expect(Number.isInteger(group) && group >= 0 && group < keyGroups).toBe(true)
      }),
    )
  })
})

describe('ranges of key groups', () => {
  it.each(rangesOfFlink)(
    '%i groups at parallelism %i: subtask %i has %i to %i, as in Flink',
    (groups, p, i, start, end) => {
      expect(keyGroupRangeOf(i, groups, p)).toEqual({ start, end })
    },
  )

  it('partition the key groups and agree with subtaskOf, for every parallelism up to 160 groups', () => {
    for (let keyGroups = 1; keyGroups <= 160; keyGroups++) {
      for (let parallelism = 1; parallelism <= keyGroups; parallelism++) expectPartition(keyGroups, parallelism)
    }
  })

  it('partition the key groups and agree with subtaskOf, up to the most there may be', () => {
    const sizes = fc
      .integer({ min: 1, max: KEY_GROUPS_MAX })
      .chain((n) => fc.tuple(fc.constant(n), fc.integer({ min: 1, max: n })))
    fc.assert(
      fc.property(sizes, ([keyGroups, parallelism]) => expectPartition(keyGroups, parallelism)),
      { numRuns: 60, examples: [[[KEY_GROUPS_MAX, KEY_GROUPS_MAX]], [[KEY_GROUPS_MAX, KEY_GROUPS_MAX - 1]]] },
    )
  })

  it('knows no subtask beyond the parallelism', () => {
    expect(() => keyGroupRangeOf(2, 128, 2)).toThrow(/subtask 2 of 2/)
    expect(() => keyGroupRangeOf(-1, 128, 2)).toThrow(/subtask -1 of 2/)
  })
})
