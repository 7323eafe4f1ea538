import { expect, it } from 'vitest'
import { driftedPages } from '../../tools/reference.ts'

it('keeps docs/reference as the tables in the code say (node tools/reference.ts)', () => {
  expect(driftedPages()).toEqual([])
})
