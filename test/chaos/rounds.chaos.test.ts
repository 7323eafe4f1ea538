/**
 * Chaos rounds in short, one of each kind: a deployment with a sink of each kind is killed, robbed of a thread, of its broker
 * and of its Redis, rescaled, and frozen until another server has taken its jobs; then every sink is read back. `make chaos`
 * and the long tests have more rounds.
 */
import { expect, it } from 'vitest'
import { faultKinds } from './rounds/faults.ts'
import { runChaos } from './rounds/rounds.ts'

const full = process.env.MILLRACE_FULL === '1'

it('give every result to every sink once, whatever is killed, frozen or lost', async () => {
  const seed = full ? Math.floor(Math.random() * 2 ** 31) : 11
  const lines: string[] = []
  const { wrong, rounds, results, events } = await runChaos(full ? 24 : faultKinds.length, seed, (text) =>
    lines.push(text),
  )
  expect(wrong.slice(0, 20), `seed ${seed}: ${lines.join(', ')}`).toEqual([])
  for (const kind of faultKinds) expect(rounds[kind]).toBeGreaterThan(0)
  expect(events).toBeGreaterThan(5000)
  expect(results).toBeGreaterThan(1000)
}, 900_000)
