/**
 * Savepoints on a real broker and stores: made while events flow and when a job stops, begun from under another name, at
 * another parallelism, on the other kind of store. Whoever begins from one ends with the oracle's numbers.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { inspectSavepoint } from '../../src/savepoint/inspect.ts'
import type { Inspection } from '../../src/savepoint/inspection.ts'
import { openSavepointFolder } from '../../src/savepoint/savepoint-files.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilRead, untilState } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences, valuesOf } from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions, makeEvent, type SampleEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'

const PARTITIONS = 4
const END_MS = Date.UTC(2024, 11, 31)
const CLOSED_MS = END_MS - 86_400_000

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

const ends = (): SampleEvent[][] =>
  Array.from({ length: PARTITIONS }, (_, i) => [makeEvent({ person: `end-${i}`, timeMs: END_MS, name: 'end' })])

/** What is left of each partition from one share of it to another. */
function part(
  filled: readonly (readonly SampleEvent[])[],
  from: number,
  to: number,
): readonly (readonly SampleEvent[])[] {
  return filled.map((list) => list.slice(Math.floor(list.length * from), Math.floor(list.length * to)))
}

async function world(what: string) {
  const prefix = `savepoints-${what}-${inject('runId')}`
  const access = await KafkaAccess.open('direct', testBrokers(), prefix)
  onTestFinished(() => access.close())
  const brokers = access.brokers.join(',')
  const folder = folderForTest(`savepoints-${what}`)
  const env = { MILLRACE_SAVEPOINT_DIR: folder }
  const topic = await createKafkaTopic(access, PARTITIONS)
  const filled = fillPartitions(engagementEvents(), PARTITIONS, 'hash')
  const job = (name: string, parallelism: number) =>
    engagementJob({
      ...{ name, parallelism, source: topic.source() },
      watermark: { outOfOrderness: '5s', idleness: '0s' },
    })
  const submitFrom = (client: Awaited<ReturnType<typeof engineForTest>>['client'], text: string, savepoint: string) =>
    client.control.submit({ kind: 'text', text }, { savepoint, claim: false, dropState: [] })
  return { prefix, brokers, folder, env, topic, filled, job, submitFrom }
}

async function inspect(path: string, keys = 5): Promise<Inspection> {
  const reader = await openSavepointFolder(
    path,
    `savepoint ${path}`,
    () => new Error(`no savepoint in ${path}`) as never,
  )
  return inspectSavepoint(reader, { table: null, keys })
}

describe('savepoints on a broker', () => {
  it('give the oracle’s numbers wherever they are begun from', async () => {
    const { prefix, brokers, folder, env, topic, filled, job, submitFrom } = await world('move')
    const first = await engineForTest({ redisUrl: testRedis(), redisPrefix: prefix, brokers, env, threads: 2 })
    await topic.append(part(filled, 0, 0.3))
    await submitJob(first.client, job('engagement', 2))
    await untilState(first.client, 'engagement', 'RUNNING')
    // Events come while it is made.
    const flowing = topic.append(part(filled, 0.3, 0.6))
    const middle = await first.client.control.triggerSavepoint('engagement', 'middle')
    expect(middle).toMatchObject({ job: 'engagement', name: 'middle', reason: 'savepoint', problem: '' })
    expect(middle.path).toBe(join(folder, 'engagement', 'middle'))
    await flowing
    await expect(first.client.control.triggerSavepoint('engagement', 'middle')).rejects.toThrow(/there is a savepoint/)
    const stopped = await first.client.control.stop('engagement', { savepoint: 'last', drain: false })
    expect(stopped.summary.state).toBe('SUSPENDED')
    expect(stopped.savepoint).toMatchObject({ name: 'last', checkpointId: stopped.checkpointId, reason: 'stop' })
    const listed = await first.client.control.listSavepoints('engagement')
    expect(listed.map(({ name }) => name)).toEqual(['last', 'middle'])
    await first.close()
    await topic.append(part(filled, 0.6, 1))
    await topic.append(ends())

    // Another name, another parallelism, a directory in place of Redis; the savepoint becomes its own.
    const second = await engineForTest({ brokers, env, threads: 3 })
    const text = job('elsewhere', 3)
    const wish = { savepoint: 'engagement/last', claim: true, dropState: [] }
    await second.client.control.submit({ kind: 'text', text }, wish)
    await untilRead(second.client, 'elsewhere', ECOM_ROWS + PARTITIONS)
    await expect.poll(() => engagementDifferences(second.client, 'elsewhere', expected, CLOSED_MS)).toEqual([])
    await expect.poll(() => existsSync(join(folder, 'engagement', 'last'))).toBe(false)
    await second.client.control.triggerSavepoint('elsewhere', 'back')
    await second.close()

    // Back to Redis: from the middle, and from what the directory had.
    const third = await engineForTest({ redisUrl: testRedis(), redisPrefix: `${prefix}-3`, brokers, env, threads: 2 })
    await submitFrom(third.client, job('engagement', 1), 'middle')
    await submitFrom(third.client, job('again', 4), 'elsewhere/back')
    for (const name of ['engagement', 'again']) {
      await untilRead(third.client, name, ECOM_ROWS + PARTITIONS)
      await expect.poll(() => engagementDifferences(third.client, name, expected, CLOSED_MS)).toEqual([])
    }
    // Not claimed: it stays.
    await third.client.control.triggerCheckpoint('engagement')
    expect(existsSync(join(folder, 'engagement', 'middle'))).toBe(true)
    await expect(submitFrom(third.client, job('engagement', 1), 'middle')).rejects.toThrow(
      /cannot begin from a savepoint/,
    )
    await third.client.control.deleteSavepoint('engagement', 'middle')
    expect(existsSync(join(folder, 'engagement', 'middle'))).toBe(false)
    await expect(submitFrom(third.client, job('new', 1), 'engagement/middle')).rejects.toMatchObject({
      code: 'SAVEPOINT_NOT_FOUND',
    })
  })

  it('say offline what the views said, and fire every window when drained', async () => {
    const { prefix, brokers, folder, env, topic, filled, job, submitFrom } = await world('look')
    const { client } = await engineForTest({ redisUrl: testRedis(), redisPrefix: prefix, brokers, env })
    await topic.append(part(filled, 0, 0.5))
    const half = part(filled, 0, 0.5).reduce((sum, list) => sum + list.length, 0)
    await submitJob(client, job('engagement', 2))
    await untilRead(client, 'engagement', half)
    const made = await client.control.triggerSavepoint('engagement', '')
    const { tables, positions, savepoint } = await inspect(made.path, 1e6)
    expect(savepoint.checkpoint.counters.read).toBe(half)
    expect(positions.reduce((sum, { offset }) => sum + offset, 0)).toBe(half)
    // Per window and group, what the views say of it.
    const rows = tables.flatMap(({ operator, samples }) => (operator === 'merge' ? samples : []))
    const views = await valuesOf(client, 'engagement', 'page_views')
    const shown = rows.flatMap(({ key, startMs, values }) =>
      Object.entries(values).flatMap(([column, value]) =>
        column.split('.')[0]!.split('+').includes('page_views') && Number(value) > 0
          ? [`${startMs} ${key.join()} ${Number(value)}`]
          : [],
      ),
    )
    expect(views.length).toBeGreaterThan(100)
    expect(shown.sort()).toEqual(
      views.map(({ windowStartMs, dimensions, value }) => `${windowStartMs} ${dimensions.join()} ${value}`).sort(),
    )
    const drained = await client.control.stop('engagement', { savepoint: 'end', drain: true })
    expect(drained.savepoint).toMatchObject({ drained: true, reason: 'drain' })
    const end = await inspect(join(folder, 'engagement', 'end'))
    for (const { operator, table, openRows } of end.tables)
      expect([operator, table, openRows]).toEqual([operator, table, 0])
    expect(end.tables.some(({ closedRows }) => closedRows > 0)).toBe(true)
    expect(end.operators.filter(({ kind }) => kind !== 'source').map(({ watermarkMinMs }) => watermarkMinMs)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ])
    await expect(submitFrom(client, job('engagement', 2), 'end')).rejects.toThrow(/made by draining/)
  })

  it('refuses what is damaged, with its name, and takes no torn folder for one', async () => {
    const { prefix, brokers, folder, env, topic, filled, job, submitFrom } = await world('torn')
    const { client } = await engineForTest({ redisUrl: testRedis(), redisPrefix: prefix, brokers, env })
    await topic.append(part(filled, 0, 0.2))
    await submitJob(client, job('engagement', 2))
    await untilRead(client, 'engagement', 1)
    await client.control.stop('engagement', { savepoint: 'good', drain: false })
    const good = join(folder, 'engagement', 'good')
    const copy = (name: string): string => {
      cpSync(good, join(folder, 'engagement', name), { recursive: true })
      return join(folder, 'engagement', name)
    }
    const blob = readdirSync(good).find((name) => name.startsWith('blob-'))!
    const damaged = join(copy('damaged'), blob)
    const bytes = readFileSync(damaged)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(damaged, bytes)
    rmSync(join(copy('missing'), blob))
    rmSync(join(copy('torn'), 'savepoint.binpb'))
    mkdirSync(join(folder, 'engagement', '.making-half-1'))
    const text = job('engagement', 2)
    for (const [name, why] of [
      ['damaged', `the checksum of ${blob} is wrong`],
      ['missing', `${blob} is missing`],
    ] as const) {
      await expect(submitFrom(client, text, name)).rejects.toMatchObject({
        code: 'SAVEPOINT_CORRUPT',
        message: expect.stringContaining(why),
      })
      await expect(inspect(join(folder, 'engagement', name))).rejects.toThrow(why)
    }
    const listed = await client.control.listSavepoints('')
    expect(listed.map(({ name }) => name).sort()).toEqual(['damaged', 'good', 'missing'])
    for (const name of ['torn', '../engagement/good/..', '/etc', 'engagement/../../x']) {
      await expect(submitFrom(client, text, name)).rejects.toThrow(/there is no savepoint|does not name a savepoint/)
    }
    // What failed has left the job as it was: it begins from the good one.
    await submitFrom(client, text, 'good')
    await untilState(client, 'engagement', 'RUNNING')
  })
})
