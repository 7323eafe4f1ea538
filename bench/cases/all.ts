/** All bench cases, by name. */
import type { BenchCase } from './case.ts'
import { distinct } from './distinct.ts'
import { productActives, productPages, productSessions } from './product.ts'
import { session } from './session.ts'
import { sliding } from './sliding.ts'
import { tumbling } from './tumbling.ts'

/** All cases in the order in which they run. */
export const benchCases: readonly BenchCase[] = [
  tumbling,
  distinct,
  session,
  sliding,
  productActives,
  productSessions,
  productPages,
]

/** The case with that name; throws an error that lists the names. */
export function findCase(id: string): BenchCase {
  const found = benchCases.find((candidate) => candidate.id === id)
  if (found === undefined) {
    throw new Error(`no bench case ${JSON.stringify(id)}: one of ${benchCases.map((known) => known.id).join(', ')}`)
  }
  return found
}
