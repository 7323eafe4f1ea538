/**
 * Savepoints of every released form are restored and read: one fixture a form and kind of job, never made anew. A new form
 * adds one: `MILLRACE_TEST_FIXTURES=write vitest run --project unit test/savepoint/fixtures.test.ts` writes those missing.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import { encodeSavepoint, SAVEPOINT_FORMAT_VERSION } from '../../src/savepoint/savepoint.ts'
import { openSavepointFolder, SavepointFiles } from '../../src/savepoint/savepoint-files.ts'
import { jobOf, simulate, topicInParts, topicOf, viewsOf } from './support.ts'

const EVENTS = 600
const SEED = 42
const fixtures = fileURLToPath(new URL('./fixtures', import.meta.url))

/** Makes the fixture of the form that this build writes. */
async function write(folder: string): Promise<void> {
  const { topic, append } = topicInParts(SEED, EVENTS)
  append(0.5)
  const simulation = simulate(SEED, topic)
  await simulation.submit(jobOf({ bounded: false }))
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.scheduler.runFor(500)
  await simulation.settle(simulation.jobSavepoints.trigger('shop', 'shop'))
  const reader = await simulation.savepoints.open({ job: 'shop', name: 'shop' })
  await simulation.close()
  mkdirSync(dirname(folder), { recursive: true })
  const files = new SavepointFiles(dirname(dirname(folder)), 'fixture', systemClock)
  const writer = await files.create({ job: `savepoint-${SAVEPOINT_FORMAT_VERSION}`, name: 'shop' })
  for (const { name } of reader.savepoint.blobs) await writer.putBlob(name, (await reader.readChunk(name))!)
  await writer.commit(encodeSavepoint(reader.savepoint))
  const whole = simulate(SEED, topicOf(SEED, EVENTS))
  await whole.submit(jobOf())
  await whole.runUntilState('shop', 'FINISHED')
  const views = [...(await viewsOf(whole))].sort(([a], [b]) => (a < b ? -1 : 1))
  await whole.close()
  const text = `${folder}-views.json`
  writeFileSync(`${text}.new`, `${JSON.stringify(views)}\n`)
  renameSync(`${text}.new`, text)
}

/** The fixture as a savepoint of job shop that a simulation may begin from. */
async function savepointsOf(folder: string): Promise<MemorySavepoints> {
  const reader = await openSavepointFolder(folder, folder, () => new Error(`no savepoint in ${folder}`) as never)
  const savepoints = new MemorySavepoints()
  const writer = await savepoints.create({ job: 'shop', name: 'shop' })
  for (const { name } of reader.savepoint.blobs) await writer.putBlob(name, (await reader.readChunk(name))!)
  await writer.commit(readFileSync(join(folder, 'savepoint.binpb')))
  return savepoints
}

const start = { savepoint: 'shop', claim: false, dropState: [] }

// State of version 2 did not describe its tables.
it.each(['1', '1-state-2'])('form %s is restored, at another parallelism too', async (form) => {
  const folder = join(fixtures, `savepoint-${form}`, 'shop')
  if (process.env.MILLRACE_TEST_FIXTURES === 'write' && !existsSync(folder)) await write(folder)
  const expected = JSON.parse(readFileSync(`${folder}-views.json`, 'utf8')) as [string, number][]
  for (const parallelism of [3, 2]) {
    const simulation = simulate(7, topicOf(SEED, EVENTS), await savepointsOf(folder))
    await simulation.submit(jobOf({ parallelism }), start)
    await simulation.runUntilState('shop', 'FINISHED')
    const views = [...(await viewsOf(simulation))].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(views).toEqual(expected)
    await simulation.close()
  }
})

it('state that does not describe its tables goes on with its own definition, and is refused with another', async () => {
  const savepoints = await savepointsOf(join(fixtures, 'savepoint-1-state-2', 'shop'))
  const simulation = simulate(7, topicOf(SEED, EVENTS), savepoints)
  const job = jobOf()
  const other = { ...job, metrics: job.metrics.slice(1) }
  await expect(simulation.submit(other, { ...start, dropState: ['views'] })).rejects.toMatchObject({
    code: 'STATE_INCOMPATIBLE',
    message: expect.stringMatching(/run it once with the definition that it had/),
  })
  // Once it has run so, a checkpoint says what there is, and the definition may change.
  await simulation.submit({ ...job, source: { ...job.source, bounded: false } as typeof job.source }, start)
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.settle(simulation.manager.checkpoint('shop'))
  const upgrade = { definition: other, schema: null, text: '' }
  const { record } = await simulation.settle(
    simulation.manager.upgrade(upgrade, { dropState: ['views'], dryRun: false }),
  )
  expect(record?.outcome).toBe('done')
  await simulation.runUntilState('shop', 'FINISHED')
  await simulation.close()
})
