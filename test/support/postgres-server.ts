/**
 * A PostgreSQL server as a child process on loopback.
 *
 * It refuses to run as root: then it is run as the user that its package has made, with its data in the system's temporary
 * folder, which that user can reach.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { aptInstall } from './apt.ts'
import { freePort, makeDataDir, removeDataDir, ServerProcess, waitUntil } from './infra-process.ts'
import type { PostgresServer } from './postgres.ts'

/** User of the server when we are root. */
const SYSTEM_USER = 'postgres'

/** Where initdb and postgres are; installs them by apt when they are missing and we may. `missing` says why not. */
export function findPostgres(): { readonly bin: string; readonly missing: string } {
  const found = installedAt()
  if (found !== undefined) return { bin: found, missing: '' }
  const missing = aptInstall('postgres', 'postgresql')
  if (missing !== '') return { bin: '', missing }
  const installed = installedAt()
  return { bin: installed ?? '', missing: installed === undefined ? 'there is no initdb after apt-get install' : '' }
}

function installedAt(): string | undefined {
  const versions = globSync('/usr/lib/postgresql/*/bin').sort((a, b) => versionOf(b) - versionOf(a))
  const path = (process.env.PATH ?? '').split(delimiter)
  return [...versions, ...path].find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')))
}

function versionOf(bin: string): number {
  return Number(/(\d+)\/bin$/.exec(bin)?.[1] ?? 0)
}

/** Makes a database cluster, starts a server on it and waits until it answers. */
export async function startPostgresServer(
  bin: string,
  { user, password }: { readonly user: string; readonly password: string },
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const isRoot = process.getuid?.() === 0
  const dir = isRoot ? mkdtempSync(join(tmpdir(), 'millrace-postgres-')) : makeDataDir('postgres')
  const data = join(dir, 'data')
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${password}\n`)
  if (isRoot) {
    chmodSync(dir, 0o755)
    run('chown', ['-R', SYSTEM_USER, dir])
  }
  const as = (program: string, args: readonly string[]): [string, string[]] =>
    isRoot
      ? ['setpriv', [`--reuid=${SYSTEM_USER}`, `--regid=${SYSTEM_USER}`, '--clear-groups', program, ...args]]
      : [program, [...args]]
  run(
    ...as(join(bin, 'initdb'), [
      ...['-D', data, '-U', user, '--pwfile', passwordFile, '-E', 'UTF8', '--locale=C', '--no-sync'],
      ...['--auth=scram-sha-256', '--no-instructions'],
    ]),
  )
  const port = await freePort()
  const logFile = join(dir, 'server.log')
  const url = `postgres://${user}:${password}@127.0.0.1:${port}/postgres`
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [command, args] = as(join(bin, 'postgres'), [
    '-D',
    data,
    '-p',
    `${port}`,
    '-h',
    '127.0.0.1',
    '-k',
    dir,
    ...options,
  ])
  const launch = async (): Promise<ServerProcess> => {
    const server = ServerProcess.start('postgres', command, args, logFile)
    try {
      await untilServing(url, {
        alive: () => server.running,
        failure: () => `postgres did not start on port ${port}; the end of ${logFile}:\n${server.logTail()}`,
      })
    } catch (error) {
      await server.kill()
      throw error
    }
    return server
  }
  let server = await launch()
  return {
    url,
    kind: 'server',
    description: spawnSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }).stdout.trim(),
    async stop() {
      await server.kill()
      removeDataDir(dir)
    },
    kill: () => server.kill(),
    async restart() {
      await server.terminate(10_000)
      server = await launch()
    },
  }
}

/** Waits until a server answers a query. */
export async function untilServing(
  url: string,
  { alive, failure }: { alive: () => boolean; failure: () => string },
): Promise<void> {
  await waitUntil(
    async () => {
      const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 })
      client.on('error', () => {})
      try {
        await client.connect()
        return (await client.query('SELECT 1 AS one')).rows.length === 1
      } finally {
        await client.end().catch(() => {})
      }
    },
    { deadlineMs: 60_000, alive, failure },
  )
}

function run(command: string, args: readonly string[]): void {
  const done = spawnSync(command, args, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${done.stderr || String(done.error)}`)
}
