/**
 * One job with a sink of each kind, on a server that is killed again and again: what is read back from each sink is the
 * view, once.
 */
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { fillPartitions, makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic, readLogTopic } from '../support/events-log.ts'
import { testPostgres, testRedis } from '../support/infra.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 3
const EVENTS = 4000
const STEPS = 12
const KILLS = 4
const MINUTE = 60_000
const END_MS = 100 * MINUTE

/** A receiver that goes by the keys, and now and then is too busy, or has gone before it answers. */
class Receiver {
  readonly byKey = new Map<string, string>()
  repeated = 0
  readonly #server: Server
  readonly #random = new SeededRandom(7)

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const key = String(request.headers['idempotency-key'])
        const body = Buffer.concat(chunks).toString()
        const chance = nextBelow(this.#random, 25)
        if (chance === 0) {
          response.writeHead(503).end('busy')
          return
        }
        const before = this.byKey.get(key)
        if (before !== undefined) this.repeated++
        if (before !== undefined && before !== body) this.byKey.set(`${key} differs`, body)
        this.byKey.set(key, body)
        if (chance === 1) request.socket.destroy()
        else response.writeHead(204).end()
      })
    })
  }

  async start(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done))
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** What has been received, in order. */
  documents(): Record<string, unknown>[] {
    return [...this.byKey.values()].flatMap((body) =>
      body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    )
  }
}

let redis: Redis
let postgres: Client

beforeAll(async () => {
  redis = new Redis(testRedis())
  postgres = new Client({ connectionString: testPostgres() })
  await postgres.connect()
})
afterAll(async () => {
  redis.disconnect()
  await postgres.end()
})

/** One value, as text: what all sinks and the view are compared by. */
const line = (metric: string, startMs: number, group: string, value: number) => `${metric} ${startMs} ${group} ${value}`

async function view(server: MillraceServer, job: string): Promise<string[]> {
  const lines: string[] = []
  for (const metric of ['events', 'spent', 'persons']) {
    for (const { windowStartMs, dimensions, value } of await valuesOf(server.client, job, metric)) {
      if (windowStartMs < END_MS) lines.push(line(metric, windowStartMs, dimensions.join('|'), value))
    }
  }
  return lines.sort()
}

/** The newest value of each row among records in their order; every revision is there once, and they rise. */
function newest(records: readonly MetricValue[]): string[] {
  const rows = new Map<string, MetricValue>()
  for (const record of records) {
    const group = record.dimensions.map(({ value }) => value).join('|')
    const key = `${record.metric} ${record.windowStart!.getTime()} ${group}`
    const last = rows.get(key)
    expect(record.revision, `${key} after revision ${last?.revision}`).toBe((last?.revision ?? 0) + 1)
    rows.set(key, record)
  }
  return [...rows].map(([key, record]) => `${key} ${record.value!.value}`).sort()
}

/** What is left of additions and retractions. */
function netted(records: readonly MetricValue[]): string[] {
  const left = new Map<string, number>()
  for (const { metric, windowStart, dimensions, value, revision, retraction } of records) {
    const group = dimensions.map((dimension) => dimension.value).join('|')
    const name = `${line(metric, windowStart!.getTime(), group, value!.value)} revision ${revision}`
    left.set(name, (left.get(name) ?? 0) + (retraction ? -1 : 1))
  }
  expect([...left.values()].filter((count) => count !== 0 && count !== 1)).toEqual([])
  return [...left].flatMap(([name, count]) => (count === 1 ? [name.replace(/ revision \d+$/, '')] : [])).sort()
}

describe('a job with a sink of each kind', () => {
  it('has given each of them every result once, however often its server is killed', async () => {
    const name = `sinks-${inject('runId')}`
    const table = `sinks_${inject('runId')}`
    const receiver = new Receiver()
    const host = await receiver.start()
    const secrets = folderForTest('secrets')
    const { username, password, host: postgresHost, pathname } = new URL(testPostgres())
    writeFileSync(join(secrets, 'postgres'), decodeURIComponent(password))
    const server = await MillraceServer.start({
      env: {
        MILLRACE_SINK_REDIS: testRedis(),
        MILLRACE_SINK_POSTGRES: `postgres://${postgresHost}${pathname}`,
        MILLRACE_SINK_POSTGRES_USER: username,
        MILLRACE_SINK_POSTGRES_PASSWORD_FILE: join(secrets, 'postgres'),
        MILLRACE_SINK_HTTP_HOSTS: host,
      },
    })
    const topic = createLogTopic(server.logRoot, 'events', PARTITIONS)
    try {
      const path = JSON.stringify(server.logRoot)
      const job = await submitJob(
        server.client,
        `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${name} }
sources: [{ log: { path: ${path}, topic: events } }]
watermark: { outOfOrderness: 5s, idleness: 0s }
checkpoint: { every: 40ms }
restart: { fixedDelay: { attempts: 1000, delay: 20ms } }
parallelism: 2
metrics:
  - { id: events, count: {}, by: [platform], window: { tumbling: 1m }, allowedLateness: 2h }
  - { id: spent, sum: { field: revenue_minor }, by: [person], window: { tumbling: 1m }, allowedLateness: 2h }
  - { id: persons, activeUsers: {}, by: [platform], window: { tumbling: 10m }, allowedLateness: 2h }
sinks:
  - { id: log, log: { path: ${path}, topic: results } }
  - { id: changes, corrections: retract, log: { path: ${path}, topic: changes } }
  - { id: texts, format: json, log: { path: ${path}, topic: texts } }
  - { id: hashes, redis: { prefix: ${name} } }
  - { id: rows, postgres: { table: ${table} } }
  - { id: posts, http: { url: "http://${host}/in", encoding: ndjson, retry: 10s } }
deadLetters: { redis: { prefix: ${name} } }
late: { postgres: { table: ${table}_late } }
`,
      )
      const random = new SeededRandom(3)
      const kills = new Set<number>()
      while (kills.size < KILLS) kills.add(2 + nextBelow(random, STEPS - 2))
      const events: SampleEvent[] = Array.from({ length: EVENTS }, (_, i) => {
        // Some come minutes too late, and correct what has been given out.
        const lateMs = i % 11 === 0 ? 7 * MINUTE : 0
        return makeEvent({
          person: `p${i % 40}`,
          timeMs: Math.max(0, i * 900 - lateMs),
          platform: ['web', 'ios', 'a:b%'][i % 3]!,
          revenueMinor: i % 100,
        })
      })
      const filled = fillPartitions(events, PARTITIONS, 'round-robin')
      let written = 0
      const append = async (partitions: readonly (readonly SampleEvent[])[]) => {
        await topic.append(partitions)
        for (const some of partitions) written += some.length
      }
      for (let step = 0; step < STEPS; step++) {
        const at = (all: readonly SampleEvent[], of: number) => Math.floor((all.length * of) / STEPS)
        await append(filled.map((all) => all.slice(at(all, step), at(all, step + 1))))
        if (!kills.has(step)) {
          await untilJob(server.client, job, ({ state }) => state === 'RUNNING')
          await server.client.control.triggerCheckpoint(job)
          continue
        }
        for (let turns = nextBelow(random, 60); turns > 0; turns--) await server.client.control.list()
        await server.kill()
        await server.restart()
      }
      const bad: SampleEvent = { person: '', timeMs: 1, value: Buffer.from([255, 255]) }
      // Two events that nothing wants any more, and two that are none.
      await append([
        [makeEvent({ person: 'end', timeMs: END_MS * 10 })],
        [makeEvent({ person: 'end', timeMs: END_MS * 10 })],
        [makeEvent({ person: 'end', timeMs: END_MS * 10 })],
      ])
      await untilRead(server.client, job, written)
      await append([
        [makeEvent({ person: 'late', timeMs: 1 }), bad],
        [makeEvent({ person: 'late', timeMs: 2 }), bad],
        [],
      ])
      const { events: counted } = await untilRead(server.client, job, written)
      expect(counted).toMatchObject({ deadLettered: 2, late: 2 })
      await server.client.control.triggerCheckpoint(job)
      // Stopped only once the last outbox has been applied.
      const expected = await view(server, job)
      expect(expected.length).toBeGreaterThan(1000)
      await server.client.control.stop(job)

      const logged = async (name: string) => [...(await readLogTopic(server.logRoot, name)).values()].flat()
      const results = (await logged('results')).map((bytes) => MetricValue.decode(bytes))
      expect(newest(results)).toEqual(expected)
      expect(results.filter(({ revision }) => revision > 1).length).toBeGreaterThan(100)
      const changes = (await logged('changes')).map((bytes) => MetricValue.decode(bytes))
      expect(changes.filter(({ retraction }) => retraction).length).toBeGreaterThan(100)
      expect(netted(changes)).toEqual(expected)
      const ofJson = (document: Record<string, unknown>) => MetricValue.fromJSON(document)
      const texts = (await logged('texts')).map((bytes) => ofJson(JSON.parse(Buffer.from(bytes).toString()) as never))
      expect(newest(texts)).toEqual(expected)
      expect(newest(receiver.documents().map(ofJson))).toEqual(expected)
      expect([...receiver.byKey.keys()].filter((key) => key.endsWith('differs'))).toEqual([])

      const { rows } = await postgres.query<Record<string, string>>(
        `SELECT metric, window_key, value, (SELECT string_agg(v, '|') FROM jsonb_each_text(dimensions) AS d(k, v)) AS "group" FROM ${table}`,
      )
      const stored = rows.map((row) => line(row.metric!, Number(row.window_key), row.group!, Number(row.value)))
      expect(stored.sort()).toEqual(expected)
      const tag = `{${name}:${name}}:`
      const keys = (await redis.keys(`\\{${name}:${name}}:*`)).map((key) => key.slice(tag.length))
      const hashes: string[] = []
      for (const key of keys) {
        const [metric = '', window = '', group = ''] = key.split(':')
        if (metric === 'outbox' || metric === 'deadLetters') continue
        const text = group.replaceAll('%3A', ':').replaceAll('%25', '%')
        hashes.push(line(metric, Number(window), text, Number(await redis.hget(`${tag}${key}`, 'value'))))
      }
      expect(hashes.sort()).toEqual(expected)
      const letters = await redis.xrange(`${tag}deadLetters`, '-', '+')
      const reasons = letters.map(([, fields]) => (JSON.parse(fields[5]!) as { reason: string }).reason)
      expect(reasons).toEqual(['undecodable', 'undecodable'])
      const late = await postgres.query<Record<string, unknown>>(`SELECT * FROM ${table}_late ORDER BY partition`)
      expect(late.rows.map(({ key }) => String(key))).toEqual(['late', 'late'])
    } finally {
      await topic.close()
      await server.stop()
      receiver.close()
    }
  }, 180_000)
})
