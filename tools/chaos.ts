/**
 * `make chaos ROUNDS=n [SEED=s] [KINDS=a,b]`: kills, freezes and changes a running deployment n times, and reads every sink
 * back. KINDS leaves out the other kinds of fault.
 *
 * Ends with `chaos rounds=… process=… thread=… broker=… redis=… freeze=… rescale=… wrong=…`; the exit status is not 0 when
 * anything is wrong.
 */
import { faultKinds } from '../test/chaos/rounds/faults.ts'
import { runChaos, writeWrong } from '../test/chaos/rounds/rounds.ts'

const rounds = Number(process.env.ROUNDS || 24)
const seed = Number(process.env.SEED || Math.floor(Math.random() * 2 ** 31))
const startMs = performance.now()
console.log(`chaos seed=${seed}`)
const chosen = process.env.KINDS ? process.env.KINDS.split(',') : faultKinds
const unknown = chosen.filter((kind) => !faultKinds.some((known) => known === kind))
if (unknown.length > 0) throw new Error(`KINDS: there is no ${unknown.join(', ')}: ${faultKinds.join(', ')}`)
const kinds = faultKinds.filter((kind) => chosen.includes(kind))
const result = await runChaos(rounds, seed, (text) => console.log(text), kinds)
for (const line of result.wrong.slice(0, 20)) console.log(`WRONG ${line}`)
if (result.wrong.length > 20) console.log(`… all of it is in ${writeWrong(result.wrong)}`)
console.log(
  `events=${result.events} results=${result.results} seconds=${Math.round((performance.now() - startMs) / 1000)}`,
)
const counts = faultKinds.map((kind) => `${kind}=${result.rounds[kind]}`).join(' ')
console.log(`chaos rounds=${rounds} ${counts} wrong=${result.wrong.length}`)
process.exitCode = result.wrong.length === 0 ? 0 : 1
