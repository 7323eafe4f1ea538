/**
 * The Redis of a test: given, in a container, or redis-server started here (installed by apt when we are root).
 *
 * Every Redis started here is as durable as exactly-once needs: append-only file, fsync at every write, no eviction.
 */
import type { ContainerServer } from './infra-docker.ts'
import { dockerAnswers, startContainer } from './infra-docker.ts'
import { findRedisServer, startRedisServer } from './redis-server.ts'

/** A running Redis. */
export interface RedisServer {
  /** As `redis://host:port`. Unchanged over `kill` and `restart`. */
  readonly url: string
  readonly kind: 'given' | 'container' | 'server'
  /** What it is, for people. */
  readonly description: string
  /** Ends it for good and removes its data. A given one is left alone. Idempotent. */
  stop(): Promise<void>
  /** Kills it as a power cut would; data stays for `restart`. Throws for a given one. */
  kill(): Promise<void>
  /** Brings it up again with its data on the same port (stopping it softly first if it runs) and waits until it serves. */
  restart(): Promise<void>
}

/** How to start a Redis. */
export interface RedisOptions {
  /** True: a private instance that may be killed, whatever the environment gives. */
  readonly own?: boolean
  /** Port on loopback; default a free one. */
  readonly port?: number
  /** Settings in place of ours, as `{ appendfsync: 'everysec' }`. Implies `own`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** The Redis that the project is tested against where Docker runs. */
export const REDIS_IMAGE = 'redis:7.4-alpine'

/** What exactly-once needs of a Redis. */
export const durableSettings: Readonly<Record<string, string>> = {
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
  save: '',
}

/** Finds or starts a Redis and waits until it serves. Throws an error that names what is missing when it cannot. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const given = process.env.MILLRACE_TEST_REDIS
  if (given && !options.own && options.settings === undefined) return givenRedis(given)
  const settings = { ...durableSettings, ...options.settings }
  if (await dockerAnswers()) return containerRedis(options, settings)
  const found = findRedisServer()
  if (found.missing === '') return startRedisServer(found.path, options.port, settings)
  throw new Error(
    `No Redis for the tests: ${found.missing}, and no Docker daemon answers. Do one of: ` +
      'set MILLRACE_TEST_REDIS=redis://host:port; start Docker; install it (apt-get install redis-server).',
  )
}

/** Settings as command-line arguments of redis-server. */
export function settingsToArgs(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

async function containerRedis(options: RedisOptions, settings: Readonly<Record<string, string>>): Promise<RedisServer> {
  const server: ContainerServer = await startContainer({
    image: REDIS_IMAGE,
    containerPort: 6379,
    ...(options.port === undefined ? {} : { hostPort: options.port }),
    command: () => ['redis-server', ...settingsToArgs(settings)],
    wait: async () => (await import('testcontainers')).Wait.forLogMessage('Ready to accept connections'),
  })
  return {
    url: `redis://127.0.0.1:${server.port}`,
    kind: 'container',
    description: `Redis (${REDIS_IMAGE})`,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: () => server.restart(),
  }
}

function givenRedis(url: string): RedisServer {
  const refuse = async (): Promise<void> => {
    throw new Error('the Redis was given by MILLRACE_TEST_REDIS: use startRedis({ own: true }) to kill or restart one')
  }
  return {
    url,
    kind: 'given',
    description: 'given by MILLRACE_TEST_REDIS',
    stop: async () => {},
    kill: refuse,
    restart: refuse,
  }
}
