/** Watches over the life of a whole simulated job: they wait while it starts and restarts, and end when it rests for good. */
import { expect, it } from 'vitest'
import { followed, followedJob, views } from './support/followed.ts'

it('opened while a job starts or restarts, a watch says that it waits, delivers, and ends when the job is stopped', async () => {
  const { simulation, append, watch } = followed()
  const { scheduler, manager } = simulation
  append(10)

  await simulation.submit(followedJob(views))
  expect(simulation.status('followed').state).not.toBe('RUNNING')
  const early = watch('views')
  await scheduler.runUntil(() => early.values.at(-1) === 10, 'the values')
  expect(early.waits.length).toBeGreaterThanOrEqual(2)
  expect(early.waits[0]).toMatch(/^job followed is /)
  expect(early.waits.at(-1)).toBe(null)

  simulation.workers.crash(0)
  await simulation.runUntilState('followed', 'RESTARTING')
  const late = watch('views')
  append(5)
  await scheduler.runUntil(
    () => late.values.at(-1) === 15 && early.values.at(-1) === 15,
    'the values of the next attempt',
  )
  expect(late.waits[0]).toMatch(/^job followed is /)
  expect([...early.ends, ...late.ends]).toEqual([])

  const stopped = manager.stop('followed')
  await scheduler.runUntil(() => early.ends.length + late.ends.length === 2, 'the ends of the watches')
  await stopped
  for (const { ends } of [early, late]) expect(ends).toMatchObject([{ code: 'UNAVAILABLE', retry: 'never' }])
  await simulation.close()
})
