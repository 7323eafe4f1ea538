/**
 * Servers that tests start as child processes: ports, readiness, logs, and an end that holds even when the test dies.
 *
 * Owns: the life of one child process. Does not own: what the process is (broker-kafka.ts, redis-server.ts).
 *
 * Invariants
 * 1. A server never outlives the process that started it, however that one ends: a watchdog shell holds the read end of
 *    a pipe from us, and when the pipe closes kills the server and removes its data.
 * 2. A failure to start carries the last lines of the server's own log.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** The root of the checkout. */
export const projectRoot: string = resolve(import.meta.dirname, '../..')

/** Where test servers keep jars, data and logs: inside the checkout, ignored by git, emptied by `make clean`. */
export const cacheDir: string = join(projectRoot, '.cache')

/** A fresh directory for the data of one server. */
export function makeDataDir(name: string): string {
  const parent = join(cacheDir, 'run')
  mkdirSync(parent, { recursive: true })
  return mkdtempSync(join(parent, `${name}-`))
}

/**
 * A free port on loopback, outside the range from which the system gives ports to outgoing connections: a server that
 * is killed and restarted on it finds it free again.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await canListen(port)) return port
  }
  throw new Error('no free port on 127.0.0.1 between 20000 and 32000 in 200 attempts')
}

function canListen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}

/**
 * Calls `probe` until it returns true, with short pauses. Throws what `failure` says after `deadlineMs`, or at once
 * when `alive` turns false. A probe that throws counts as not yet.
 */
export async function waitUntil(
  probe: () => Promise<boolean>,
  options: { deadlineMs: number; alive: () => boolean; failure: () => string },
): Promise<void> {
  const end = performance.now() + options.deadlineMs
  for (;;) {
    if (!options.alive()) throw new Error(options.failure())
    if (await probe().catch(() => false)) return
    if (performance.now() > end) throw new Error(options.failure())
    await delay(50)
  }
}

/** Sends `request` to a port of loopback and returns the first bytes of the answer; rejects when refused. */
export function exchange(port: number, request: string | Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((done, fail) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer')))
    socket.once('data', (data: Buffer) => {
      done(data)
      socket.destroy()
    })
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('closed')))
  })
}

/** A server process that can be stopped softly or hard. */
export class ServerProcess {
  readonly name: string
  readonly logFile: string
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  #running = true
  #ending = ''

  private constructor(name: string, logFile: string, child: ChildProcess) {
    this.name = name
    this.logFile = logFile
    this.#child = child
    const watchdog = watch(child, dirname(logFile))
    this.#exited = new Promise((done) => {
      const end = (): void => {
        if (!this.#running) return
        this.#running = false
        watchdog?.kill('SIGKILL')
        done()
      }
      child.once('exit', (code, signal) => {
        this.#ending = signal ?? String(code)
        end()
      })
      child.once('error', end)
    })
  }

  /**
   * Starts `command`; its output goes to `logFile`, appended, in the server's own data directory. `env` is added to the
   * environment of this process.
   */
  static start(
    name: string,
    command: string,
    args: readonly string[],
    logFile: string,
    env: Readonly<Record<string, string>> = {},
  ): ServerProcess {
    mkdirSync(dirname(logFile), { recursive: true })
    const log = openSync(logFile, 'a')
    try {
      const child = spawn(command, args, {
        stdio: ['ignore', log, log],
        cwd: projectRoot,
        env: { ...process.env, ...env },
      })
      return new ServerProcess(name, logFile, child)
    } finally {
      closeSync(log)
    }
  }

  /** False once the process has ended. */
  get running(): boolean {
    return this.#running
  }

  /** How the process ended: its exit code, or the name of the signal; empty while it runs. */
  get ending(): string {
    return this.#ending
  }

  /** The process id, for tests that signal it themselves. */
  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** The last lines of the log, for a message about what went wrong. */
  logTail(lines = 25): string {
    const text = readFileSync(this.logFile, 'utf8').trimEnd()
    return text === '' ? '(its log is empty)' : text.split('\n').slice(-lines).join('\n')
  }

  /** Asks the process to end, and kills it when it has not within `graceMs`. Resolves when it is gone. */
  async terminate(graceMs: number): Promise<void> {
    if (!this.#running) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs)
    await this.#exited
    clearTimeout(timer)
  }

  /** Kills the process as a power cut would. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.#running) return
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

function watch(child: ChildProcess, dataDir: string): ChildProcess | undefined {
  if (child.pid === undefined) return undefined
  const script = 'while read -r line; do :; done; kill -9 "$0" 2>/dev/null; sleep 0.5; rm -rf "$1"'
  const watchdog = spawn('/bin/sh', ['-c', script, String(child.pid), dataDir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchdog.once('error', () => {})
  watchdog.stdin.once('error', () => {})
  watchdog.unref()
  return watchdog
}

/** Removes a data directory and everything in it. */
export function removeDataDir(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 })
}
