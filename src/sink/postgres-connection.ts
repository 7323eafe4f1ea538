/**
 * The connection to PostgreSQL: the one importer of `pg`.
 *
 * Owns: how the client is set up, and its errors. Does not own: statements. Everything that the client would look up in the
 * environment or in files (`PGPASSWORD`, `~/.pgpass`) is given: what a server writes to is said by its settings alone.
 */
import { Client } from 'pg'
import { MillraceError } from '../core/errors.ts'

/** How to reach the PostgreSQL of this deployment's sinks. Secrets: they stay in memory. */
export interface PostgresAccess {
  /** `postgres://host:port/database`; without user and password. */
  readonly url: string
  readonly username?: string
  readonly password?: string
  /** Set, the connection is TLS and the server's certificate is checked. PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

/** A connection on which statements run one after the other. */
export interface PostgresConnection {
  /** Rejects with MillraceError; its text has no parameter. */
  query(text: string, parameters?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Ends it; a transaction that is open is rolled back. Resolves always. */
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
/** A statement that takes longer has failed: also on a connection that died without a word. */
const STATEMENT_TIMEOUT_MS = 60_000
/** An owner that stands still within a transaction loses it after so long, and what it holds locked is free. */
const IDLE_TIMEOUT_MS = 30_000

/** Connects. Rejects with STORE_UNREACHABLE or CONFIG_INVALID. */
export async function openPostgres(access: PostgresAccess): Promise<PostgresConnection> {
  const { hostname, port, pathname, host } = new URL(access.url)
  const location = `PostgreSQL at ${host}${pathname}`
  const { tls } = access
  const client = new Client({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? 5432 : Number(port),
    database: decodeURIComponent(pathname.slice(1)) || 'postgres',
    user: access.username ?? 'postgres',
    // Not undefined: the client would look for one.
    password: access.password ?? '',
    ssl: tls === undefined ? false : { ...tls, rejectUnauthorized: true },
    application_name: 'millrace',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 5000,
    idle_in_transaction_session_timeout: IDLE_TIMEOUT_MS,
    keepAlive: true,
  })
  // Without a listener an error between two statements ends the process; the next statement reports it.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (thrown) {
    await client.end().catch(() => undefined)
    throw mapped(location, 'connect', thrown)
  }
  return {
    async query(text, parameters = []) {
      try {
        return (await client.query(text, [...parameters])).rows as Readonly<Record<string, unknown>>[]
      } catch (thrown) {
        throw mapped(location, text.trimStart().split(/\s/, 1)[0]!, thrown)
      }
    },
    async close() {
      await client.end().catch(() => undefined)
    },
  }
}

function mapped(location: string, what: string, thrown: unknown): MillraceError {
  const { message, code = '' } = thrown as { readonly message: string; readonly code?: string }
  const options = { cause: thrown }
  // Classes 28 and 42, 3D: login, rights and names. Nothing but somebody's hand mends these.
  if (/^(28|3D|42)/.test(code)) {
    const hint = 'Check user, password, rights and the columns of the table'
    return new MillraceError('CONFIG_INVALID', `${location} refuses ${what}: ${message} (${code}). ${hint}`, options)
  }
  const state = code === '' ? '' : ` (${code})`
  return new MillraceError(
    'STORE_UNREACHABLE',
    `${location} failed at ${what}: ${message || 'no answer'}${state}`,
    options,
  )
}
