/**
 * Runs one job under a fault plan, to its end, in virtual time: processes that die, freeze and follow each other over one
 * store and the same sinks.
 *
 * Owns: the processes, carrying out the plan, the person who submits again after a stop. Does not own: what may go wrong
 * (fault-plan.ts), what must hold all the same (fault-checks.ts), what the job should come to.
 */
import { MemoryStoreData } from '../checkpoint/memory-store.ts'
import type { JobState } from '../coordinator/job-state.ts'
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
  /** Most virtual time; five minutes unless given. A run that takes longer hangs. */
  readonly virtualMs?: number
  /** Wall clock at the start, epoch ms. */
  readonly startMs?: number
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
const activeStates: ReadonlySet<JobState> = new Set([
  'STARTING',
  'RUNNING',
  'FINISHING',
  'FINISHED',
  'RESTARTING',
  'STOPPING',
])

/** Runs a job until it is finished or refused. Throws INTERNAL when it comes to neither. */
export async function runUnderFaults(options: FaultRunOptions): Promise<FaultRun> {
  const world = new FaultWorld(options)
  await world.run()
  return world.result()
}

class FaultWorld {
  readonly #options: FaultRunOptions
  readonly #clock: ManualClock
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
  #restUntilMs = 0
  #lostMs = Number.NEGATIVE_INFINITY
  #asking = false

  constructor(options: FaultRunOptions) {
    this.#options = options
    this.#clock = new ManualClock(options.startMs)
    this.#scheduler = new ManualScheduler(this.#clock, options.seed)
    this.#checks = new FaultChecks(options.definition.name, this.#store, () => this.#lostUnderWay())
    this.#weather = {
      storeMs: 0,
      storeOne: 0,
      sinkMs: 0,
      sinkOne: 0,
      mailMs: 0,
      random: new SeededRandom(options.seed ^ 0xbad),
    }
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
    this.#attend()
    const limits = { virtualMs: this.#options.virtualMs ?? 300_000 }
    try {
      await this.#scheduler.runUntil(() => this.#over(), `job ${definition.name} to end`, limits)
    } catch (thrown) {
      const { message } = MillraceError.from(thrown)
      throw new MillraceError('INTERNAL', `${message}\n${this.#trace.slice(-15).join('\n')}`, { cause: thrown })
    }
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
    const finished = known.filter((process) => process.status()!.state === 'FINISHED')
    const holder = this.#store.jobs.get(this.#options.definition.name)?.instanceId
    if (finished.length > 0) return finished.find(({ instanceId }) => instanceId === holder) ?? finished[0]
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
        this.#doneAfter(STEP_MS)
        return
      case 'stallWorker':
        owner?.simulation.workers.stall(fault.worker, fault.forMs)
        this.#doneAfter(fault.forMs)
        return
      case 'killProcess':
        this.#kill(owner, fault.downMs)
        return
      case 'freezeProcess':
        this.#freeze(owner, fault.forMs)
        return
      case 'slowStore':
        this.#weatherFor(fault.forMs, 'storeMs', fault.delayMs)
        return
      case 'failStore':
        this.#weatherFor(fault.forMs, 'storeOne', fault.one)
        return
      case 'slowSink':
        this.#weatherFor(fault.forMs, 'sinkMs', fault.delayMs)
        return
      case 'failSink':
        this.#weatherFor(fault.forMs, 'sinkOne', fault.one)
        return
      case 'slowMail':
        this.#weatherFor(fault.forMs, 'mailMs', fault.delayMs)
        return
      case 'stopJob':
        this.#restUntilMs = this.#clock.monotonicMs() + fault.restMs
        this.#doneWith(owner, owner?.stop(), fault.restMs)
        return
      case 'rescaleJob':
        this.#doneWith(owner, owner?.rescale(fault.parallelism), STEP_MS)
        return
      case 'rollBackStore':
        this.#rollBack(fault.lostMs)
        this.#done()
        return
      case 'emptyStore':
        this.#store.clear()
        this.#lost()
        this.#done()
        return
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
      // It learns that it is the owner no longer when it renews its lease.
      this.#doneAfter(3000)
    })
  }

  /** The fault is over when what a process was asked for is, one way or the other, and not before `atLeastMs`. */
  #doneWith(process: SimulatedProcess | undefined, asked: Promise<void> | undefined, atLeastMs: number): void {
    let over = asked === undefined
    void asked?.then(() => {
      over = true
    })
    const look = (): void => {
      if (over || process?.gate.dead === true) this.#done()
      else this.#scheduler.after(STEP_MS, look)
    }
    this.#scheduler.after(atLeastMs, look)
  }

  /** A person who wants the job to run, and submits it again where it rests after a stop. */
  #attend(): void {
    this.#scheduler.after(STEP_MS, () => this.#attend())
    if (this.#clock.monotonicMs() < this.#restUntilMs || this.#asking) return
    const alive = this.#alive().filter(({ gate }) => !gate.frozen)
    const states = alive.map((process) => process.status()?.state)
    const at = states.indexOf('SUSPENDED')
    if (at < 0 || states.some((state) => state !== undefined && activeStates.has(state))) return
    this.#asking = true
    const done = (): void => {
      this.#asking = false
    }
    alive[at]!.simulation.manager.submit(this.#options.definition, '').then(done, done)
    // Whoever is asked may die meanwhile.
    this.#scheduler.after(5000, done)
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
    this.#store.jobs.clear()
    for (const [name, data] of structuredClone(then.data) as MemoryStoreData['jobs']) this.#store.jobs.set(name, data)
    this.#store.storeId = then.storeId
    this.#lost()
  }

  /** Whether the store has lost data so lately that calls begun before may still be on their slow way. */
  #lostUnderWay(): boolean {
    return this.#weather.storeMs > 0 && this.#clock.monotonicMs() < this.#lostMs + 6 * this.#weather.storeMs
  }

  #lost(): void {
    this.#store.connection++
    this.#lostMs = this.#clock.monotonicMs()
    this.#checks.storeLost()
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
