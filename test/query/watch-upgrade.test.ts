/** A watch over upgrades and rescales of its job: it waits, finds its metric again wherever it is now, and ends when it is gone. */
import { expect, it } from 'vitest'
import { followed, followedJob, type Told, views } from './support/followed.ts'

const people = '{ id: people, activeUsers: {}, window: { tumbling: 1h }, by: [platform] }'
const other = '{ id: views, sum: { field: revenue_minor }, window: { tumbling: 1h } }'

it('a watch goes on over an upgrade and a rescale, and ends when its metric is gone or means something else', async () => {
  const { simulation, append, watch } = followed()
  const { scheduler, manager } = simulation
  const upgrade = async (metrics: string, dropState: readonly string[] = []): Promise<void> => {
    const submission = { definition: followedJob(metrics), schema: null, text: '' }
    const { record } = await simulation.settle(manager.upgrade(submission, { dropState, dryRun: false }))
    expect(record?.outcome).toBe('done')
  }
  const until = (seen: Told, value: number) =>
    scheduler.runUntil(() => seen.values.at(-1) === value, `the value ${value}`)

  append(10)
  await simulation.submit(followedJob(views))
  const first = watch('views')
  await until(first, 10)

  // Another metric comes before it, in a table of its own.
  await upgrade(`${people}, ${views}`)
  append(6)
  await until(first, 16)
  const second = watch('people')
  await until(second, 6)
  await simulation.settle(manager.rescale('followed', 3))
  append(4)
  await until(first, 20)
  expect(first.waits.at(-1)).toBe(null)
  expect([...first.ends, ...second.ends]).toEqual([])
  // What a watch tells never goes back but by a change of attempt, and none is here that lost anything.
  expect(first.values).toEqual(first.values.toSorted((a, b) => a - b))

  await upgrade(views, ['people'])
  await scheduler.runUntil(() => second.ends.length > 0, 'the end of what is gone')
  expect(second.ends).toMatchObject([{ code: 'METRIC_NOT_FOUND' }])
  append(2)
  await until(first, 22)
  await upgrade(other, ['views'])
  await scheduler.runUntil(() => first.ends.length > 0, 'the end of what means something else')
  expect(first.ends).toMatchObject([{ code: 'QUERY_INVALID' }])
  await simulation.close()
})
