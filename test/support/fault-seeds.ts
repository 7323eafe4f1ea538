/** Seeds of the simulation as tests: a share for each test file, so that workers run them beside each other. */
import { describe, expect, it } from 'vitest'
import { describeFailure, runSeed } from './fault-seed.ts'

const SEEDS_PER_FILE = 500
const SEEDS_PER_TEST = 50

/** The tests of one file; `file` counts from 1. All files together: 2,000 seeds. */
export function faultSeeds(file: number): void {
  const first = (file - 1) * SEEDS_PER_FILE + 1
  const starts = Array.from({ length: SEEDS_PER_FILE / SEEDS_PER_TEST }, (_, i) => first + i * SEEDS_PER_TEST)
  describe('whatever goes wrong, sinks and views hold what the oracle says', () => {
    it.each(starts)('in the 50 runs from seed %i', { timeout: 120_000 }, async (start) => {
      for (let seed = start; seed < start + SEEDS_PER_TEST; seed++) {
        const result = await runSeed(seed)
        expect(result.wrong.length === 0 ? '' : describeFailure(result)).toBe('')
      }
    })
  })
}
