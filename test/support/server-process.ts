/**
 * A Millrace server in a process of its own, that a test kills as a power cut would and starts again on what it left.
 *
 * Owns: the process, its data folder, and a client of the one that runs now. The address differs after each start.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/core/system.ts'
import { createClient, type MillraceClient } from '../../src/rpc/client.ts'
import { type EngineOptions, engineEnv } from './engine.ts'
import { makeDataDir, projectRoot, removeDataDir, ServerProcess, waitUntil } from './infra-process.ts'

/**
 * Starts `millrace serve` in a process of its own and waits until it serves. One that does not within `deadlineMs` is killed.
 */
export async function startServing(
  logFile: string,
  env: Readonly<Record<string, string>>,
  {
    nodeOptions = [],
    deadlineMs = 30_000,
  }: { readonly nodeOptions?: readonly string[]; readonly deadlineMs?: number } = {},
): Promise<{ readonly child: ServerProcess; readonly client: MillraceClient }> {
  const args = [...nodeOptions, join(projectRoot, 'src/main.ts'), 'serve']
  const child = ServerProcess.start('millrace', process.execPath, args, logFile, env)
  let address = ''
  await waitUntil(
    async () => {
      address = /serving gRPC on (\S+:\d+)/.exec(readFileSync(logFile, 'utf8'))?.[1] ?? ''
      return address !== ''
    },
    {
      deadlineMs,
      alive: () => child.running,
      failure: () => `the server did not start:\n${child.logTail()}`,
    },
  ).catch(async (error: unknown) => {
    await child.kill()
    throw error
  })
  return { child, client: createClient({ address, clock: systemClock }) }
}

/** A server that can be killed and started again. */
export class MillraceServer {
  readonly dataDir: string
  readonly #options: EngineOptions
  #process: ServerProcess | undefined
  #client: MillraceClient | undefined
  #starts = 0

  private constructor(dataDir: string, options: EngineOptions) {
    this.dataDir = dataDir
    this.#options = options
  }

  /** Starts a server and waits until it serves. */
  static async start(options: EngineOptions = {}): Promise<MillraceServer> {
    const server = new MillraceServer(makeDataDir('server'), options)
    await server.restart()
    return server
  }

  /** A client of the server as it was last started. */
  get client(): MillraceClient {
    if (this.#client === undefined) throw new Error('the server does not run')
    return this.#client
  }

  /** Folder for topics of the embedded log. */
  get logRoot(): string {
    return join(this.dataDir, 'log')
  }

  /** Starts the process on what an earlier one left; waits until it serves. */
  async restart(): Promise<void> {
    const logFile = join(this.dataDir, `server-${++this.#starts}.log`)
    const env = engineEnv(this.dataDir, this.#options)
    const { child, client } = await startServing(logFile, env)
    this.#process = child
    this.#client = client
  }

  /** Kills the process with SIGKILL; everything it wrote stays. */
  async kill(): Promise<void> {
    this.#client?.close()
    this.#client = undefined
    await this.#process?.kill()
  }

  /** Ends the process softly, by its id; everything it wrote stays. Returns its exit code, or the signal that ended it. */
  async end(): Promise<string> {
    this.#client?.close()
    this.#client = undefined
    await this.#process?.terminate(30_000)
    return this.#process?.ending ?? ''
  }

  /** The last lines that the process has logged. */
  logTail(): string {
    return this.#process?.logTail() ?? ''
  }

  /** Ends the process softly, by its id, and removes its data. */
  async stop(): Promise<void> {
    this.#client?.close()
    const child = this.#process
    const wasRunning = child?.running === true
    await child?.terminate(5_000)
    const tail = this.logTail()
    removeDataDir(this.dataDir)
    if (wasRunning && child?.ending !== '0') throw new Error(`SIGTERM ended the server with ${child?.ending}:\n${tail}`)
  }
}
