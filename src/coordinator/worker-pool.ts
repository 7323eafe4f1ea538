/**
 * The worker threads of this process: one Piscina pool, one endless task a thread.
 *
 * Owns: starting N threads, wiring each pair of them with a MessageChannel, noticing the end of one and replacing it,
 * stopping all. Does not own: what is said over the ports (runtime/messages.ts, runtime/thread-init.ts), or whether a
 * thread that is alive answers (thread-hub.ts). The one importer of Piscina.
 *
 * How Piscina is used, and why:
 * - minThreads = maxThreads = N, idleTimeout Infinity, and `run` once a thread: a task ends only with its thread, so no
 *   thread is ever idle, and Piscina's own waiting (Atomics, switched off) never freezes a thread's sockets and timers.
 * - A thread that dies rejects its task. Piscina then starts a spare by itself, unless a worker failed while it
 *   bootstrapped: after that it never does again, and tasks that wait for a spare wait for ever, with nothing but an
 *   `error` event. So each start has a deadline, an `error` event fails the starts under way, and every replacement
 *   calls `run` anew, which adds a worker where one is missing.
 * - Aborting a task terminates its thread: the last resort, for threads that no longer answer. There are no native
 *   addons in worker threads, so that is safe. In the ordinary way threads are asked to return (`shutdown`).
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { FromWorker, ToWorker, WorkerPort } from '../runtime/messages.ts'
import type { ControlMessage, ThreadInit } from '../runtime/thread-init.ts'
import type { SinkAccess } from '../sink/access.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import { watchBuffers } from './buffer-watch.ts'
import type { CoordinatorLog } from './log.ts'
import type { WorkerSet } from './worker-set.ts'

/** What a pool is made of. */
export interface WorkerPoolOptions {
  /** Threads, at least 1. */
  readonly threads: number
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly log: CoordinatorLog
  /** The thread's module; exports `runThread(init: ThreadInit): Promise<void>`. runtime/worker.ts by default. */
  readonly entry?: URL
  /** JavaScript heap limits of a thread. State in ArrayBuffers is not under them. */
  readonly resourceLimits?: { readonly maxOldGenerationSizeMb?: number; readonly maxYoungGenerationSizeMb?: number }
  /** Most bytes outside the JavaScript heap in a thread, for ArrayBuffers mostly; no bound by default. */
  readonly bufferBytesMax?: number
  /** What brokers want of a client; nothing by default. */
  readonly kafka?: KafkaSecurity
  /** What the servers of sinks want. */
  readonly sinks?: SinkAccess
  /** How long a thread may take to say `ready`; 30 s by default. */
  readonly readyTimeoutMs?: number
  /** Failed starts of one thread in a row after which `start` gives up; 3 by default. */
  readonly startTries?: number
}

/** One life of one thread. */
interface Life {
  readonly thread: number
  readonly control: MessagePort
  readonly abort: AbortController
  readonly gone: Promise<void>
  phase: 'starting' | 'ready' | 'dead'
  onMessage: (message: FromWorker) => void
  onExit: (error: ErrorData) => void
  /** Of the deadline of its start, then of its buffers. */
  cancelWatch: Cancel
  /** Why it was ended by force. */
  terminatedFor: string
  readyAtMs: number
}

const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 10_000
/** A thread that lived this long did not die of its start: its replacement needs no pause. */
const HEALTHY_MS = 10_000
const TERMINATE_WAIT_MS = 5_000

/** The pool. `start` it once; `close` it once. */
export class WorkerPool implements WorkerSet {
  readonly size: number
  readonly #options: WorkerPoolOptions
  readonly #piscina: Piscina<ThreadInit, void>
  readonly #lives: (Life | undefined)[]
  readonly #failures: number[]
  #join: ((port: WorkerPort) => void) | undefined
  /** Ready threads that no listener has been told of. */
  #untold: WorkerPort[] = []
  #closing = false
  #started: { resolve: () => void; reject: (error: MillraceError) => void } | undefined
  #poolError: unknown

  constructor(options: WorkerPoolOptions) {
    this.size = options.threads
    this.#options = options
    this.#lives = Array.from({ length: options.threads }, () => undefined)
    this.#failures = Array.from({ length: options.threads }, () => 0)
    // In a checkout this file and that one are TypeScript, in the npm package JavaScript.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const entry = options.entry ?? new URL(`../runtime/worker.${extension}`, import.meta.url)
    this.#piscina = new Piscina<ThreadInit, void>({
      filename: entry.href,
      name: 'runThread',
      minThreads: options.threads,
      maxThreads: options.threads,
      maxQueue: options.threads * 2,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      workerHistogram: false,
      ...(options.resourceLimits === undefined ? {} : { resourceLimits: { ...options.resourceLimits } }),
    })
    // Raised for a worker that dies without a task: a spare that failed to bootstrap.
    this.#piscina.on('error', (error: unknown) => this.#spareFailed(error))
  }

  /** Starts all threads. Resolves when all are ready; rejects WORKER_LOST when one fails to start again and again. */
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#started = { resolve, reject }
    for (let thread = 0; thread < this.size; thread++) this.#launch(thread)
    try {
      await promise
    } catch (error) {
      await this.close(0)
      throw error
    }
  }

  onJoin(listener: (port: WorkerPort) => void): void {
    this.#join = listener
    for (const port of this.#untold.splice(0)) listener(port)
  }

  /** Threads that are ready now. */
  get ready(): number {
    return this.#lives.filter((life) => life?.phase === 'ready').length
  }

  /** Asks every thread to return, waits up to `timeoutMs`, then terminates what is left. Idempotent. */
  async close(timeoutMs = 10_000): Promise<void> {
    this.#closing = true
    const alive = this.#lives.filter((life) => life !== undefined && life.phase !== 'dead') as Life[]
    for (const life of alive) {
      if (life.phase === 'ready') life.control.postMessage({ type: 'shutdown' } satisfies ControlMessage)
      else life.abort.abort()
    }
    await this.#within(timeoutMs, Promise.all(alive.map((life) => life.gone)))
    await this.#piscina.destroy()
    for (const life of alive) {
      life.cancelWatch()
      life.control.close()
    }
  }

  #launch(thread: number): void {
    if (this.#closing) return
    const { port1, port2 } = new MessageChannel()
    const abort = new AbortController()
    const gone = Promise.withResolvers<void>()
    const timeoutMs = this.#options.readyTimeoutMs ?? 30_000
    const life: Life = {
      thread,
      control: port1,
      abort,
      gone: gone.promise,
      phase: 'starting',
      onMessage: () => {},
      onExit: () => {},
      terminatedFor: 'it was terminated',
      cancelWatch: this.#options.scheduler.after(timeoutMs, () => {
        this.#poolError = new Error(`it did not become ready within ${timeoutMs} ms`)
        abort.abort()
      }),
      readyAtMs: 0,
    }
    this.#lives[thread] = life
    port1.on('message', (message: FromWorker) => this.#received(life, message))
    const init: ThreadInit = {
      thread,
      threads: this.size,
      control: port2,
      kafka: this.#options.kafka ?? {},
      sinks: this.#options.sinks ?? {},
    }
    // Piscina infers the type of the list from an overload of postMessage that Node has changed since.
    const transferList = [port2] as never
    this.#piscina.run(init, { transferList, signal: abort.signal }).then(
      () => {
        gone.resolve()
        this.#ended(life, 'its task returned')
      },
      (error: unknown) => {
        gone.resolve()
        this.#ended(life, describe(life, error, this.#poolError))
      },
    )
  }

  #received(life: Life, message: FromWorker): void {
    if (life.phase === 'dead') return
    if (message.type === 'ready') this.#becameReady(life, message.threadId)
    else life.onMessage(message)
  }

  #becameReady(life: Life, threadId: number): void {
    if (life.phase !== 'starting') return
    life.cancelWatch()
    life.cancelWatch = this.#watch(life, threadId)
    life.phase = 'ready'
    life.readyAtMs = this.#options.clock.monotonicMs()
    for (const other of this.#lives) {
      if (other === undefined || other === life || other.phase !== 'ready') continue
      const { port1, port2 } = new MessageChannel()
      connect(life, other.thread, port1)
      connect(other, life.thread, port2)
    }
    const port = this.#portOf(life)
    if (this.#join === undefined) this.#untold.push(port)
    else this.#join(port)
    if (this.ready === this.size) this.#started?.resolve()
  }

  /** Ends the thread when its buffers are too many. */
  #watch(life: Life, threadId: number): Cancel {
    const { bufferBytesMax, scheduler } = this.#options
    const worker = this.#piscina.threads.find((one) => one.threadId === threadId)
    if (bufferBytesMax === undefined || worker === undefined) return () => {}
    // Answered between two instructions of whatever the thread is doing.
    const bytes = async (): Promise<number> => (await worker.getHeapStatistics()).external_memory
    return watchBuffers(bytes, bufferBytesMax, scheduler, (why) => {
      life.terminatedFor = why
      life.abort.abort()
    })
  }

  #portOf(life: Life): WorkerPort {
    return {
      thread: life.thread,
      send(message: ToWorker): void {
        if (life.phase !== 'dead') life.control.postMessage(message)
      },
      onMessage(listener) {
        life.onMessage = listener
      },
      onExit(listener) {
        life.onExit = listener
      },
      terminate: async () => {
        const closed = new Promise<void>((resolve) => {
          life.control.once('close', () => resolve())
        })
        life.abort.abort()
        // The task is rejected at once; the port closes when the thread is really gone.
        await this.#within(TERMINATE_WAIT_MS, closed)
      },
    }
  }

  #ended(life: Life, why: string): void {
    if (life.phase === 'dead') return
    const wasReady = life.phase === 'ready'
    life.phase = 'dead'
    life.cancelWatch()
    if (this.#closing) return
    const error = new MillraceError('WORKER_LOST', `worker thread ${life.thread} ended: ${why}`).toData()
    this.#options.log('error', error.message, { thread: life.thread })
    this.#untold = this.#untold.filter((port) => port.thread !== life.thread)
    const livedMs = wasReady ? this.#options.clock.monotonicMs() - life.readyAtMs : 0
    const failures = livedMs >= HEALTHY_MS ? 0 : this.#failures[life.thread]! + 1
    this.#failures[life.thread] = failures
    if (this.ready < this.size && !wasReady && failures >= (this.#options.startTries ?? 3)) {
      this.#started?.reject(
        MillraceError.fromData({
          ...error,
          message: `${error.message}. It failed ${failures} times in a row; nothing can run without it`,
        }),
      )
    }
    const pauseMs = failures === 0 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1))
    this.#options.scheduler.after(pauseMs, () => this.#launch(life.thread))
    life.onExit(error)
    // Closed last: what the thread had already sent is of no use to anyone after its exit was told.
    this.#options.scheduler.after(TERMINATE_WAIT_MS, () => life.control.close())
  }

  #spareFailed(error: unknown): void {
    if (this.#closing) return
    this.#poolError = error
    for (const life of this.#lives) if (life?.phase === 'starting') life.abort.abort()
  }

  async #within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
    const timeout = Promise.withResolvers<void>()
    const cancel = this.#options.scheduler.after(timeoutMs, timeout.resolve)
    await Promise.race([work, timeout.promise])
    cancel()
  }
}

function connect(life: Life, peer: number, port: MessagePort): void {
  life.control.postMessage({ type: 'connect', peer, port } satisfies ControlMessage, [port])
}

function describe(life: Life, error: unknown, poolError: unknown): string {
  if (life.abort.signal.aborted) {
    if (life.phase === 'ready') return life.terminatedFor
    return poolError instanceof Error ? `it could not start: ${poolError.message}` : 'it could not start'
  }
  return error instanceof Error ? error.message : String(error)
}
