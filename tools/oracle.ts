/**
 * `make oracle`: every kind of metric against SQL, in every way that events come (test/oracle/README.md).
 *
 *   node tools/oracle.ts          SEED=1 is what decides all that is chance, KINDS=funnel,ratio takes some kinds
 *
 * Prints what differs, a line a kind and, last, `oracle kinds=N values=M different=0`. The exit status is 1 when anything
 * differs.
 */
import { judgeKinds } from '../test/oracle/judge.ts'
import { kinds } from '../test/oracle/kinds.ts'
import { modes } from '../test/oracle/modes.ts'

/** Lines of what differs in a kind. */
const LINES = 12

const seed = Number(process.env.SEED || 1)
const wanted = (process.env.KINDS ?? '').split(',').filter((kind) => kind !== '')
const unknown = wanted.filter((kind) => !kinds.some((known) => known.kind === kind))
if (unknown.length > 0) throw new Error(`no kind ${unknown.join()}; there are ${kinds.map(({ kind }) => kind).join()}`)

const cases = kinds.filter(({ kind }) => wanted.length === 0 || wanted.includes(kind))
const verdicts = await judgeKinds(cases, modes, seed, (line) => console.log(line))
for (const { different } of verdicts) for (const line of different.slice(0, LINES)) console.log(`different: ${line}`)
for (const { kind, values, different } of verdicts)
  console.log(`kind=${kind} values=${values} different=${different.length}`)
const values = verdicts.reduce((sum, verdict) => sum + verdict.values, 0)
const differences = verdicts.reduce((sum, { different }) => sum + different.length, 0)
console.log(`seed=${seed}`)
console.log(`oracle kinds=${verdicts.length} values=${values} different=${differences}`)
process.exit(differences === 0 && values > 0 ? 0 : 1)
