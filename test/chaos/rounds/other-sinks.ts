/** The sinks of the chaos rounds that are not on Kafka: an embedded log, hashes in Redis, rows in PostgreSQL. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { MetricValue } from '../../../src/gen/millrace/v1/metric.ts'
import { readLogTopic } from '../../support/events-log.ts'
import { type Expected, resultName } from './expected.ts'
import { wrongResults } from './found.ts'
import { DECLARED, type Outputs } from './jobs.ts'

/** Topics of the rounds, by what is in them. */
export interface Topics extends Outputs {
  readonly events: string
}

/** Where the sinks of a run are. */
export interface Places {
  readonly brokers: string
  /** Folder that all servers of the run share. */
  readonly folder: string
  readonly redisUrl: string
  readonly postgresUrl: string
  readonly topics: Topics
}

const LOG_TOPIC = 'results'
const REDIS_PREFIX = 'chaos-rows'

/** The sinks, by id. */
export function otherSinks(folder: string, table: string): Readonly<Record<string, object>> {
  return {
    log: { log: { path: join(folder, 'log'), topic: LOG_TOPIC } },
    hashes: { redis: { prefix: REDIS_PREFIX } },
    rows: { postgres: { table } },
  }
}

/** What a server needs to reach a PostgreSQL; the password goes to a file in `folder`. */
export function postgresEnv(url: string, folder: string): Readonly<Record<string, string>> {
  const { username, password, host, pathname } = new URL(url)
  const file = join(folder, 'postgres-password')
  writeFileSync(file, decodeURIComponent(password))
  return {
    MILLRACE_SINK_POSTGRES: `postgres://${host}${pathname}`,
    MILLRACE_SINK_POSTGRES_USER: username,
    MILLRACE_SINK_POSTGRES_PASSWORD_FILE: file,
  }
}

/** What is wrong in them, a line each. Upserts hold the last value of each result. */
export async function wrongElsewhere(places: Places, expected: Expected): Promise<string[]> {
  const log = [...(await readLogTopic(join(places.folder, 'log'), LOG_TOPIC)).values()].flat()
  const results = log.map((bytes) => MetricValue.decode(bytes))
  const { table } = (places.topics.others.rows as { readonly postgres: { readonly table: string } }).postgres
  return [
    ...wrongResults(results, expected).map((text) => `log: ${text}`),
    ...differences('redis', await redisRows(places.redisUrl), expected.values),
    ...differences('postgres', await postgresRows(places.postgresUrl, table), expected.values),
  ]
}

async function redisRows(url: string): Promise<Map<string, number>> {
  const redis = new Redis(url)
  const rows = new Map<string, number>()
  try {
    const tag = `{${REDIS_PREFIX}:${DECLARED}}:`
    for (const key of await redis.keys(`\\{${REDIS_PREFIX}:${DECLARED}}:*`)) {
      const [metric = '', window = '', group = ''] = key.slice(tag.length).split(':')
      if (metric === 'outbox') continue
      rows.set(resultName(metric, Number(window.split('-')[0]), group), Number(await redis.hget(key, 'value')))
    }
    return rows
  } finally {
    redis.disconnect()
  }
}

async function postgresRows(url: string, table: string): Promise<Map<string, number>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const group = `(SELECT string_agg(v, '/') FROM jsonb_each_text(dimensions) AS d(k, v))`
    const { rows } = await client.query<Record<string, string | null>>(
      `SELECT metric, window_key, value, ${group} AS "group" FROM ${table}`,
    )
    return new Map(
      rows.map((row) => [
        resultName(row.metric!, Number(row.window_key!.split('-')[0]), row.group ?? ''),
        Number(row.value),
      ]),
    )
  } finally {
    await client.end()
  }
}

function differences(
  where: string,
  found: ReadonlyMap<string, number>,
  expected: ReadonlyMap<string, number>,
): string[] {
  const wrong: string[] = []
  for (const [name, value] of expected) {
    if (found.get(name) !== value) wrong.push(`${where}: ${name} = ${found.get(name)}, not ${value}`)
  }
  for (const name of found.keys()) if (!expected.has(name)) wrong.push(`${where}: invented: ${name}`)
  return wrong
}
