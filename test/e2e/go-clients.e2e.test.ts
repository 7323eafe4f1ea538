/**
 * Clients that others wrote, in Go, against a real server: grpcurl knows the API by reflection alone and gets numbers
 * as JSON, and the health probe of container platforms takes the server for healthy.
 *
 * Part of `make test-full` only: both are built from source, which takes minutes and the Go tool chain.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEngine, submitJob, type TestEngine, untilState } from '../support/engine.ts'
import { makeEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { goTool, grpcHealthProbe, grpcurl } from '../support/go-tools.ts'
import { freePort } from '../support/infra-process.ts'

const full = process.env.MILLRACE_FULL === '1'
if (!full)
  process.stderr.write('NOT TESTED: gRPC clients in Go; make test-full (MILLRACE_FULL=1) builds and runs them\n')

const run = promisify(execFile)
const MINUTE = 60_000
const startMs = Date.UTC(2025, 5, 1, 12)
const BUILD_TIMEOUT_MS = 600_000

/** Three visits of two people, the last one an hour later. */
const visits = [
  { person: 'ada', platform: 'web', timeMs: startMs },
  { person: 'ben', platform: 'ios', timeMs: startMs + MINUTE },
  { person: 'ada', platform: 'web', timeMs: startMs + 61 * MINUTE },
]

const jobOf = (source: object): string =>
  JSON.stringify({
    apiVersion: 'millrace.dev/v1',
    kind: 'Job',
    metadata: { name: 'visits' },
    sources: [{ id: 'events', ...source }],
    event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person' },
    metrics: [{ id: 'visits', count: {}, window: { tumbling: '1h' }, by: ['platform'] }],
  })

// skip: building both from source takes minutes and the Go tool chain; make test-full does it
describe.runIf(full)('clients in Go', { timeout: MINUTE }, () => {
  let server: TestEngine
  let address: string
  let programs: { readonly grpcurl: string; readonly probe: string }

  beforeAll(async () => {
    programs = { grpcurl: await goTool(grpcurl), probe: await goTool(grpcHealthProbe) }
    server = await openEngine()
    address = server.engine.address
    const topic = createLogTopic(server.logRoot, 'events', 1)
    await topic.append([visits.map((visit) => makeEvent({ name: 'page_view', ...visit }))])
    await topic.close()
    const job = await submitJob(server.client, jobOf(topic.source({ bounded: true })))
    await untilState(server.client, job, 'FINISHED')
  }, BUILD_TIMEOUT_MS)

  afterAll(() => server?.close())

  const curl = async (...args: readonly string[]): Promise<string> =>
    (await run(programs.grpcurl, ['-plaintext', '-max-time', '30', ...args])).stdout

  it('grpcurl lists the services by reflection', async () => {
    const services = (await curl(address, 'list')).trim().split('\n')
    expect(services).toEqual(['grpc.health.v1.Health', 'millrace.v1.ControlService', 'millrace.v1.QueryService'])
    expect((await curl(address, 'list', 'millrace.v1.QueryService')).trim().split('\n')).toEqual([
      'millrace.v1.QueryService.ListMetrics',
      'millrace.v1.QueryService.LookupKey',
      'millrace.v1.QueryService.QueryMetric',
      'millrace.v1.QueryService.WatchMetric',
    ])
  })

  it('grpcurl describes a service and its messages', async () => {
    const service = await curl(address, 'describe', 'millrace.v1.QueryService')
    expect(service).toContain('millrace.v1.QueryService is a service')
    expect(service).toMatch(/rpc QueryMetric \( \.millrace\.v1\.QueryMetricRequest \)/)
    expect(service).toMatch(/rpc WatchMetric .* returns \( stream \.millrace\.v1\.WatchMetricResponse \)/)
    const value = await curl(address, 'describe', 'millrace.v1.MetricValue')
    expect(value).toContain('.google.protobuf.Timestamp window_start = 4;')
    expect(value).toContain('int64 int_value = 6;')
  })

  it('grpcurl queries a metric and gets the numbers as JSON', async () => {
    const request = JSON.stringify({ selection: { job: 'visits', metric: 'visits' } })
    const answer = JSON.parse(await curl('-d', request, address, 'millrace.v1.QueryService/QueryMetric')) as unknown
    const value = (windowStart: string, windowEnd: string, platform: string) =>
      expect.objectContaining({
        job: 'visits',
        metric: 'visits',
        dimensions: [{ name: 'platform', value: platform }],
        windowStart,
        windowEnd,
        intValue: '1',
        status: 'VALUE_STATUS_FINAL',
        revision: 1,
        eventCount: '1',
        watermark: '9999-12-31T23:59:59.999Z',
      })
    expect(answer).toMatchObject({
      metric: { job: 'visits', metric: 'visits', kind: 'count', dimensions: ['platform'], integer: true },
      values: [
        value('2025-06-01T12:00:00Z', '2025-06-01T13:00:00Z', 'ios'),
        value('2025-06-01T12:00:00Z', '2025-06-01T13:00:00Z', 'web'),
        value('2025-06-01T13:00:00Z', '2025-06-01T14:00:00Z', 'web'),
      ],
    })
  })

  it('grpcurl is told what is wrong, by code and in words', async () => {
    const request = JSON.stringify({ selection: { job: 'visits', metric: 'visit' } })
    const failure = run(programs.grpcurl, [
      ...['-plaintext', '-max-time', '30', '-d', request, address],
      'millrace.v1.QueryService/QueryMetric',
    ])
    await expect(failure).rejects.toMatchObject({
      stderr: expect.stringMatching(/Code: NotFound\s+Message: job visits has no metric visit; it has visits/),
    })
  })

  it('the health probe passes for the server and for each of its services', async () => {
    for (const service of ['', 'millrace.v1.ControlService', 'millrace.v1.QueryService']) {
      const { stderr } = await run(programs.probe, [`-addr=${address}`, `-service=${service}`])
      expect(stderr).toContain('status: SERVING')
    }
  })

  it('the health probe fails for a port that nobody serves', async () => {
    const probe = run(programs.probe, [`-addr=127.0.0.1:${await freePort()}`, '-connect-timeout=2s'])
    // Its own status for a connection that could not be made.
    await expect(probe).rejects.toMatchObject({ code: 2 })
  })
})
