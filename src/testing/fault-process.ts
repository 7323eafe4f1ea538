/** One process of a run under faults: a simulation behind a gate, and what the weather does to its calls and messages. */
import type { StoreFault } from '../checkpoint/memory-store.ts'
import type { JobStatus } from '../coordinator/job-status.ts'
import { nextBelow, type Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import { GatedScheduler } from './gated-scheduler.ts'
import type { ManualClock, ManualScheduler } from './manual-clock.ts'
import type { OutboxFault } from './memory-outbox-sink.ts'
import { Simulation, type SimulationFaults, type SimulationOptions } from './simulation.ts'

/** What is wrong now between processes, store and sinks: longest delays in ms, and one call in so many that fails (0: none). */
export interface Weather {
  storeMs: number
  storeOne: number
  sinkMs: number
  sinkOne: number
  mailMs: number
  readonly random: Random
}

/** What a process is made of. */
export interface ProcessOptions {
  readonly instanceId: string
  readonly job: string
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly weather: Weather
  readonly planted: SimulationFaults
  readonly simulation: Omit<SimulationOptions, 'time' | 'instanceId' | 'faults'>
  readonly log: (line: string) => void
}

/** A process, alive, frozen or dead. */
export class SimulatedProcess {
  readonly instanceId: string
  readonly gate: GatedScheduler
  readonly simulation: Simulation
  readonly #options: ProcessOptions

  constructor(options: ProcessOptions) {
    const { clock, scheduler, weather, planted, instanceId } = options
    this.#options = options
    this.instanceId = instanceId
    this.gate = new GatedScheduler(scheduler)
    this.simulation = new Simulation({
      ...options.simulation,
      instanceId,
      time: { clock, scheduler, gate: this.gate },
      log: options.log,
      faults: {
        ...planted,
        store: this.#storeFault(),
        sink: this.#sinkFault(),
        delayMs: () => (weather.mailMs === 0 ? 0 : nextBelow(weather.random, weather.mailMs)),
      },
    })
  }

  /** Where the job is, as far as this process knows. */
  status(): JobStatus | undefined {
    return this.#job()?.coordinator.status
  }

  /** Whether it holds the job's lease, or believes so. */
  owns(): boolean {
    return this.#job()?.coordinator.ownsLease === true
  }

  /** Submits the job; virtual time goes on meanwhile. */
  submit(definition: JobDefinition): Promise<void> {
    return this.simulation.submit(definition)
  }

  /** Brings back the jobs that the store knows, in its own time. */
  recover(): void {
    void this.simulation.manager.recover()
  }

  /** Has the job go on with another parallelism, if it can. Resolves when it does so, or will not. */
  async rescale(parallelism: number): Promise<void> {
    await this.simulation.manager.rescale(this.#options.job, parallelism).catch(() => undefined)
  }

  /** Stops the job if it can be stopped. Resolves when it has or has not; how it ends is seen in its state. */
  async stop(): Promise<void> {
    await this.simulation.manager.stop(this.#options.job).catch(() => undefined)
  }

  #job() {
    return this.simulation.manager.jobs().find(({ coordinator }) => coordinator.name === this.#options.job)
  }

  /** A request is on its way whatever becomes of the process; its answer comes only while that lives and is not frozen. */
  #storeFault(): StoreFault {
    const { weather } = this.#options
    return (operation, when) =>
      this.#weatherOf(weather.storeMs, weather.storeOne, when, () => {
        return new MillraceError('STORE_UNREACHABLE', `the store was away (${operation}, ${when})`)
      })
  }

  #sinkFault(): OutboxFault {
    const { weather } = this.#options
    return (call, when, sink) =>
      this.#weatherOf(weather.sinkMs, weather.sinkOne, when, () => {
        return new MillraceError('SINK_FAILED', `sink ${sink} was away (${call}, ${when})`)
      })
  }

  #weatherOf(
    delayMaxMs: number,
    one: number,
    when: 'before' | 'after',
    error: () => MillraceError,
  ): Promise<void> | void {
    // The dead call nobody: what was left of them goes no further.
    if (this.gate.dead) return new Promise(() => {})
    if (delayMaxMs === 0 && one === 0 && !this.gate.frozen) return undefined
    const { random } = this.#options.weather
    const fails = one > 0 && nextBelow(random, one * 2) === 0
    const delayMs = delayMaxMs === 0 ? 0 : nextBelow(random, delayMaxMs)
    const way = when === 'before' && !fails ? this.#options.scheduler : this.gate
    const arrived = new Promise<void>((resolve) => void way.after(delayMs, resolve))
    if (!fails) return arrived
    return arrived.then(() => {
      throw error()
    })
  }
}
