/**
 * The loop of one worker thread: takes the coordinator's messages, steps subtasks, gives the thread back.
 *
 * Owns: the attempts in this thread, when their subtasks are stepped, time spent busy, idle and back-pressured. Does not
 * own: threads or ports (runtime/worker, testing/simulation), what a step does.
 *
 * A turn steps every subtask, downstream first, until nothing moves or the turn has lasted TURN_MS; then the thread lets
 * I/O and messages in. With nothing to do there is no turn until somebody wakes the loop; a running job wakes it at
 * least every TICK_MS, for marks and idleness. Questions are answered between turns (question-queue.ts).
 *
 * An error in one attempt is reported and stops that attempt only.
 */
import type { Cancel } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import { Attempt } from './attempt.ts'
import type { LinkMessage } from './links.ts'
import type { AttemptRef, DeployMessage, FromWorker, SubtaskStats, ToWorker } from './messages.ts'
import { OutboxApplier } from './outbox-applier.ts'
import type { WorkerPorts } from './ports.ts'
import { ProgramAttempt } from './program-attempt.ts'
import { QuestionQueue } from './question-queue.ts'
import type { StepResult, Subtask, SubtaskContext } from './subtask.ts'

/** Longest turn before the thread is given back. */
const TURN_MS = 4
/** Longest pause between turns while a job runs. */
const TICK_MS = 10
/** How often a source's watermark is reported for alignment. */
const WATERMARK_REPORT_MS = 100

/** Where the time of a subtask goes. Between steps it is idle or blocked as its last step left it. */
interface StepTimes {
  busyMs: number
  idleMs: number
  blockedMs: number
  last: StepResult
  lastMs: number
}

interface Running {
  readonly attempt: Attempt | ProgramAttempt
  readonly applier: OutboxApplier
  state: 'opening' | 'deployed' | 'running' | 'failed'
  readonly times: Map<Subtask, StepTimes>
  readonly reportedMs: Map<number, number>
}

/** The data plane of one thread. */
export class WorkerLoop {
  readonly #thread: number
  readonly #ports: WorkerPorts
  readonly #send: (message: FromWorker) => void
  readonly #link: (thread: number, message: LinkMessage) => void
  readonly #running = new Map<number, Running>()
  readonly #questions: QuestionQueue
  #turn: Cancel | null = null
  #tick: Cancel | null = null

  constructor(
    thread: number,
    ports: WorkerPorts,
    send: (message: FromWorker) => void,
    link: (thread: number, message: LinkMessage) => void,
  ) {
    this.#thread = thread
    this.#ports = ports
    this.#send = send
    this.#link = link
    this.#questions = new QuestionQueue(ports.clock)
  }

  /** Takes a message of the coordinator. */
  onMessage(message: ToWorker): void {
    switch (message.type) {
      case 'deploy':
        void this.#deploy(message)
        return
      case 'stats':
        this.#send({ type: 'stats', thread: this.#thread, request: message.request, subtasks: this.#stats() })
        return
      case 'shutdown':
        return
    }
    if (message.type === 'dispose') {
      void this.#dispose(message)
      return
    }
    const running = this.#find(message)
    if (running === undefined) return
    switch (message.type) {
      case 'run':
        if (running.state === 'deployed') running.state = 'running'
        break
      case 'barrier':
        for (const source of running.attempt.sources.values()) source.injectBarrier(message.checkpointId)
        break
      case 'checkpointComplete':
        for (const subtask of running.attempt.subtasks)
          subtask.checkpointComplete(message.checkpointId, message.rewrite)
        break
      case 'checkpointAborted':
        for (const subtask of running.attempt.subtasks) subtask.checkpointAborted(message.checkpointId)
        break
      case 'openOutbox':
        void running.applier.open(message.sink, message.owner)
        return
      case 'applyOutbox':
        void running.applier.apply(message.sink, message.epoch, message.blocks)
        return
      case 'hold':
        for (const source of running.attempt.sources.values()) source.hold(message.held)
        break
      case 'assign':
        running.attempt.sources.get(message.subtask)?.assign(message.splits)
        break
      case 'schema':
        running.attempt.sources.get(message.subtask)?.provide(message.schemaId, message.writer)
        break
      case 'drain':
        for (const source of running.attempt.sources.values()) source.drain()
        break
      case 'align':
        for (const source of running.attempt.sources.values()) source.align(message.maxWatermarkMs)
        break
      case 'query':
        this.#questions.add(() => this.#answer(message))
        break
    }
    this.wake()
  }

  /** Takes a message of another thread. */
  onLink(message: LinkMessage): void {
    const running = this.#find(message)
    if (running === undefined || running.state === 'failed') return
    running.attempt.deliver(message)
    this.wake()
  }

  /** Asks for a turn soon. */
  wake(): void {
    this.#turn ??= this.#ports.scheduler.soon(() => {
      this.#turn = null
      this.#takeTurn()
    })
  }

  /** Ends all attempts and gives everything back. */
  async close(): Promise<void> {
    const running = [...this.#running.values()]
    this.#running.clear()
    this.#tick?.()
    this.#turn?.()
    await Promise.allSettled(running.map(closeRunning))
  }

  #answer(message: Extract<ToWorker, { type: 'query' }>): void {
    const running = this.#find(message)
    if (running === undefined) return
    const rows = running.attempt.subtasks.flatMap((subtask) => subtask.query(message.query) ?? [])
    this.#send({ type: 'queryResult', ...refOf(message), thread: this.#thread, request: message.request, rows })
  }

  #find(ref: AttemptRef): Running | undefined {
    const running = this.#running.get(ref.job)
    return running?.attempt.deploy.attempt === ref.attempt ? running : undefined
  }

  async #deploy(message: DeployMessage): Promise<void> {
    const ref = refOf(message)
    const old = this.#running.get(message.job)
    const environment = {
      ports: this.#ports,
      thread: this.#thread,
      send: this.#link,
      contextOf: (operator: string, subtask: number) => this.#contextOf(ref, operator, subtask),
      sourceFinished: (subtask: number) => this.#send({ type: 'sourceFinished', ...ref, subtask }),
      sourceWatermark: (subtask: number, watermarkMs: number, idle: boolean) =>
        this.#reportWatermark(ref, subtask, watermarkMs, idle),
      schemaWanted: (subtask: number, schemaId: number) =>
        this.#send({ type: 'schemaWanted', ...ref, subtask, schemaId }),
      epochFull: () => this.#send({ type: 'epochFull', ...ref }),
    }
    const attempt =
      message.plan.program === undefined ? new Attempt(message, environment) : new ProgramAttempt(message, environment)
    const applier = new OutboxApplier(message, this.#ports, this.#send)
    const running: Running = { attempt, applier, state: 'opening', times: new Map(), reportedMs: new Map() }
    this.#running.set(message.job, running)
    try {
      if (old !== undefined) await closeRunning(old)
      await attempt.open()
      if (this.#find(ref) !== running) {
        await closeRunning(running)
        return
      }
      const lastMs = this.#ports.clock.monotonicMs()
      for (const subtask of attempt.subtasks) {
        running.times.set(subtask, { busyMs: 0, idleMs: 0, blockedMs: 0, last: 'idle', lastMs })
      }
      running.state = 'deployed'
      this.#send({ type: 'deployed', ...ref, thread: this.#thread })
    } catch (error) {
      this.#fail(ref, 'deployment', 0, error)
    }
  }

  async #dispose(message: AttemptRef): Promise<void> {
    const ref = refOf(message)
    const running = this.#find(ref)
    if (running !== undefined) {
      this.#running.delete(ref.job)
      await closeRunning(running)
    }
    this.#send({ type: 'disposed', ...ref, thread: this.#thread })
  }

  #contextOf(ref: AttemptRef, operator: string, subtask: number): SubtaskContext {
    const { clock, scheduler } = this.#ports
    return {
      clock,
      wake: () => this.wake(),
      wakeAfter: (delayMs) => scheduler.after(delayMs, () => this.wake()),
      ack: (checkpointId, snapshot) => this.#send({ type: 'ack', ...ref, checkpointId, snapshot }),
      decline: (checkpointId: number, error: ErrorData) =>
        this.#send({ type: 'decline', ...ref, checkpointId, operator, subtask, error }),
      fail: (error) => this.#fail(ref, operator, subtask, error),
    }
  }

  #fail(ref: AttemptRef, operator: string, subtask: number, thrown: unknown): void {
    const running = this.#find(ref)
    if (running === undefined || running.state === 'failed') return
    running.state = 'failed'
    const error = MillraceError.from(thrown)
    if (error.code === 'INTERNAL' && error.cause instanceof Error) {
      this.#send({
        type: 'log',
        level: 'error',
        message: `${operator} ${subtask} failed`,
        fields: { stack: error.cause.stack, ...ref },
      })
    }
    this.#send({ type: 'failed', ...ref, thread: this.#thread, operator, subtask, error: error.toData() })
  }

  #reportWatermark(ref: AttemptRef, subtask: number, watermarkMs: number, idle: boolean): void {
    const running = this.#find(ref)
    const nowMs = this.#ports.clock.monotonicMs()
    if (running === undefined || nowMs - (running.reportedMs.get(subtask) ?? -Infinity) < WATERMARK_REPORT_MS) return
    running.reportedMs.set(subtask, nowMs)
    this.#send({ type: 'sourceWatermark', ...ref, subtask, watermarkMs, idle })
  }

  #takeTurn(): void {
    const { clock } = this.#ports
    this.#questions.serve()
    const startMs = clock.monotonicMs()
    let again = true
    let nowMs = startMs
    while (again && nowMs - startMs < TURN_MS) {
      again = false
      for (const running of this.#running.values()) {
        if (running.state !== 'running') continue
        if (this.#stepAll(running)) again = true
      }
      if (again) this.#questions.worked()
      nowMs = clock.monotonicMs()
    }
    if (again || this.#questions.due) this.wake()
    else this.#armTick()
  }

  /** Steps every subtask of an attempt once; true when one of them got something done. */
  #stepAll(running: Running): boolean {
    const { clock } = this.#ports
    let worked = false
    let beforeMs = clock.monotonicMs()
    for (const subtask of running.attempt.subtasks) {
      try {
        const times = running.times.get(subtask)!
        if (times.last === 'idle') times.idleMs += beforeMs - times.lastMs
        else if (times.last === 'blocked') times.blockedMs += beforeMs - times.lastMs
        const result = subtask.step()
        const afterMs = clock.monotonicMs()
        if (result === 'worked') {
          worked = true
          times.busyMs += afterMs - beforeMs
        }
        times.last = result
        times.lastMs = afterMs
        beforeMs = afterMs
      } catch (error) {
        this.#fail(refOf(running.attempt.deploy), subtask.operator, subtask.index, error)
        return false
      }
    }
    return worked
  }

  #armTick(): void {
    if (this.#tick !== null) return
    if (![...this.#running.values()].some((running) => running.state === 'running')) return
    this.#tick = this.#ports.scheduler.after(TICK_MS, () => {
      this.#tick = null
      this.wake()
    })
  }

  #stats(): SubtaskStats[] {
    const stats: SubtaskStats[] = []
    for (const running of this.#running.values()) {
      if (running.times.size === 0) continue
      for (const subtask of running.attempt.subtasks) {
        const times = running.times.get(subtask)!
        stats.push({
          ...subtask.stats(),
          ...refOf(running.attempt.deploy),
          busyMs: times.busyMs,
          idleMs: times.idleMs,
          backPressuredMs: times.blockedMs,
        })
      }
    }
    return stats
  }
}

async function closeRunning({ attempt, applier }: Running): Promise<void> {
  await Promise.all([attempt.close(), applier.close()])
}

function refOf({ job, attempt }: AttemptRef): AttemptRef {
  return { job, attempt }
}
