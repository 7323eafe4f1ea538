import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Scheduler } from '../../src/core/clock.ts'
import type { MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { WatchJobRequest, WatchJobResponse } from '../../src/gen/millrace/v1/control.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { KeyQuery } from '../../src/query/key-api.ts'
import { createClient, type MillraceClient } from '../../src/rpc/client.ts'
import { type RpcServer, startRpcServer } from '../../src/rpc/server.ts'
import { FakeControl } from '../support/fakes/control.ts'
import { FakeEpisodes } from '../support/fakes/episodes.ts'
import { FakeQuery, pageViews } from '../support/fakes/query.ts'

const descriptors = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))

let control: FakeControl
let query: FakeQuery
let server: RpcServer
let client: MillraceClient

/** Factor of all delays of the server. */
let pace = 1

/** Timers of the server that wait: a watch that is followed has one. */
const waiting = new Set<object>()
const scheduler: Scheduler = {
  soon: (task) => systemScheduler.soon(task),
  after: (ms, task) => {
    const name = {}
    waiting.add(name)
    const cancel = systemScheduler.after(ms * pace, () => {
      waiting.delete(name)
      task()
    })
    return () => {
      waiting.delete(name)
      cancel()
    }
  },
}

beforeEach(async () => {
  pace = 1
  control = new FakeControl()
  query = new FakeQuery()
  server = await startRpcServer({
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    control,
    query,
    episodes: new FakeEpisodes(),
    descriptors,
    scheduler,
    clock: systemClock,
  })
  client = createClient({ address: server.address, clock: systemClock, timeoutMs: 10_000 })
})

afterEach(async () => {
  client.close()
  await server.close(0)
})

/** Follows a job until the watch ends. */
function follow(name: string) {
  const updates: WatchJobResponse[] = []
  let cancel = () => {}
  const ended = new Promise<MillraceError | null>((resolve) => {
    cancel = client.control.watch(name, { onUpdate: (update) => updates.push(update), onEnd: resolve })
  })
  return { updates, ended, cancel }
}

describe('WatchJob', () => {
  it('sends the job, then its changes, the graph once, and ends with the job', async () => {
    await control.submit({ kind: 'text', text: 'name: engagement' })
    const { updates, ended } = follow('engagement')
    await vi.waitFor(() => expect(updates).toHaveLength(1))
    expect(updates[0]).toMatchObject({
      job: { name: 'engagement', attempt: 2 },
      graph: { edges: [{ partitioning: 'hash(person)' }] },
      checkpoints: { completed: 7, latest: { id: 7 } },
      progress: { pendingRecords: 5, readPerSecond: 0 },
      subtasks: [{ operator: 'events', busyRatio: 0.25 }],
      lastException: { code: 'BROKER_UNREACHABLE' },
    })
    await control.cancel('engagement')
    expect(await ended).toBeNull()
    expect(updates.map((update) => [update.graph !== undefined, update.job?.state])).toEqual([
      [true, updates[0]?.job?.state],
      [false, 10],
    ])
  })

  it('says that there is no such job', async () => {
    expect(await follow('nope').ended).toMatchObject({ code: 'JOB_NOT_FOUND' })
    expect(await follow('').ended).toMatchObject({ code: 'INPUT_INVALID' })
  })

  it('gives a slow reader the job as it is, not all that it was', async () => {
    await control.submit({ kind: 'text', text: 'name: engagement' })
    const rounds = 300
    let round = 0
    const describeNow = control.describe
    control.describe = async (name) => {
      round = Math.min(round + 1, rounds)
      const details = await describeNow(name)
      const [subtask] = details.subtasks
      const subtasks = Array.from({ length: 300 }, () => subtask!)
      return { ...details, subtasks, summary: { ...details.summary, attempt: round } }
    }
    pace = 0
    // A plain HTTP/2 client, since the library's own reads on whether anybody listens or not.
    const session = connect(`http://${server.address}`)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/millrace.v1.ControlService/WatchJob',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const request = WatchJobRequest.encode({ name: 'engagement' }).finish()
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]))
    await vi.waitFor(() => expect(round).toBe(rounds), 20_000)
    const updates: WatchJobResponse[] = []
    let bytes = Buffer.alloc(0)
    stream.on('data', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data])
      while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
        const length = 5 + bytes.readUInt32BE(1)
        updates.push(WatchJobResponse.decode(bytes.subarray(5, length)))
        bytes = bytes.subarray(length)
      }
    })
    await vi.waitFor(() => expect(updates.at(-1)?.job?.attempt).toBe(rounds))
    const attempts = updates.map(({ job }) => job?.attempt ?? 0)
    expect(attempts).toEqual(attempts.toSorted((a, b) => a - b))
    // What was on its way when the reader stopped, and the last one.
    expect(attempts.length).toBeLessThan(50)
    expect(updates.filter(({ graph }) => graph !== undefined)).toHaveLength(1)
    session.destroy()
  })

  it('stops looking when the caller goes', async () => {
    await control.submit({ kind: 'text', text: 'name: engagement' })
    const { updates, cancel } = follow('engagement')
    await vi.waitFor(() => expect([updates.length, waiting.size]).toEqual([1, 1]))
    cancel()
    await vi.waitFor(() => expect(waiting.size).toBe(0))
  })
})

describe('LookupKey', () => {
  const lookup: KeyQuery = {
    events: 0,
    job: 'engagement',
    key: 'ännä',
    metrics: ['views_of_person'],
    fromMs: Date.UTC(2024, 2, 13),
    toMs: Number.POSITIVE_INFINITY,
    limit: 7,
  }

  it('carries the key, the range and the rows there and back', async () => {
    const { results, subtask, watermarkMs } = await client.query.lookupKey(lookup)
    expect(query.lookups).toEqual([lookup])
    expect([subtask, watermarkMs]).toEqual([3, Date.UTC(2024, 2, 13, 11)])
    expect(results).toEqual([
      {
        info: { ...pageViews, metric: 'views_of_person', dimensions: ['person', 'platform'] },
        dimensions: ['person', 'platform'],
        values: query.values.map((value) => ({ ...value, dimensions: ['ännä', ...value.dimensions] })),
        truncated: false,
        ofPerson: false,
      },
    ])
    await client.query.lookupKey({ ...lookup, limit: 0 })
    expect(query.lookups[1]?.limit).toBe(1000)
  })

  it('refuses what names nothing', async () => {
    await expect(client.query.lookupKey({ ...lookup, key: '', job: '' })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      violations: [{ field: 'job' }, { field: 'key' }],
    })
    await expect(client.query.lookupKey({ ...lookup, toMs: 5, fromMs: 6 })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
    })
    await expect(client.query.lookupKey({ ...lookup, limit: 1_000_000 })).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
    })
  })
})

describe('conditions', () => {
  const everything: MetricQuery = {
    job: 'engagement',
    metric: 'page_views',
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    filters: new Map(),
    groupBy: null,
    limit: 1000,
    latest: false,
  }

  it('travel as they are', async () => {
    const asked: MetricQuery = {
      ...everything,
      where: [
        { name: 'platform', test: 'prefix', texts: ['io', ''], not: true },
        { name: 'platform', test: 'equals', texts: ['web'], not: false },
      ],
      values: (['==', '!=', '<', '<=', '>', '>='] as const).map((relation, than) => ({ relation, than: than - 2.5 })),
      top: { count: 3, ascending: true },
    }
    await client.query.query(asked)
    expect(query.queries[0]).toEqual(asked)
  })

  it('are refused with all that is wrong', async () => {
    const wrong: MetricQuery = {
      ...everything,
      where: [{ name: '', test: 'equals', texts: [], not: false }],
      values: [{ relation: '>', than: Number.NaN }],
    }
    await expect(client.query.query(wrong)).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      violations: [
        { field: 'selection.where[0].name' },
        { field: 'selection.where[0].values' },
        { field: 'selection.values[0].value' },
      ],
    })
  })
})
