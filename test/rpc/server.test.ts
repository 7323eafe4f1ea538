import { readFileSync } from 'node:fs'
import { credentials } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { ControlServiceClient } from '../../src/gen/millrace/v1/control.ts'
import { JobDefinition } from '../../src/gen/millrace/v1/job.ts'
import { QueryServiceClient, type WatchMetricResponse } from '../../src/gen/millrace/v1/query.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricResult } from '../../src/query/metric-info.ts'
import { createClient, type MillraceClient } from '../../src/rpc/client.ts'
import { toSelection } from '../../src/rpc/selection-messages.ts'
import { type RpcServer, startRpcServer } from '../../src/rpc/server.ts'
import { FakeControl, someCheckpoint } from '../support/fakes/control.ts'
import { FakeEpisodes } from '../support/fakes/episodes.ts'
import { averageRevenue, FakeQuery, pageViews, someValue } from '../support/fakes/query.ts'

const descriptors = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))

let control: FakeControl
let query: FakeQuery
let server: RpcServer
let client: MillraceClient

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

beforeEach(async () => {
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
    scheduler: systemScheduler,
    clock: systemClock,
  })
  client = createClient({ address: server.address, clock: systemClock, timeoutMs: 10_000 })
})

afterEach(async () => {
  client.close()
  await server.close(0)
})

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(MillraceError)
    return thrown as MillraceError
  }
  throw new Error('the call did not fail')
}

describe('ControlService', () => {
  it('carries jobs there and back', async () => {
    const summary = await client.control.submit({ kind: 'text', text: 'name: engagement' })
    expect(summary).toEqual(control.jobs.get('engagement')?.summary)
    expect(await client.control.list()).toEqual([summary])
    const details = await client.control.describe('engagement')
    expect(details.graph?.edges).toEqual([{ from: 'events', to: 'window', partitioning: 'hash(person)' }])
    expect(details.subtasks[0]).toMatchObject({ operator: 'events', busyRatio: 0.25, pendingRecords: 5 })
    expect(details.partitions).toMatchObject([
      { partition: 0, lag: -1, reachable: false, watermark: undefined },
      { partition: 1, lag: 5, reachable: true },
    ])
    expect(details.checkpoints?.latest?.id).toBe(7)
    expect(details.exceptions[0]?.code).toBe('BROKER_UNREACHABLE')
    expect(await client.control.triggerCheckpoint('engagement')).toEqual(someCheckpoint)
    expect((await client.control.listCheckpoints('engagement')).map((checkpoint) => checkpoint.id)).toEqual([7, 6])
    expect((await client.control.stop('engagement')).checkpointId).toBe(7)
    expect((await client.control.cancel('engagement')).state).toBe('CANCELLED')
  })

  it('answers a definition with mistakes by all of them, with their places', async () => {
    const result = await client.control.validate({ kind: 'text', text: 'mistake' })
    expect(result).toMatchObject({ valid: false, graph: null, violations: control.violations })
    const error = await failure(client.control.submit({ kind: 'text', text: 'mistake' }))
    expect(error).toMatchObject({ code: 'JOB_INVALID', domain: 'user', retry: 'never', violations: control.violations })
  })

  it('keeps the code, domain and retry hint of any failure', async () => {
    expect(await failure(client.control.describe('nope'))).toMatchObject({ code: 'JOB_NOT_FOUND', domain: 'user' })
    control.list = async () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no Redis')
    }
    expect(await failure(client.control.list())).toMatchObject({
      code: 'STORE_UNREACHABLE',
      domain: 'external',
      retry: 'backoff',
      message: 'no Redis',
    })
    control.list = async () => {
      throw new TypeError('a bug')
    }
    expect(await failure(client.control.list())).toMatchObject({ code: 'INTERNAL', message: 'a bug' })
    expect(await failure(client.control.cancel(''))).toMatchObject({ code: 'INPUT_INVALID' })
  })

  it('survives more violations and a longer message than a header may hold', async () => {
    control.violations = Array.from({ length: 500 }, (_, index) => ({
      field: `metrics[${index}].window.tumbling`,
      message: 'is not a duration; write it as 5s, 1m, 1h or 1d — für jedes Fenster',
      line: index + 1,
      column: 3,
    }))
    const error = await failure(client.control.submit({ kind: 'text', text: 'mistake' }))
    expect(error.code).toBe('JOB_INVALID')
    expect(error.violations.length).toBeGreaterThan(20)
    expect(error.violations.at(-1)?.message).toMatch(/^and \d+ more/)
    control.list = async () => {
      throw new MillraceError('INTERNAL', 'x'.repeat(100_000))
    }
    expect((await failure(client.control.list())).message.length).toBeLessThan(2000)
  })

  it('takes the structured form as the document that YAML would be', async () => {
    const document = {
      apiVersion: 'millrace.dev/v1',
      kind: 'Job',
      metadata: { name: 'engagement' },
      sources: [
        { id: 'events', kafka: { topic: 'events', start: { latest: {} }, checkCrcs: false } },
        { id: 'more', log: { path: 'x', start: { offsets: { partitions: { 0: 5 }, otherwise: 'latest' } } } },
      ],
      watermark: { outOfOrderness: '5s' },
      metrics: [{ id: 'views', count: {}, by: ['platform'], window: { tumbling: '1m' } }],
      deadLetters: { log: { path: 'dead' } },
      sample: {
        columns: { event_id: { row: true }, person: { column: 'user_id' } },
        names: { search: { name: 'feature_interaction', properties: { feature: 'search', rank: 1 } } },
      },
    }
    const raw = new ControlServiceClient(server.address, credentials.createInsecure())
    await new Promise<void>((resolve, reject) => {
      const job = { $case: 'definition', value: JobDefinition.fromJSON(document) } as const
      raw.submitJob({ job, descriptorSet: Buffer.alloc(0) }, (error) => (error === null ? resolve() : reject(error)))
    })
    raw.close()
    expect(control.submitted).toEqual([{ kind: 'document', document }])
  })

  it('sends a document as it is, with what no message knows', async () => {
    await client.control.submit({ kind: 'document', document: { metadata: { name: 'engagement' }, unknown: 1 } })
    const sent = control.submitted[0]
    expect(sent?.kind === 'text' && JSON.parse(sent.text)).toEqual({ metadata: { name: 'engagement' }, unknown: 1 })
  })

  it('refuses a request that is too large, and goes on', async () => {
    const error = await failure(client.control.submit({ kind: 'text', text: 'x'.repeat(2 << 20) }))
    expect(error.message).toMatch(/larger than max/)
    expect(await client.control.list()).toEqual([])
  })
})

describe('QueryService', () => {
  it('carries metrics, queries and values there and back', async () => {
    expect(await client.query.listMetrics('')).toEqual([averageRevenue, pageViews])
    const asked: MetricQuery = {
      ...everything,
      fromMs: Date.UTC(2024, 2, 13),
      toMs: Date.UTC(2024, 2, 14),
      filters: new Map([['platform', 'ios']]),
      groupBy: ['platform'],
      limit: 5,
      latest: true,
    }
    const result = await client.query.query(asked)
    expect(query.queries[0]).toEqual({ ...asked, where: [], values: [], top: null })
    expect(result).toEqual({ info: pageViews, dimensions: ['platform'], values: [someValue()], truncated: false })
  })

  it('keeps infinite watermarks, negative zero-free doubles and totals apart', async () => {
    query.values = [
      someValue({ watermarkMs: Number.NEGATIVE_INFINITY, value: -3 }),
      someValue({ dimensions: ['web'], watermarkMs: Number.POSITIVE_INFINITY, value: 0.1 }),
    ]
    const result = await client.query.query({ ...everything, groupBy: [] })
    expect(query.queries[0]?.groupBy).toEqual([])
    expect(result.values.map((value) => [value.watermarkMs, value.value])).toEqual([
      [Number.NEGATIVE_INFINITY, -3],
      [Number.POSITIVE_INFINITY, 0.1],
    ])
  })

  it('refuses what cannot be answered', async () => {
    expect(await failure(client.query.query({ ...everything, metric: 'nope' }))).toMatchObject({
      code: 'METRIC_NOT_FOUND',
    })
    expect(await failure(client.query.query({ ...everything, metric: '', job: '' }))).toMatchObject({
      code: 'QUERY_INVALID',
      violations: [{ field: 'selection.job' }, { field: 'selection.metric' }],
    })
    expect(await failure(client.query.query({ ...everything, limit: 1_000_000 }))).toMatchObject({
      code: 'QUERY_TOO_LARGE',
    })
    expect(await failure(client.query.query({ ...everything, fromMs: 5, toMs: 5 }))).toMatchObject({
      code: 'QUERY_INVALID',
    })
  })

  it('ends a call whose deadline passes', async () => {
    const hasty = createClient({ address: server.address, clock: systemClock, timeoutMs: 50 })
    query.listMetrics = () => new Promise(() => {})
    expect(await failure(hasty.query.listMetrics(''))).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    hasty.close()
  })
})

describe('WatchMetric', () => {
  it('sends the values, then the changes, and ends with the job', async () => {
    const results: MetricResult[] = []
    const ended = new Promise<MillraceError | null>((resolve) => {
      client.query.watch(everything, { onValues: (result) => results.push(result), onEnd: resolve })
    })
    await vi.waitFor(() => expect(results.flatMap((result) => result.values)).toHaveLength(2))
    query.change([someValue({ value: 43, revision: 2, status: 'corrected' })])
    await vi.waitFor(() => expect(results.at(-1)?.values[0]?.value).toBe(43))
    expect(results.at(-1)?.info).toEqual(pageViews)
    query.end(null)
    expect(await ended).toBeNull()
    await vi.waitFor(() => expect(server.watches()).toBe(0))
  })

  it('tells a watcher of no values that the watch stands', async () => {
    const results: MetricResult[] = []
    const cancel = client.query.watch(
      everything,
      { onValues: (result) => results.push(result), onEnd: () => {} },
      { changesOnly: true },
    )
    await vi.waitFor(() => expect(results).toEqual([{ ...results[0], info: pageViews, values: [] }]))
    cancel()
  })

  it('stops following when the caller cancels or goes away', async () => {
    const other = createClient({ address: server.address, clock: systemClock })
    const ends: unknown[] = []
    const cancel = client.query.watch(everything, { onValues: () => {}, onEnd: (error) => ends.push(error) })
    other.query.watch(everything, { onValues: () => {}, onEnd: () => {} })
    await vi.waitFor(() => expect(query.watchers.size).toBe(2))
    cancel()
    await vi.waitFor(() => expect(query.watchers.size).toBe(1))
    other.close()
    await server.close(0)
    await vi.waitFor(() => expect(server.watches()).toBe(0))
    expect(query.watchers.size).toBe(0)
    expect(ends).toEqual([])
  })

  it('passes failures on, at the start and later', async () => {
    const start = await new Promise((resolve) => {
      client.query.watch({ ...everything, metric: 'nope' }, { onValues: () => {}, onEnd: resolve })
    })
    expect(start).toMatchObject({ code: 'METRIC_NOT_FOUND' })
    const later = new Promise((resolve) => {
      client.query.watch(everything, { onValues: () => {}, onEnd: resolve })
    })
    await vi.waitFor(() => expect(query.watchers.size).toBe(1))
    query.end(new MillraceError('UNAVAILABLE', 'the job restarts'))
    expect(await later).toMatchObject({ code: 'UNAVAILABLE', message: 'the job restarts' })
    await vi.waitFor(() => expect(server.watches()).toBe(0))
  })
})

describe('a slow reader of a watch', () => {
  it('gets the latest value of each key, not every one, and costs no queue', async () => {
    const raw = new QueryServiceClient(server.address, credentials.createInsecure())
    const stream = raw.watchMetric({ selection: toSelection(everything), changesOnly: true })
    // Nobody reads: no `data` listener yet.
    await vi.waitFor(() => expect(query.watchers.size).toBe(1))
    const keys = 50
    const rounds = 2000
    const padding = 'x'.repeat(200)
    for (let round = 1; round <= rounds; round++) {
      query.change(
        Array.from({ length: keys }, (_, key) => someValue({ dimensions: [`${key}${padding}`], value: round })),
      )
      if (round % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const latest = new Map<string, number>()
    let values = 0
    stream.on('data', (response: WatchMetricResponse) => {
      for (const value of response.values) {
        values++
        const key = value.dimensions[0]?.value ?? ''
        expect(value.value?.value ?? 0).toBeGreaterThan(latest.get(key) ?? 0)
        latest.set(key, value.value?.value ?? 0)
      }
    })
    stream.on('error', () => {})
    await vi.waitFor(() => {
      expect(latest.size).toBe(keys)
      expect([...latest.values()].every((value) => value === rounds)).toBe(true)
    })
    expect(values).toBeLessThan((keys * rounds) / 4)
    stream.cancel()
    raw.close()
  })
})

describe('a server that is not there', () => {
  it('is unreachable, with what to do', async () => {
    await server.close(0)
    const error = await failure(client.control.list())
    expect(error.code).toBe('UNAVAILABLE')
    expect(error.message).toContain('millrace serve')
  })

  it('cannot be started twice on one port', async () => {
    const second = startRpcServer({
      host: '127.0.0.1',
      port: server.port,
      maxMessageBytes: 1 << 20,
      control,
      query,
      episodes: new FakeEpisodes(),
      descriptors,
      scheduler: systemScheduler,
      clock: systemClock,
    })
    expect(await failure(second)).toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
