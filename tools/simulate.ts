/**
 * `make simulate SEEDS=n [SEED=first]`: runs of the whole engine in virtual time, each under faults that its seed draws.
 *
 * Prints each seed that fails, with its plan; then, last, `simulate seeds=n failed=k`. The exit status is 1 when any failed.
 */
import { describeFailure, runSeed } from '../test/support/fault-seed.ts'

const count = Number(process.env.SEEDS || 1000)
const first = Number(process.env.SEED || 1)
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(first)) {
  console.error('SEEDS is how many seeds to run, from 1 on; SEED is the first of them')
  process.exit(2)
}
const started = performance.now()
let failed = 0
let refused = 0
for (let seed = first; seed < first + count; seed++) {
  const result = await runSeed(seed)
  if (result.outcome === 'refused') refused++
  if (result.wrong.length === 0) continue
  failed++
  console.log(describeFailure(result))
}
const msPerSeed = (performance.now() - started) / count
console.log(`${refused} jobs were refused after a loss of the store; ${msPerSeed.toFixed(1)} ms a seed`)
console.log(`simulate seeds=${count} failed=${failed}`)
process.exitCode = failed > 0 ? 1 : 0
