/** redis-server as a child process on loopback, with its data in the cache directory. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { aptInstalled } from './apt.ts'
import { exchange, freePort, makeDataDir, removeDataDir, ServerProcess, waitUntil } from './infra-process.ts'
import type { RedisServer } from './redis.ts'

/** Where redis-server is; installs it by apt when it is missing and we may. `missing` says why there is none. */
export function findRedisServer(): { readonly path: string; readonly missing: string } {
  const path = 'redis-server'
  return { path, missing: aptInstalled(path) }
}

/** Starts redis-server and waits until it answers PING. */
export async function startRedisServer(
  path: string,
  wantedPort: number | undefined,
  settings: Readonly<Record<string, string>>,
): Promise<RedisServer> {
  const dir = makeDataDir('redis')
  const port = wantedPort ?? (await freePort())
  const logFile = join(dir, 'server.log')
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--daemonize', 'no']
  for (const [name, value] of Object.entries(settings)) args.push(`--${name}`, value)
  const launch = async (): Promise<ServerProcess> => {
    const server = ServerProcess.start('redis', path, args, logFile)
    try {
      await waitUntil(async () => (await exchange(port, 'PING\r\n', 1000)).toString('latin1').startsWith('+PONG'), {
        deadlineMs: 30_000,
        alive: () => server.running,
        failure: () => `redis-server did not start on port ${port}; the end of ${logFile}:\n${server.logTail()}`,
      })
    } catch (error) {
      await server.kill()
      throw error
    }
    return server
  }
  let server = await launch()
  return {
    url: `redis://127.0.0.1:${port}`,
    kind: 'server',
    description: version(path),
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

function version(path: string): string {
  const text = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? ''
  return `redis-server ${/v=(\S+)/.exec(text)?.[1] ?? ''}`.trim()
}
