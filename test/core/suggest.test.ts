import { expect, it } from 'vitest'
import { didYouMean, nearestName } from '../../src/core/suggest.ts'

const names = ['platform', 'person', 'properties', 'window', 'where', 'by']

it.each([
  ['platfrom', 'platform'],
  ['Platform', 'platform'],
  ['wher', 'where'],
  ['propertys', 'properties'],
  ['yb', 'by'],
  ['elephant', undefined],
  ['', undefined],
  ['x'.repeat(1000), undefined],
])('%s', (name, expected) => {
  expect(nearestName(name, names)).toBe(expected)
})

it('is the end of a message, or nothing', () => {
  expect(didYouMean('persn', names)).toBe('; did you mean "person"?')
  expect(didYouMean('zebra', names)).toBe('')
})
