/** The short form of `make oracle`: every kind of metric against SQL, in the three ways that ask most of the engine. */
import { expect, it } from 'vitest'
import { judgeKinds } from '../oracle/judge.ts'
import { kinds } from '../oracle/kinds.ts'
import { modes } from '../oracle/modes.ts'

const asking = modes.filter(({ name }) => /^late|taken back$|^over crashes/.test(name))

it.each(asking)('every kind is what SQL says: $name', { timeout: 300_000 }, async (mode) => {
  const own = mode.of?.(kinds) ?? kinds
  expect(own.length).toBeGreaterThan(12)
  const verdicts = await judgeKinds(own, [mode], 1)
  for (const { kind, values, different } of verdicts) {
    expect(different, kind).toEqual([])
    expect(values, kind).toBeGreaterThan(50)
  }
})
