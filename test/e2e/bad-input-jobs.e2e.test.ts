/**
 * Job definitions with mistakes, all told at once; and jobs that fail for good beside others that do not notice.
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { openEngine, submitJob, summaryOf, type TestEngine, untilRead, untilState } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, engagementYaml, makeEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const NOON_MS = Date.UTC(2024, 2, 10, 12)

let engine: TestEngine
let client: MillraceClient

beforeAll(async () => {
  engine = await openEngine()
  client = engine.client
})

afterAll(() => engine?.close())

/** Each line with the mistake that it holds, by the field that must be named. */
const tenMistakes = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: Engagement_1 }
sources:
  - id: events
    log: { path: /tmp/none, topic: events, bound: true }
event: { message: millrace.v1.Event, time: occured_at, key: person }
watermark: { outOfOrderness: 5 parsecs }
checkpoint: { every: 1s, retain: 0 }
metrics:
  - id: views
    count: {}
    where: name = 'page_view'
    window: { tumbling: 1h }
  - id: views
    count: {}
    window: { tumbling: 1d, timezone: Europe/Berlim }
  - id: spent
    sum: { field: platform }
    window: { tumbling: 1h }
    by: [plattform]
parallelism: -2
`

const expectedMistakes = [
  [3, 'metadata.name', /Engagement_1/],
  [6, 'sources[0].log.bound', /bounded/],
  [7, 'event.time', /occured_at/],
  [8, 'watermark.outOfOrderness', /parsecs/],
  [9, 'checkpoint.retain', /0/],
  [13, 'metrics[0].where', /./],
  [15, 'metrics[1].id', /views/],
  [17, 'metrics[1].window.timezone', /Berlim/],
  [19, 'metrics[2].sum.field', /platform/],
  [21, 'metrics[2].by[0]', /plattform/],
  [22, 'parallelism', /-2/],
] as const

describe('a job definition with mistakes', () => {
  it('is refused with all of them at once, each with its line and column', async () => {
    const submitted = client.control.submit({ kind: 'text', text: tenMistakes })
    const error = (await submitted.catch((thrown: unknown) => thrown)) as MillraceError
    expect(error).toMatchObject({ code: 'JOB_INVALID', domain: 'user', retry: 'never' })
    expect(error.message).toMatch(/11 mistakes/)
    expect(error.violations.map(({ line, field }) => [line, field])).toEqual(
      expectedMistakes.map(([line, field]) => [line, field]),
    )
    for (const [i, [line, , what]] of expectedMistakes.entries()) {
      const violation = error.violations[i]!
      expect(violation.message).toMatch(what)
      // The column is that of the wrong thing: a place inside the line, behind its indentation.
      const text = tenMistakes.split('\n')[line - 1]!
      expect(violation.column).toBeGreaterThan(text.search(/\S/))
      expect(violation.column).toBeLessThanOrEqual(text.length)
    }
    // Asking first says the same, and is no failure.
    const checked = await client.control.validate({ kind: 'text', text: tenMistakes })
    expect(checked.valid).toBe(false)
    expect(checked.violations).toEqual(error.violations)
    expect(await client.control.list()).toEqual([])
  })

  it('the main job has none', async () => {
    expect(await client.control.validate({ kind: 'text', text: engagementYaml })).toMatchObject({
      valid: true,
      violations: [],
      name: 'engagement',
    })
  })

  it('what is no document at all has a place as well', async () => {
    const checked = await client.control.validate({ kind: 'text', text: 'metadata: { name: x\nsources: [' })
    expect(checked.valid).toBe(false)
    expect(checked.violations[0]!.line).toBeGreaterThan(0)
  })
})

describe('several jobs in one process', () => {
  it('some fail for good, and the others do not notice', async () => {
    const log = createLogTopic(engine.logRoot, 'shared', 2)
    onTestFinished(() => log.close())
    const window = { tumbling: '1d' }
    const checkpoint = { every: '100ms' }
    const steady = engagementJob({
      name: 'steady',
      source: log.source(),
      checkpoint,
      metrics: [
        { id: 'events', count: {}, window },
        { id: 'people', activeUsers: {}, window },
      ],
    })
    const hungry = engagementJob({
      name: 'hungry',
      source: log.source(),
      checkpoint,
      stateLimit: '1Mi',
      metrics: [{ id: 'each', count: {}, window, by: ['person'] }],
    })
    const rich = engagementJob({
      name: 'rich',
      source: log.source(),
      checkpoint,
      metrics: [{ id: 'revenue', sum: { field: 'revenue_minor' }, window }],
    })
    for (const job of [steady, hungry, rich]) await submitJob(client, job)
    for (const name of ['steady', 'hungry', 'rich']) await untilState(client, name, 'RUNNING')
    const events = (from: number, count: number, revenueMinor = 1) =>
      Array.from({ length: count }, (_, i) =>
        makeEvent({ person: `person-${from + i}-${'x'.repeat(40)}`, timeMs: NOON_MS + i, revenueMinor }),
      )
    await log.append([events(0, 500), events(500, 500)])
    for (const name of ['steady', 'hungry', 'rich']) await untilRead(client, name, 1000)

    // More people than a megabyte holds.
    await log.append([events(1000, 20_000), events(21_000, 20_000)])
    const failed = await untilState(client, 'hungry', 'FAILED')
    expect(failed.reason).toMatch(/STATE_LIMIT: .*stateLimit.*raise stateLimit/)
    expect(failed.restarts).toBe(0)
    await untilRead(client, 'rich', 41_000)

    // A sum beyond what is exact.
    const huge = 2 ** 53 - 1
    await log.append([
      [makeEvent({ person: 'a', timeMs: NOON_MS, revenueMinor: huge })],
      [makeEvent({ person: 'b', timeMs: NOON_MS, revenueMinor: huge })],
    ])
    const overflown = await untilState(client, 'rich', 'FAILED')
    expect(overflown.reason).toMatch(/SUM_OVERFLOW: .*exact integers \(2\^53\): sum a coarser unit/)
    expect(overflown.restarts).toBe(0)

    await log.append([events(50_000, 10), events(60_000, 10)])
    const { state, attempt, restarts, events: counts } = await untilRead(client, 'steady', 41_022)
    expect([state, attempt, restarts]).toEqual(['RUNNING', 1, 0])
    expect(counts).toMatchObject({ read: 41_022, applied: 41_022, late: 0, deadLettered: 0 })
    expect((await valuesOf(client, 'steady', 'events')).map(({ value }) => value)).toEqual([41_022])
    expect((await valuesOf(client, 'steady', 'people')).map(({ value }) => value)).toEqual([41_022])

    // The failed ones can be asked why, and say whose turn it is; their names can be taken over.
    const { exceptions } = await client.control.describe('hungry')
    expect(exceptions.map(({ code, operator }) => [code, operator])).toEqual([['STATE_LIMIT', 'window']])
    await expect(valuesOf(client, 'rich', 'revenue')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('SUM_OVERFLOW'),
    })
    await submitJob(client, hungry.replace('"1Mi"', '"64Mi"'))
    const again = await untilRead(client, 'hungry', 41_022)
    expect(again.events).toMatchObject({ read: 41_022, applied: 41_022 })
    expect((await valuesOf(client, 'hungry', 'each')).length).toBe(41_022)
    expect((await summaryOf(client, 'steady')).restarts).toBe(0)
  })
})
