/** Runs kinds through modes and says, kind by kind, how many values were compared and how many differ. */
import type { OracleCase } from './case.ts'
import { compare, type Expected, expectedOf } from './compare.ts'
import { openOracle } from './engagement-oracle.ts'
import type { OracleMode } from './mode-job.ts'
import { lateSql } from './sample.ts'

/** How a kind fared. */
export interface Verdict {
  readonly kind: string
  values: number
  /** What differs, with the mode and the metric. */
  readonly different: string[]
}

/** What is expected of each metric, of all events and of those that come in time. */
async function expectations(
  cases: readonly OracleCase[],
): Promise<Readonly<Record<'all' | 'withoutLate', ReadonlyMap<string, Expected>>>> {
  const oracle = await openOracle()
  const expected = async (): Promise<ReadonlyMap<string, Expected>> => {
    const found = new Map<string, Expected>()
    for (const { metrics } of cases)
      for (const [id, metric] of Object.entries(metrics)) found.set(id, await expectedOf(oracle, metric))
    return found
  }
  try {
    const all = await expected()
    await oracle.sql(`DELETE FROM events WHERE ${lateSql}`)
    return { all, withoutLate: await expected() }
  } finally {
    oracle.close()
  }
}

/** Judges `cases` in `modes`; `say` hears what goes on. */
export async function judgeKinds(
  cases: readonly OracleCase[],
  modes: readonly OracleMode[],
  seed: number,
  say: (line: string) => void = () => {},
): Promise<readonly Verdict[]> {
  const expected = await expectations(cases)
  const verdicts = cases.map(({ kind }): Verdict => ({ kind, values: 0, different: [] }))
  for (const mode of modes) {
    const startMs = performance.now()
    let judged = 0
    const own = mode.of?.(cases) ?? cases
    if (own.length === 0) continue
    await mode.run(own, seed, (told, of) => {
      own.forEach(({ kind, metrics }) => {
        const verdict = verdicts.find((one) => one.kind === kind)!
        for (const [id, metric] of Object.entries(metrics)) {
          const { values, different } = compare(metric, expected[of].get(id)!, told.get(id)!)
          judged += values
          verdict.values += values
          verdict.different.push(...different.map((line) => `${mode.name}: ${id} ${line}`))
        }
      })
    })
    const metrics = own.reduce((sum, one) => sum + Object.keys(one.metrics).length, 0)
    say(
      `${mode.name}: ${own.length} kinds, ${metrics} metrics, ${judged} values in ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
    )
  }
  return verdicts
}
