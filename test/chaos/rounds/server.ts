/** A server of the chaos rounds: a process that can be killed, frozen, thawed, and robbed of its threads. */
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { MillraceClient } from '../../../src/rpc/client.ts'
import { type EngineOptions, engineEnv } from '../../support/engine.ts'
import { makeDataDir, removeDataDir, type ServerProcess } from '../../support/infra-process.ts'
import { startServing } from '../../support/server-process.ts'

const hooks = join(import.meta.dirname, 'hooks.ts')

/** A process that serves. */
export class ChaosServer {
  readonly instanceId: string
  readonly dataDir: string
  readonly #options: EngineOptions
  #process: ServerProcess | undefined
  #client: MillraceClient | undefined
  #starts = 0

  private constructor(instanceId: string, options: EngineOptions) {
    this.instanceId = instanceId
    this.#options = options
    this.dataDir = makeDataDir(`chaos-${instanceId}`)
  }

  /** Starts a server; `instanceId` names it over its restarts. */
  static async start(instanceId: string, options: EngineOptions): Promise<ChaosServer> {
    const server = new ChaosServer(instanceId, options)
    await server.restart()
    return server
  }

  get client(): MillraceClient {
    if (this.#client === undefined) throw new Error(`server ${this.instanceId} does not run`)
    return this.#client
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Starts the process again on what an earlier one left; waits until it serves. */
  async restart(): Promise<void> {
    await this.kill()
    const logFile = join(this.dataDir, `server-${++this.#starts}.log`)
    rmSync(this.#socket, { force: true })
    const env = {
      ...engineEnv(this.dataDir, this.#options),
      MILLRACE_INSTANCE_ID: this.instanceId,
      MILLRACE_TEST_CHAOS_SOCKET: this.#socket,
    }
    const { child, client } = await startServing(logFile, env, { nodeOptions: ['--import', hooks], deadlineMs: 60_000 })
    this.#process = child
    this.#client = client
  }

  /** Kills the process as a power cut would. */
  async kill(): Promise<void> {
    this.#client?.close()
    this.#client = undefined
    await this.#process?.kill()
  }

  /** Stops the process in the middle of whatever it does, as a long pause of its machine would. */
  freeze(): void {
    process.kill(this.#process!.pid, 'SIGSTOP')
  }

  /** Lets it go on, none the wiser. */
  thaw(): void {
    process.kill(this.#process!.pid, 'SIGCONT')
  }

  /** Has something happen to one of its threads; resolves when it has been told. */
  async disturbThread(what: 'exit' | 'terminate' | 'spin', spinMs: number, index: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(this.#socket, () => socket.write(`${what} ${spinMs} ${index}\n`))
      socket.once('error', reject)
      socket.once('close', () => resolve())
      socket.resume()
    })
  }

  /** The last lines that the process has logged. */
  logTail(lines = 40): string {
    return this.#process?.logTail(lines) ?? ''
  }

  /** Kills it, and removes its data. */
  async remove(): Promise<void> {
    await this.kill()
    removeDataDir(this.dataDir)
  }

  get #socket(): string {
    return join(this.dataDir, 'chaos.sock')
  }
}
