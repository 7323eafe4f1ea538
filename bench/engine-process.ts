/**
 * Millrace as its users start it, as a child process: `node src/main.ts serve` or `run JOB`.
 *
 * Owns: the process, its data folder, a client. Does not own: Redis, topics, what is measured.
 */
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isTerminal, type JobSummary } from '../src/control/api.ts'
import { systemClock } from '../src/core/system.ts'
import { createClient, type MillraceClient } from '../src/rpc/client.ts'
import { freePort, makeDataDir, projectRoot, removeDataDir, ServerProcess } from '../test/support/infra-process.ts'
import { compiledEnv } from './compiled.ts'
import { rules } from './rules.ts'

const START_DEADLINE_MS = 60_000

/** What the process is started with. */
export interface EngineProcessOptions {
  readonly brokers: string
  readonly redisUrl: string
  /** Text of a job to run in it; without one it serves until it is stopped. */
  readonly job?: string
}

/** A running Millrace. */
export class EngineProcess {
  readonly client: MillraceClient
  readonly #process: ServerProcess
  readonly #dataDir: string

  private constructor(client: MillraceClient, process: ServerProcess, dataDir: string) {
    this.client = client
    this.#process = process
    this.#dataDir = dataDir
  }

  /** Starts it; resolves at the moment when its gRPC port takes connections. */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    const dataDir = makeDataDir('bench')
    const port = await freePort()
    const jobFile = join(dataDir, 'job.yaml')
    if (options.job !== undefined) writeFileSync(jobFile, options.job)
    const command = options.job === undefined ? ['serve'] : ['run', jobFile]
    const args = [join(projectRoot, 'src/main.ts'), ...command]
    const child = ServerProcess.start('millrace', process.execPath, args, join(dataDir, 'millrace.log'), {
      ...compiledEnv,
      MILLRACE_GRPC_PORT: String(port),
      MILLRACE_HTTP_PORT: '0',
      MILLRACE_DATA_DIR: dataDir,
      MILLRACE_THREADS: String(rules.parallelism),
      MILLRACE_BROKERS: options.brokers,
      MILLRACE_REDIS: options.redisUrl,
    })
    // By hand, because a gRPC channel that was refused once waits a second before it tries again.
    const endMs = performance.now() + START_DEADLINE_MS
    while (!(await takesConnections(port))) {
      if (!child.running || performance.now() > endMs) {
        await child.kill()
        const log = child.logTail()
        removeDataDir(dataDir)
        throw new Error(`Millrace did not start:\n${log}`)
      }
      await delay(2)
    }
    const client = createClient({ address: `127.0.0.1:${port}`, clock: systemClock })
    return new EngineProcess(client, child, dataDir)
  }

  /** The process id. */
  get pid(): number {
    return this.#process.pid
  }

  /** Submits a job; waits while the server is not ready for one. */
  async submit(text: string): Promise<string> {
    for (;;) {
      try {
        return (await this.client.control.submit({ kind: 'text', text })).name
      } catch (error) {
        if ((error as { code?: string }).code !== 'UNAVAILABLE' || !this.#process.running) throw error
        await delay(20)
      }
    }
  }

  /** Waits until `holds` is true of a job; rejects when it has ended before, or after `timeoutMs`. */
  async untilJob(name: string, holds: (job: JobSummary) => boolean, timeoutMs = 15 * 60_000): Promise<JobSummary> {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      const job = (await this.client.control.list()).find((each) => each.name === name)
      if (job !== undefined && holds(job)) return job
      if (job === undefined || isTerminal(job.state) || performance.now() > endMs) {
        throw new Error(`job ${name} did not come to what is waited for: ${JSON.stringify(job)}\n${this.logTail()}`)
      }
      await delay(50)
    }
  }

  /** The last lines that the process has logged. */
  logTail(): string {
    return this.#process.logTail()
  }

  /** Kills the process as a power cut would, and removes its data folder: what it left in Redis stays. */
  async kill(): Promise<void> {
    this.client.close()
    await this.#process.kill()
    removeDataDir(this.#dataDir)
  }

  /** Ends the process and removes its data. */
  async stop(): Promise<void> {
    this.client.close()
    await this.#process.terminate(10_000)
    removeDataDir(this.#dataDir)
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}
