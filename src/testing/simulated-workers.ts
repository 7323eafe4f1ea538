/**
 * Worker threads that are not: the real data plane of several workers in one thread, under virtual time.
 *
 * Owns: delivering control and link messages in order but at moments that the scheduler's seed chooses, the cost of
 * work in virtual time, ending and replacing a worker. Does not own: what workers do (runtime/worker-loop), time itself
 * (testing/manual-clock).
 *
 * Faithful where it matters: messages are structured clones with moved or shared buffers, so nothing is shared that
 * could not be shared between threads; a worker that ends takes its attempts with it, and messages to it are lost.
 */
import type { WorkerSet } from '../coordinator/worker-set.ts'
import { type Clock, nextFraction, type Random, type Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { type LinkMessage, movedBuffer } from '../runtime/links.ts'
import type { FromWorker, ToWorker, WorkerPort } from '../runtime/messages.ts'
import type { WorkerPorts } from '../runtime/ports.ts'
import { WorkerLoop } from '../runtime/worker-loop.ts'
import { GatedScheduler } from './gated-scheduler.ts'
import type { ManualClock } from './manual-clock.ts'

/** Most virtual milliseconds that a piece of work takes. */
const STEP_COST_MS_MAX = 0.5

/** What the workers are handed besides time and chance. */
export type SimulatedWorld = Pick<WorkerPorts, 'openReader' | 'openWriter' | 'openOutboxSink' | 'openChunkStore'>

/** What may happen to messages on their way. */
export interface MailFaults {
  /** How long the next message takes, in ms; it waits for those before it all the same. */
  delayMs?: () => number
  /** What becomes of a message to a worker: the message, another one, or null for none. For planting bugs. */
  tamper?: (message: ToWorker) => ToWorker | null
}

interface Life {
  readonly gate: GatedScheduler
  readonly loop: WorkerLoop
  readonly exits: ((error: MillraceError) => void)[]
  alive: boolean
}

/** A clock whose every reading costs a little time, as work does on a real one. */
class WorkClock implements Clock {
  readonly #clock: ManualClock
  readonly #random: Random

  constructor(clock: ManualClock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  monotonicMs(): number {
    this.#clock.advance(nextFraction(this.#random) * STEP_COST_MS_MAX)
    return this.#clock.monotonicMs()
  }
}

/** Delivers in order, each message in a task of its own. */
class Mail<T> {
  readonly #scheduler: Scheduler
  readonly #faults: MailFaults
  readonly #deliver: (message: T) => void
  readonly #waiting: T[] = []

  constructor(scheduler: Scheduler, faults: MailFaults, deliver: (message: T) => void) {
    this.#scheduler = scheduler
    this.#faults = faults
    this.#deliver = deliver
  }

  post(message: T, transfer: ArrayBuffer[] = []): void {
    this.#waiting.push(structuredClone(message, { transfer }))
    this.#scheduler.after(this.#faults.delayMs?.() ?? 0, () => this.#deliver(this.#waiting.shift()!))
  }
}

/** Simulated worker threads. */
export class SimulatedWorkers implements WorkerSet {
  readonly size: number
  readonly #clock: ManualClock
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #world: SimulatedWorld
  readonly #faults: MailFaults
  readonly #lives: Life[] = []
  readonly #links = new Map<string, Mail<LinkMessage>>()
  #join: (port: WorkerPort) => void = () => {}

  constructor(
    size: number,
    clock: ManualClock,
    scheduler: Scheduler,
    random: Random,
    world: SimulatedWorld,
    faults: MailFaults = {},
  ) {
    this.size = size
    this.#clock = clock
    this.#scheduler = scheduler
    this.#random = random
    this.#world = world
    this.#faults = faults
  }

  onJoin(listener: (port: WorkerPort) => void): void {
    this.#join = listener
    for (let thread = 0; thread < this.size; thread++) this.#start(thread)
  }

  /** Ends a worker as a crash does, and starts its replacement a little later. */
  crash(thread: number): void {
    const life = this.#lives[thread]!
    if (!life.alive) return
    life.alive = false
    life.gate.kill()
    void life.loop.close()
    this.#cutLinks(thread)
    this.#scheduler.soon(() => {
      for (const exit of life.exits) exit(new MillraceError('WORKER_LOST', `simulated worker ${thread} crashed`))
      this.#scheduler.after(50, () => this.#start(thread))
    })
  }

  /** Stops a worker without ending it, as a blocked thread: it is silent until it is let go on, or fenced. */
  stall(thread: number, forMs: number): void {
    const { gate } = this.#lives[thread]!
    gate.freeze()
    this.#scheduler.after(forMs, () => gate.thaw())
  }

  /** Ends all workers for good. */
  async close(): Promise<void> {
    for (const life of this.#lives) life.alive = false
    await Promise.all(this.#lives.map((life) => life.loop.close()))
  }

  #cutLinks(thread: number): void {
    for (const key of [...this.#links.keys()]) {
      if (key.startsWith(`${thread}>`) || key.endsWith(`>${thread}`)) this.#links.delete(key)
    }
  }

  #start(thread: number): void {
    // What was sent to nobody is lost.
    this.#cutLinks(thread)
    let listener: (message: FromWorker) => void = () => {}
    const gate = new GatedScheduler(this.#scheduler)
    const up = new Mail<FromWorker>(this.#scheduler, this.#faults, (message) => {
      if (life.alive) listener(message)
    })
    const ports: WorkerPorts = {
      ...this.#world,
      clock: new WorkClock(this.#clock, this.#random),
      scheduler: gate,
      random: this.#random,
    }
    const loop = new WorkerLoop(
      thread,
      ports,
      (message) => {
        if (life.alive) up.post(message)
      },
      (peer, message) => {
        if (life.alive) this.#link(thread, peer).post(message, transferable(message))
      },
    )
    const life: Life = { gate, loop, exits: [], alive: true }
    this.#lives[thread] = life
    const down = new Mail<ToWorker>(gate, this.#faults, (message) => {
      if (life.alive) loop.onMessage(message)
    })
    this.#join({
      thread,
      send: (message) => {
        const { tamper } = this.#faults
        const sent = tamper === undefined ? message : tamper(message)
        if (sent !== null) down.post(sent)
      },
      onMessage: (to) => {
        listener = to
      },
      onExit: (to) => life.exits.push((error) => to(error.toData())),
      terminate: async () => this.crash(thread),
    })
  }

  #link(from: number, to: number): Mail<LinkMessage> {
    const key = `${from}>${to}`
    let mail = this.#links.get(key)
    if (mail === undefined) {
      mail = new Mail<LinkMessage>(this.#lives[to]?.gate ?? this.#scheduler, this.#faults, (message) => {
        const life = this.#lives[to]
        if (life?.alive === true) life.loop.onLink(message)
      })
      this.#links.set(key, mail)
    }
    return mail
  }
}

function transferable(message: LinkMessage): ArrayBuffer[] {
  const moved = movedBuffer(message)
  return moved === null ? [] : [moved]
}
