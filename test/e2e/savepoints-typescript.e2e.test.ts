/** Savepoints of jobs in TypeScript: looked at without the module, and begun from at another parallelism. */
import { expect, it } from 'vitest'
import { inspectSavepoint } from '../../src/savepoint/inspect.ts'
import { openSavepointFolder } from '../../src/savepoint/savepoint-files.ts'
import { engineForTest, folderForTest, submitJob, untilRead } from '../support/engine.ts'
import { makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { countingJob, writeModule } from '../support/job-modules.ts'

const START_MS = Date.UTC(2024, 2, 1)

/** Events of 40 people: person p has one for every p + 1 from `from` to `to`. */
function events(from: number, to: number): SampleEvent[] {
  return Array.from({ length: to - from }, (_, i) =>
    makeEvent({ person: `p${(from + i) % 40}`, timeMs: START_MS + (from + i) * 1000 }),
  )
}

function counted(until: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (let i = 0; i < until; i++) counts.set(`p${i % 40}`, (counts.get(`p${i % 40}`) ?? 0) + 1)
  return counts
}

async function countsIn(path: string): Promise<{ counts: Map<string, unknown>; keys: number; used: number }> {
  const reader = await openSavepointFolder(path, path, () => new Error(`no savepoint in ${path}`) as never)
  const { tables, savepoint } = await inspectSavepoint(reader, { table: 'counts', keys: 1000 })
  expect(savepoint.program).toBe(true)
  expect(savepoint.operators.find(({ id }) => id === 'counts')?.slots).toEqual(['n:value'])
  const [table] = tables
  const counts = new Map(table!.samples.map(({ key, values }) => [key.join(), values.n]))
  return { counts, keys: table!.keys, used: table!.spread.used }
}

it('a job in TypeScript goes on from a savepoint, which says what is kept of each key', async () => {
  const folder = folderForTest('jobs')
  const savepoints = folderForTest('savepoints')
  const env = { MILLRACE_JOBS_DIR: folder, MILLRACE_SAVEPOINT_DIR: savepoints }
  const first = await engineForTest({ env })
  const topic = createLogTopic(first.logRoot, 'events', 2)
  const input = topic.source()
  const moduleOf = (name: string, parallelism: number): string =>
    writeModule(
      folder,
      `${name}.ts`,
      countingJob(name, input)
        .replace(`path: ${JSON.stringify(name)}`, `path: ${JSON.stringify(first.logRoot)}`)
        .replace('parallelism: 2', `parallelism: ${parallelism}`),
    )
  const halves = (from: number, to: number): SampleEvent[][] => [
    events(from, to).filter((_, i) => i % 2 === 0),
    events(from, to).filter((_, i) => i % 2 === 1),
  ]
  await submitJob(first.client, moduleOf('counting', 2))
  await topic.append(halves(0, 1000))
  await untilRead(first.client, 'counting', 1000)
  const stopped = await first.client.control.stop('counting', { savepoint: 'half', drain: false })
  const half = await countsIn(stopped.savepoint!.path)
  expect(half.counts).toEqual(counted(1000))
  expect(half.keys).toBe(40)
  expect(half.used).toBeGreaterThan(20)

  const second = await engineForTest({ env, threads: 3 })
  const wish = { savepoint: 'counting/half', claim: false, dropState: [] }
  await second.client.control.submit({ kind: 'text', text: moduleOf('wider', 3) }, wish)
  await topic.append(halves(1000, 2500))
  await untilRead(second.client, 'wider', 2500)
  const all = await second.client.control.triggerSavepoint('wider', 'all')
  expect((await countsIn(all.path)).counts).toEqual(counted(2500))
  await topic.close()
})
