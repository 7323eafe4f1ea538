/**
 * The broker, the Redis and the PostgreSQL of a test run: which ones there are, and how a test finds them.
 *
 * Each is taken from the first that is there: given by the environment; a container where Docker runs; a server started
 * here (Apache Kafka from Maven jars, redis-server, postgres). Else the run fails and names what is missing; nothing is skipped.
 * One of each serves a whole run, a fresh topic or key prefix each test. A chaos test starts its own with
 * `startBroker({ own: true })`, which it may kill.
 */
import { type Broker, startBroker } from './broker.ts'
import { type PostgresServer, startPostgres } from './postgres.ts'
import { type RedisServer, startRedis } from './redis.ts'

/** Bootstrap servers of the broker of this run, as `host:port,…`. */
export const BROKERS_ENV = 'MILLRACE_TEST_BROKERS'

/** What serves at BROKERS_ENV: `redpanda`, `kafka` or, when given from outside, `given`. */
export const BROKER_KIND_ENV = 'MILLRACE_TEST_BROKER_KIND'

/** URL of the Redis of this run. */
export const REDIS_ENV = 'MILLRACE_TEST_REDIS'

/** URL of the PostgreSQL of this run, with user and password. */
export const POSTGRES_ENV = 'MILLRACE_TEST_POSTGRES'

/** The servers of one run, and how to end what was started. */
export interface Infra {
  readonly broker: Broker
  readonly redis: RedisServer
  readonly postgres: PostgresServer
  /** The addresses as environment variables, for child processes. */
  readonly env: Readonly<Record<string, string>>
  /** Ends what was started here; what was given stays. Idempotent. */
  stop(): Promise<void>
}

/** Starts or finds the servers of a run and says on stderr what serves. */
export async function startInfra(): Promise<Infra> {
  const started = await Promise.allSettled([startBroker(), startRedis(), startPostgres()])
  const [broker, redis, postgres] = started
  if (broker.status === 'rejected' || redis.status === 'rejected' || postgres.status === 'rejected') {
    const reasons: string[] = []
    for (const one of started) {
      if (one.status === 'fulfilled') await one.value.stop()
      else reasons.push(String((one.reason as Error | undefined)?.message ?? one.reason))
    }
    throw new Error(reasons.join('\n\n'))
  }
  const note = broker.value.kind === 'redpanda' ? '' : ' (not Redpanda)'
  process.stderr.write(`test broker: ${broker.value.description}${note} at ${broker.value.brokers}\n`)
  process.stderr.write(`test redis: ${redis.value.description} at ${redis.value.url}\n`)
  process.stderr.write(`test postgres: ${postgres.value.description} at ${new URL(postgres.value.url).host}\n`)
  return {
    broker: broker.value,
    redis: redis.value,
    postgres: postgres.value,
    env: {
      [BROKERS_ENV]: broker.value.brokers,
      [BROKER_KIND_ENV]: broker.value.kind,
      [REDIS_ENV]: redis.value.url,
      [POSTGRES_ENV]: postgres.value.url,
    },
    async stop() {
      await Promise.all([broker.value.stop(), redis.value.stop(), postgres.value.stop()])
    },
  }
}

/** Bootstrap servers of this run's broker. For tests of the e2e, golden and chaos projects, whose set-up started it. */
export function testBrokers(): string {
  return required(BROKERS_ENV)
}

/** URL of this run's Redis. For tests of the e2e, golden and chaos projects, whose set-up started it. */
export function testRedis(): string {
  return required(REDIS_ENV)
}

/** URL of this run's PostgreSQL. For tests of the e2e, golden and chaos projects, whose set-up started it. */
export function testPostgres(): string {
  return required(POSTGRES_ENV)
}

function required(name: string): string {
  const value = process.env[name]
  if (value) return value
  throw new Error(
    `${name} is not set: run this test in the e2e, golden or chaos project, whose global set-up starts it`,
  )
}
