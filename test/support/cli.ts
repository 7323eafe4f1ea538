/** The command line in a test: fake streams and signals, and an engine that is a real gRPC server over fakes. */
import { readFileSync } from 'node:fs'
import type { CliDeps, Engine, TextStream } from '../../src/cli/deps.ts'
import { runCli } from '../../src/cli/program.ts'
import type { Config } from '../../src/config.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { type RpcServer, type RpcServerOptions, startRpcServer } from '../../src/rpc/server.ts'
import { FakeControl } from './fakes/control.ts'
import { FakeEpisodes } from './fakes/episodes.ts'
import { FakeQuery } from './fakes/query.ts'

export const descriptors = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))

export class FakeStream implements TextStream {
  text = ''
  isTTY: boolean
  columns = 120

  constructor(isTTY = false) {
    this.isTTY = isTTY
  }

  write(text: string): void {
    this.text += text
  }
}

export interface CliRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export class CliHarness {
  readonly control = new FakeControl()
  readonly query = new FakeQuery()
  readonly episodes = new FakeEpisodes()
  readonly env: Record<string, string | undefined> = {}
  readonly configs: Config[] = []
  readonly servers: RpcServer[] = []
  /** What the servers of this harness are made of besides. */
  serverOptions: Partial<RpcServerOptions> = {}
  stdin = ''
  tty = false
  stdout = new FakeStream()
  stderr = new FakeStream()
  #signal: ((signal: 'SIGINT' | 'SIGTERM') => void) | null = null
  /** Replaces the engine's start, to make it fail. */
  beforeStart: (config: Config) => void = () => {}

  async serve(): Promise<RpcServer> {
    const server = await startRpcServer({
      host: '127.0.0.1',
      port: 0,
      maxMessageBytes: 1 << 22,
      control: this.control,
      query: this.query,
      episodes: this.episodes,
      descriptors,
      scheduler: systemScheduler,
      clock: systemClock,
      ...this.serverOptions,
    })
    this.servers.push(server)
    return server
  }

  /** Starts a server and lets commands find it. */
  async serveDefault(): Promise<void> {
    this.env.MILLRACE_SERVER = (await this.serve()).address
  }

  get listening(): boolean {
    return this.#signal !== null
  }

  /** Presses Ctrl-C, or sends SIGTERM. */
  signal(name: 'SIGINT' | 'SIGTERM' = 'SIGINT'): void {
    this.#signal?.(name)
  }

  async run(...args: string[]): Promise<CliRun> {
    this.stdout = new FakeStream(this.tty)
    this.stderr = new FakeStream(this.tty)
    const code = await runCli(args, this.#deps(), { demoJob: 'jobs/engagement.yaml' })
    return { code, stdout: this.stdout.text, stderr: this.stderr.text }
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close(0)))
  }

  #deps(): CliDeps {
    return {
      stdout: this.stdout,
      stderr: this.stderr,
      readStdin: async () => this.stdin,
      env: this.env,
      clock: systemClock,
      scheduler: systemScheduler,
      random: new SeededRandom(1),
      descriptors: () => descriptors,
      startEngine: (config) => this.#start(config),
      onSignal: (listener) => {
        this.#signal = listener
        return () => {
          this.#signal = null
        }
      },
      command: 'millrace',
      version: '1.2.3',
    }
  }

  async #start(config: Config): Promise<Engine> {
    this.configs.push(config)
    this.beforeStart(config)
    const server = await this.serve()
    return {
      address: server.address,
      httpPort: -1,
      store: config.dataDir,
      failed: new Promise(() => {}),
      openLocal: async () => ({ address: server.address }),
      close: () => server.close(0),
    }
  }
}
