/**
 * The main job run whole; with three checkpoints and a kill -9 at parallelism 2; and resumed from there at 3. The rows are
 * the oracle's each time, and the records of the sink are the same, byte for byte but for the attempt that they name.
 *
 * Nothing is left to the clock: a checkpoint is made when it is asked for, and the kill comes when the job has read events
 * that no checkpoint has. How events fall into batches, marks and epochs is different in every run all the same.
 */
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, untilJob, untilRead, untilState } from '../support/engine.ts'
import {
  type EngagementMetric,
  engagementDifferences,
  engagementMetricIds,
  valuesOf,
} from '../support/engine-numbers.ts'
import {
  engagementEvents,
  engagementJob,
  fillPartitions,
  makeEvent,
  type SampleEvent,
  shuffleWithin,
} from '../support/events.ts'
import { createLogTopic, readLogPartition } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { MillraceServer } from '../support/server-process.ts'

const STEPS = 6
const CHECKPOINTS = 3
const END_MS = Date.UTC(2024, 11, 31)
const DAY_MS = 86_400_000

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

/** What a run has come to. */
interface Outcome {
  /** All that is final of the views' values, but the attempt. */
  readonly rows: readonly string[]
  /** Records of the sink in order, as hexadecimal key and value, all as of attempt 1. */
  readonly records: readonly string[]
  /** How many of them were there when the process was killed. */
  readonly before: number
}

interface Run {
  readonly partitions: number
  readonly parallelism: number
  /** Parallelism after the crash; null for no crash. */
  readonly resumedAt: number | null
}

/** The whole input in steps, each by partition; last comes what closes the windows of all the others. */
function steps(partitions: number): SampleEvent[][][] {
  const filled = fillPartitions(engagementEvents(), partitions, 'hash').map((events, i) =>
    shuffleWithin(events, 5000, i),
  )
  const cut = Array.from({ length: STEPS }, (_, step) =>
    filled.map((events) => events.slice((events.length * step) / STEPS, (events.length * (step + 1)) / STEPS)),
  )
  return [...cut, filled.map((_, i) => [makeEvent({ person: `end-${i}`, timeMs: END_MS, name: 'end' })])]
}

async function outcomeOf({ partitions, parallelism, resumedAt }: Run): Promise<Outcome> {
  const server = await MillraceServer.start({ threads: 3 })
  onTestFinished(() => server.stop())
  const path = server.logRoot
  const log = createLogTopic(path, 'events', partitions)
  onTestFinished(() => log.close())
  await createLogTopic(path, 'results', 1).close()
  const input = steps(partitions)
  const appendFrom = async (first: number): Promise<void> => {
    for (const step of input.slice(first)) await log.append(step)
  }
  const job = engagementJob({
    ...{ name: 'main', source: log.source(), sinks: [{ id: 'out', log: { path, topic: 'results' } }], parallelism },
    ...{ checkpoint: { every: '1h' }, watermark: { outOfOrderness: '5s', idleness: '0s' } },
  })
  let before = 0
  if (resumedAt === null) {
    await appendFrom(0)
    await submitJob(server.client, job)
  } else {
    await submitJob(server.client, job)
    await crash(server, input, log.append.bind(log))
    before = (await readLogPartition(path, 'results', 0)).length
    await server.restart()
    if (resumedAt !== parallelism) {
      await untilRescaled(server.client, resumedAt)
      await untilState(server.client, 'main', 'RUNNING')
    }
    await appendFrom(CHECKPOINTS + 1)
  }
  const { client } = server
  const summary = await untilRead(client, 'main', ECOM_ROWS + partitions)
  expect(summary.events).toMatchObject({ read: ECOM_ROWS + partitions, late: 0, deadLettered: 0, lost: 0 })
  expect(summary.parallelism).toBe(resumedAt ?? parallelism)
  await expect.poll(() => engagementDifferences(client, 'main', expected, END_MS - DAY_MS)).toEqual([])
  await expect
    .poll(async () => new Set((await closedValues(client)).map(({ status }) => status)))
    .toEqual(new Set(['final']))
  const rows = (await closedValues(client)).map((value) => JSON.stringify({ ...value, watermarkMs: 0, attempt: 0 }))
  // A job that has stopped owes its sinks nothing.
  await client.control.stop('main')
  const written = await readLogPartition(path, 'results', 0)
  const decoded = written.map(({ key, value }) => ({ key, value, said: MetricValue.decode(value) }))
  const records = decoded.map(({ key, value, said }) => {
    const bytes = said.attempt === 1 ? value : MetricValue.encode({ ...said, attempt: 1 }).finish()
    return `${Buffer.from(key!).toString('hex')} ${Buffer.from(bytes).toString('hex')}`
  })
  return { rows: rows.sort(), records, before }
}

/** Three checkpoints, each of more than the one before; then more is read, and the process dies of kill -9. */
async function crash(
  server: MillraceServer,
  input: readonly SampleEvent[][][],
  append: (step: SampleEvent[][]) => Promise<void>,
): Promise<void> {
  let read = 0
  for (let step = 0; step <= CHECKPOINTS; step++) {
    await append(input[step]!)
    read += input[step]!.flat().length
    await untilRead(server.client, 'main', read)
    if (step < CHECKPOINTS) await server.client.control.triggerCheckpoint('main')
  }
  expect((await server.client.control.listCheckpoints('main')).length).toBeGreaterThanOrEqual(CHECKPOINTS)
  await server.kill()
}

/** A server that has just started may not know its jobs yet. */
async function untilRescaled(client: MillraceClient, parallelism: number): Promise<void> {
  await untilJob(client, 'main', async () => {
    await client.control.rescale('main', parallelism)
    return true
  })
}

async function closedValues(client: MillraceClient) {
  const all = await Promise.all(engagementMetricIds.map((id) => valuesOf(client, 'main', id)))
  return all.flat().filter(({ windowStartMs }) => windowStartMs < END_MS - DAY_MS)
}

/** The records of each group of each metric, in order. */
function byGroup(records: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>()
  for (const record of records) {
    const [metric, _start, ...texts] = JSON.parse(Buffer.from(record.split(' ')[0]!, 'hex').toString()) as unknown[]
    const group = JSON.stringify([metric, ...texts])
    groups.set(group, [...(groups.get(group) ?? []), record])
  }
  return groups
}

describe.each([1, 3])('the main job over %d partitions', (partitions) => {
  it('run whole, crashed at 2 and resumed at 3 has the same rows and the same records', {
    timeout: 180_000,
  }, async () => {
    const whole = await outcomeOf({ partitions, parallelism: 2, resumedAt: null })
    expect(whole.rows.length).toBeGreaterThan(1000)
    expect(whole.records.length).toBe(whole.rows.length)
    for (const resumedAt of [2, 3]) {
      const crashed = await outcomeOf({ partitions, parallelism: 2, resumedAt })
      // Some results had been given out, and some that had been made were not.
      expect(crashed.before).toBeGreaterThan(whole.records.length / STEPS)
      expect(crashed.before).toBeLessThan((whole.records.length * (CHECKPOINTS + 1)) / STEPS)
      expect(crashed.rows).toEqual(whole.rows)
      expect(crashed.records.toSorted()).toEqual(whole.records.toSorted())
      expect(byGroup(crashed.records)).toEqual(byGroup(whole.records))
    }
  })
})

it('one partition at parallelism 1 gives the same bytes in the same order, crash or not', {
  timeout: 120_000,
}, async () => {
  const whole = await outcomeOf({ partitions: 1, parallelism: 1, resumedAt: null })
  const crashed = await outcomeOf({ partitions: 1, parallelism: 1, resumedAt: 1 })
  expect(crashed.before).toBeGreaterThan(0)
  expect(crashed.records).toEqual(whole.records)
})
