/**
 * Runs one job under a fault plan, to its end, in virtual time: processes that die, freeze and follow each other over one
 * store and the same sinks.
 *
 * Owns: the processes, carrying out the plan, the person who submits again after a stop. Does not own: what may go wrong
 * (fault-plan.ts), what must hold all the same (fault-checks.ts), what the job should come to.
 */
import { MemoryStoreData } from '../checkpoint/memory-store.ts'
import { SeededRandom } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import { MemorySavepoints } from '../savepoint/memory-savepoints.ts'
import { FaultChecks } from './fault-checks.ts'
import type { Fault, FaultPlan } from './fault-plan.ts'
import { SimulatedProcess, type Weather } from './fault-process.ts'
import { ManualClock, ManualScheduler } from './manual-clock.ts'
import { MemoryOutboxData } from './memory-outbox-sink.ts'
import type { Simulation, SimulationFaults, SimulationOptions } from './simulation.ts'

/** What is run. The topic may be fed while it runs: see `onFirstRun`. */
export interface FaultRunOptions extends Pick<SimulationOptions, 'topic' | 'descriptors' | 'workers' | 'loadProgram'> {
  readonly seed: number
  readonly definition: JobDefinition
  readonly plan: FaultPlan
  /** Called when the job runs for the first time, with what lets virtual time go by. */
  readonly onFirstRun?: (scheduler: ManualScheduler) => void
  /** Mistakes planted in every process, for tests of the tests. */
  readonly planted?: Pick<SimulationFaults, 'protocol' | 'wrapStore' | 'wrapSink' | 'tamper'>
  /** Most virtual time; ten minutes unless given. A run that takes longer hangs. */
  readonly virtualMs?: number
}

/** How a run ended. */
export interface FaultRun {
  readonly seed: number
  /** `finished`, or `refused`: the store has lost what the job needs, and it says so. */
  readonly outcome: 'finished' | 'refused'
  /** Where the job rests; its views can be asked. Null where no process knows the job any more. */
  readonly simulation: Simulation | null
  /** What the job was refused with. */
  readonly error: MillraceError | null
  readonly sinks: MemoryOutboxData
  readonly store: MemoryStoreData
  readonly checks: FaultChecks
  /** What all processes logged, by virtual time. */
  readonly trace: readonly string[]
  /** Ends all processes. */
  close(): Promise<void>
}

const STEP_MS = 100
const restingStates = ['FINISHED', 'FAILED']

/** Runs a job until it is finished or refused. Throws INTERNAL when it comes to neither. */
export async function runUnderFaults(options: FaultRunOptions): Promise<FaultRun> {
  const world = new FaultWorld(options)
  await world.run()
  return world.result()
}

class FaultWorld {
  readonly #options: FaultRunOptions
  readonly #clock = new ManualClock()
  readonly #scheduler: ManualScheduler
  readonly #store = new MemoryStoreData()
  readonly #sinks = new MemoryOutboxData()
  readonly #savepoints = new MemorySavepoints()
  readonly #checks: FaultChecks
  readonly #trace: string[] = []
  readonly #weather: Weather
  readonly #processes: SimulatedProcess[] = []
  /** The store as it was, oldest first: kept where the plan will go back to it. */
  readonly #past: { readonly atMs: number; readonly data: Map<string, unknown>; readonly storeId: string }[] = []
  #pending: number
  #ran = false
  #lives = 0

  constructor(options: FaultRunOptions) {
    this.#options = options
    this.#scheduler = new ManualScheduler(this.#clock, options.seed)
    this.#checks = new FaultChecks(options.definition.name, this.#store)
    this.#weather = { storeMs: 0, storeOne: 0, sinkMs: 0, sinkOne: 0, mailMs: 0, random: new SeededRandom(options.seed ^ 0xbad) }
    this.#pending = options.plan.length
  }

  async run(): Promise<void> {
    const { plan, definition } = this.#options
    const first = this.#start('a')
    await first.submit(definition)
    for (const fault of plan) {
      this.#scheduler.after(fault.atMs, () => {
        this.#note(`fault ${fault.kind}`)
        this.#inflict(fault)
      })
    }
    if (plan.some(({ kind }) => kind === 'rollBackStore')) this.#remember()
    const limits = { virtualMs: this.#options.virtualMs ?? 600_000 }
    await this.#scheduler.runUntil(() => this.#over(), `job ${definition.name} to end`, limits)
  }

  result(): FaultRun {
    const done = this.#resting() ?? null
    const finished = done?.status()?.state === 'FINISHED'
    const error = done?.status()?.error ?? null
    return {
      seed: this.#options.seed,
      outcome: finished ? 'finished' : 'refused',
      simulation: done?.simulation ?? null,
      error: error === null ? null : MillraceError.fromData(error),
      sinks: this.#sinks,
      store: this.#store,
      checks: this.#checks,
      trace: this.#trace,
      close: async () => {
        for (const process of this.#alive()) await process.simulation.close()
      },
    }
  }

  /** Nothing is to go wrong any more, and the job rests where nothing brings it back. */
  #over(): boolean {
    return this.#pending === 0 && this.#resting() !== undefined
  }

  #resting(): SimulatedProcess | null | undefined {
    const alive = this.#alive()
    if (alive.some((process) => process.gate.frozen || !process.simulation.manager.recovered)) return undefined
    const known = alive.filter((process) => process.status() !== undefined)
    // Nobody knows the job: its record was lost with the store.
    if (known.length === 0) return alive.length === 0 ? undefined : null
    const finished = known.find((process) => process.status()!.state === 'FINISHED')
    if (finished !== undefined) return finished
    if (known.some((process) => !restingStates.includes(process.status()!.state))) return undefined
    return known.find((process) => process.status()!.error?.code !== 'STORE_FENCED') ?? known[0]
  }

  #alive(): readonly SimulatedProcess[] {
    return this.#processes.filter((process) => !process.gate.dead)
  }

  #owner(): SimulatedProcess | undefined {
    const alive = this.#alive().filter((process) => !process.gate.frozen)
    return alive.find((process) => process.owns()) ?? alive[0]
  }

  #start(instanceId: string): SimulatedProcess {
    const { seed, definition, planted = {}, topic, descriptors, workers, loadProgram } = this.#options
    const life = this.#lives++
    const process = new SimulatedProcess({
      ...{ instanceId, job: definition.name, clock: this.#clock, scheduler: this.#scheduler, weather: this.#weather },
      planted,
      simulation: {
        ...{ seed: seed + life * 7919, topic, descriptors, workers, store: this.#store, sinks: this.#sinks },
        savepoints: this.#savepoints,
        ...(loadProgram === undefined ? {} : { loadProgram }),
      },
      log: (line) => this.#trace.push(`${instanceId}${life} ${line}`),
    })
    this.#processes.push(process)
    process.simulation.manager.onState((_job, { state }) => {
      if (state !== 'RUNNING' || this.#ran) return
      this.#ran = true
      this.#options.onFirstRun?.(this.#scheduler)
    })
    return process
  }

  #inflict(fault: Fault): void {
    const owner = this.#owner()
    switch (fault.kind) {
      case 'crashWorker':
        owner?.simulation.workers.crash(fault.worker)
        return this.#done()
      case 'stallWorker':
        owner?.simulation.workers.stall(fault.worker, fault.forMs)
        return this.#doneAfter(fault.forMs)
      case 'killProcess':
        return this.#kill(owner, fault.downMs)
      case 'freezeProcess':
        return this.#freeze(owner, fault.forMs)
      case 'slowStore':
        return this.#weatherFor(fault.forMs, 'storeMs', fault.delayMs)
      case 'failStore':
        return this.#weatherFor(fault.forMs, 'storeOne', fault.one)
      case 'slowSink':
        return this.#weatherFor(fault.forMs, 'sinkMs', fault.delayMs)
      case 'failSink':
        return this.#weatherFor(fault.forMs, 'sinkOne', fault.one)
      case 'slowMail':
        return this.#weatherFor(fault.forMs, 'mailMs', fault.delayMs)
      case 'stopJob':
        owner?.stop()
        return void this.#scheduler.after(fault.restMs, () => this.#submitAgain())
      case 'rollBackStore':
        this.#rollBack(fault.lostMs)
        return this.#done()
      case 'emptyStore':
        this.#checks.storeLost()
        this.#store.clear()
        this.#store.connection++
        return this.#done()
    }
  }

  #weatherFor(forMs: number, what: Exclude<keyof Weather, 'random'>, value: number): void {
    this.#weather[what] = value
    this.#scheduler.after(forMs, () => {
      this.#weather[what] = 0
      this.#done()
    })
  }

  #kill(process: SimulatedProcess | undefined, downMs: number): void {
    process?.gate.kill()
    this.#scheduler.after(downMs, () => {
      if (process !== undefined) this.#start(process.instanceId).recover()
      this.#done()
    })
  }

  #freeze(process: SimulatedProcess | undefined, forMs: number): void {
    process?.gate.freeze()
    const names = new Set(this.#alive().map(({ instanceId }) => instanceId))
    if (process !== undefined && names.size < 2) this.#start(names.has('a') ? 'b' : 'a').recover()
    this.#scheduler.after(forMs, () => {
      process?.gate.thaw()
      this.#done()
    })
  }

  /** A person who wants the job to run: asks until it is so. */
  #submitAgain(): void {
    const owner = this.#owner()
    const state = owner?.status()?.state
    if (owner === undefined || state === undefined || state === 'STOPPING' || !owner.simulation.manager.recovered) {
      if (this.#resting() === null) return this.#done()
      this.#scheduler.after(STEP_MS, () => this.#submitAgain())
      return
    }
    if (state !== 'SUSPENDED') return this.#done()
    owner.simulation.manager.submit(this.#options.definition, '').then(
      () => this.#scheduler.after(STEP_MS, () => this.#submitAgain()),
      () => this.#scheduler.after(STEP_MS, () => this.#submitAgain()),
    )
  }

  #remember(): void {
    const { storeId, jobs } = this.#store
    this.#past.push({ atMs: this.#clock.monotonicMs(), data: structuredClone(jobs), storeId })
    if (this.#past.length > 25) this.#past.shift()
    if (this.#pending > 0) this.#scheduler.after(50, () => this.#remember())
  }

  #rollBack(lostMs: number): void {
    const wantedMs = this.#clock.monotonicMs() - lostMs
    const then = this.#past.findLast(({ atMs }) => atMs <= wantedMs) ?? this.#past[0]
    if (then === undefined) return
    this.#checks.storeLost()
    this.#store.jobs.clear()
    for (const [name, data] of structuredClone(then.data) as MemoryStoreData['jobs']) this.#store.jobs.set(name, data)
    this.#store.storeId = then.storeId
    this.#store.connection++
  }

  #note(line: string): void {
    this.#trace.push(`${this.#clock.monotonicMs().toFixed(3)} ${line}`)
  }

  #doneAfter(ms: number): void {
    this.#scheduler.after(ms, () => this.#done())
  }

  #done(): void {
    this.#pending--
  }
}
