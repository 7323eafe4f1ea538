/**
 * The PostgreSQL of a test: given, in a container, or a server started here (Debian's, installed by apt when we are root).
 */
import type { ContainerServer } from './infra-docker.ts'
import { dockerAnswers, startContainer } from './infra-docker.ts'
import { findPostgres, startPostgresServer, untilServing } from './postgres-server.ts'

/** A running PostgreSQL. */
export interface PostgresServer {
  /** As `postgres://user:password@host:port/database`. Unchanged over `kill` and `restart`. */
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

/** How to start one. */
export interface PostgresOptions {
  /** True: a private instance that may be killed, whatever the environment gives. */
  readonly own?: boolean
  /** Settings in place of the default, as `{ ssl: 'on' }`. Implies `own`, and a server started here. */
  readonly settings?: Readonly<Record<string, string>>
}

/** The PostgreSQL that the project is tested against where Docker runs. */
export const POSTGRES_IMAGE = 'postgres:17-alpine'

const USER = 'millrace'
const PASSWORD = 'only-for-tests'

/** Finds or starts a PostgreSQL and waits until it serves. Throws an error that names what is missing when it cannot. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const given = process.env.MILLRACE_TEST_POSTGRES
  if (given && !options.own && options.settings === undefined) return givenPostgres(given)
  if (options.settings === undefined && (await dockerAnswers())) return containerPostgres()
  const found = findPostgres()
  if (found.missing === '') return startPostgresServer(found.bin, { user: USER, password: PASSWORD }, options.settings)
  throw new Error(
    `No PostgreSQL for the tests: ${found.missing}, and no Docker daemon answers. Do one of: ` +
      'set MILLRACE_TEST_POSTGRES=postgres://user:password@host:port/database; start Docker; install it ' +
      '(apt-get install postgresql).',
  )
}

async function containerPostgres(): Promise<PostgresServer> {
  const server: ContainerServer = await startContainer({
    image: POSTGRES_IMAGE,
    containerPort: 5432,
    env: { POSTGRES_USER: USER, POSTGRES_PASSWORD: PASSWORD },
    command: () => ['postgres'],
    // Its set-up serves for a moment, and then starts anew.
    wait: async () => (await import('testcontainers')).Wait.forLogMessage(/ready to accept connections/, 2),
  })
  const url = `postgres://${USER}:${PASSWORD}@127.0.0.1:${server.port}/${USER}`
  await untilServing(url, { alive: () => true, failure: () => `${POSTGRES_IMAGE} does not answer` })
  return {
    url,
    kind: 'container',
    description: `PostgreSQL (${POSTGRES_IMAGE})`,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: () => server.restart(),
  }
}

function givenPostgres(url: string): PostgresServer {
  const refuse = async (): Promise<void> => {
    throw new Error('the server was given by MILLRACE_TEST_POSTGRES: use startPostgres({ own: true }) to kill one')
  }
  return {
    url,
    kind: 'given',
    description: 'given by MILLRACE_TEST_POSTGRES',
    stop: async () => {},
    kill: refuse,
    restart: refuse,
  }
}
