import { expect, it } from 'vitest'
import { limitInspections } from '../../src/coordinator/module-inspector.ts'
import type { ProgramDescription } from '../../src/program/graph.ts'

const nothing = {} as ProgramDescription

function setUp() {
  const running: { file: string; end: () => void; fail: (error: Error) => void }[] = []
  let most = 0
  const inspect = limitInspections((file) => {
    const { promise, resolve, reject } = Promise.withResolvers<ProgramDescription>()
    const one = { file, end: () => resolve(nothing), fail: reject }
    running.push(one)
    most = Math.max(most, running.length)
    const gone = () => running.splice(running.indexOf(one), 1)
    promise.then(gone, gone)
    return promise
  })
  const settled = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }
  return { inspect, running, most: () => most, settled }
}

it('looks at few modules at a time, and at all in the end', async () => {
  const { inspect, running, most, settled } = setUp()
  const answers = Array.from({ length: 20 }, (_, i) => inspect(`${i}.ts`))
  for (let i = 0; i < 20; i++) {
    await settled()
    // One that fails gives its turn on as well.
    if (i % 3 === 0) running[0]!.fail(new Error('no job'))
    else running[0]!.end()
  }
  const results = await Promise.allSettled(answers)
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(7)
  expect(most()).toBe(2)
  expect(running).toEqual([])
})

it('looks once for all who ask of one file at the same moment, and anew later', async () => {
  const { inspect, running, settled } = setUp()
  const first = [inspect('a.ts'), inspect('a.ts')]
  await settled()
  expect(running.map(({ file }) => file)).toEqual(['a.ts'])
  running[0]!.end()
  await Promise.all(first)
  void inspect('a.ts')
  await settled()
  expect(running).toHaveLength(1)
})

it('refuses when too many wait', async () => {
  const { inspect, settled } = setUp()
  const answers = Array.from({ length: 40 }, (_, i) => inspect(`${i}.ts`))
  for (const answer of answers) answer.catch(() => {})
  await settled()
  await expect(answers[39]).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await expect(inspect('0.ts-again')).rejects.toThrow(/34 job modules are being looked at: try again later/)
})
