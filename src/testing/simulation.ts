/**
 * A whole deployment in one thread: coordinator, workers, checkpoint store and topic, under a seeded scheduler and a
 * virtual clock.
 *
 * The coordinator and the data plane are the real ones; only threads, time, the topic and the store are stand-ins. The
 * same seed gives the same run, message by message: a failure is replayed by its seed.
 */
import {
  MemoryCheckpointStore,
  MemoryChunkStore,
  MemoryStoreData,
  type StoreFault,
} from '../checkpoint/memory-store.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { JobManager } from '../coordinator/job-manager.ts'
import type { JobPorts } from '../coordinator/job-ports.ts'
import { JobSavepoints } from '../coordinator/job-savepoints.ts'
import type { JobStatus } from '../coordinator/job-status.ts'
import type { StartWish } from '../coordinator/savepoint-start.ts'
import type { WriterSchemas } from '../coordinator/schema-desk.ts'
import { ThreadHub } from '../coordinator/thread-hub.ts'
import { SeededRandom } from '../core/clock.ts'
import type { Descriptors } from '../event/descriptor.ts'
import type { JobDefinition } from '../job/definition.ts'
import { planJob } from '../job/planner.ts'
import { planProgram } from '../job/program-plan.ts'
import type { ViewRows } from '../operator/view-rows.ts'
import type { JobProgram } from '../program/graph.ts'
import { MemorySavepoints } from '../savepoint/memory-savepoints.ts'
import type { OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import type { RecordWriter } from '../sink/sink.ts'
import { MemorySourceEnumerator, MemorySourceReader } from '../source/memory-source.ts'
import type { MemoryTopic } from '../source/memory-topic.ts'
import type { GatedScheduler } from './gated-scheduler.ts'
import { ManualClock, ManualScheduler } from './manual-clock.ts'
import { MemoryOutboxData, MemoryOutboxSink, type OutboxFault } from './memory-outbox-sink.ts'
import { type MailFaults, SimulatedWorkers, type SimulatedWorld } from './simulated-workers.ts'

/** What is simulated. */
export interface SimulationOptions {
  readonly seed: number
  readonly workers: number
  readonly topic: MemoryTopic
  readonly descriptors: Descriptors
  /** Schemas of the writers of framed values. */
  readonly schemas?: WriterSchemas
  /** What another simulation has left behind, or still holds: this one is the process that comes after it, or beside it. */
  readonly store?: MemoryStoreData
  readonly sinks?: MemoryOutboxData
  /** Savepoints that outlive the simulation; its own unless given. */
  readonly savepoints?: MemorySavepoints
  /** Time that it shares with others; `gate` is what freezes or ends it. Its own unless given. */
  readonly time?: { readonly clock: ManualClock; readonly scheduler: ManualScheduler; readonly gate: GatedScheduler }
  /** Stable name of the process; processes beside each other have different ones. */
  readonly instanceId?: string
  /** The module of a job in TypeScript, by its path. */
  readonly loadProgram?: (file: string) => Promise<JobProgram>
  readonly faults?: SimulationFaults
  /** Hears every line that is added to the trace. */
  readonly log?: (line: string) => void
}

/** What may happen to one process, apart from what may happen to store and sinks as such. */
export interface SimulationFaults extends MailFaults {
  readonly store?: StoreFault
  readonly sink?: OutboxFault
  /** For planting bugs: other rules than the checkpoint protocol's, another store over the same data, other sinks. */
  readonly protocol?: JobPorts['protocol']
  readonly wrapStore?: (store: CheckpointStore, data: MemoryStoreData) => CheckpointStore
  readonly wrapSink?: (sink: OutboxSink, owner: OutboxOwner) => OutboxSink
}

/** Records that a simulated output took. */
export interface WrittenRecord {
  readonly topic: string
  readonly key: Uint8Array | null
  readonly value: Uint8Array
  readonly timestampMs: number
}

/** A running simulation. */
export class Simulation {
  readonly seed: number
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly workers: SimulatedWorkers
  readonly manager: JobManager
  /** What can be done with savepoints; wait for it with `settle`. */
  readonly jobSavepoints: JobSavepoints
  readonly store: MemoryStoreData
  /** What sinks that take outboxes have applied. */
  readonly sinks: MemoryOutboxData
  readonly savepoints: MemorySavepoints
  /** What outputs that are written at once were given and had flushed, in order. */
  readonly written: WrittenRecord[] = []
  /** Every line that was logged, with its virtual time: the trace by which two runs are compared. */
  readonly trace: string[] = []
  readonly #hub: ThreadHub

  constructor(options: SimulationOptions) {
    const { seed, topic, descriptors } = options
    this.seed = seed
    this.store = options.store ?? new MemoryStoreData()
    this.sinks = options.sinks ?? new MemoryOutboxData()
    this.savepoints = options.savepoints ?? new MemorySavepoints()
    this.clock = options.time?.clock ?? new ManualClock()
    this.scheduler = options.time?.scheduler ?? new ManualScheduler(this.clock, seed)
    const random = new SeededRandom(seed ^ 0x5eed)
    const { clock } = this
    const scheduler = options.time?.gate ?? this.scheduler
    const { faults = {}, loadProgram } = options
    const world: SimulatedWorld = {
      openReader: () => new MemorySourceReader(topic, clock, scheduler),
      openWriter: (output) => this.#writer('topic' in output ? output.topic : output.kind),
      openOutboxSink: (_output, owner) => {
        const sink = new MemoryOutboxSink(this.sinks, owner, faults.sink)
        return faults.wrapSink?.(sink, owner) ?? sink
      },
      openChunkStore: () => new MemoryChunkStore(this.store, faults.store),
      ...(loadProgram === undefined ? {} : { loadProgram }),
    }
    this.workers = new SimulatedWorkers(options.workers, clock, scheduler, random, world, faults)
    const log = (level: string, message: string): void => {
      const line = `${clock.monotonicMs().toFixed(3)} ${level} ${message}`
      this.trace.push(line)
      options.log?.(line)
    }
    this.#hub = new ThreadHub({ workers: this.workers, clock, scheduler, log })
    const store = new MemoryCheckpointStore(this.store, clock, random, faults.store)
    const ports: JobPorts = {
      clock,
      scheduler,
      random,
      log,
      hub: this.#hub,
      store: faults.wrapStore?.(store, this.store) ?? store,
      chunkStore: { kind: 'memory', name: 'simulation' },
      savepoints: this.savepoints,
      instanceId: options.instanceId ?? 'simulation',
      ...(options.schemas === undefined ? {} : { schemas: options.schemas }),
      ...(faults.protocol === undefined ? {} : { protocol: faults.protocol }),
      openEnumerator: async () => new MemorySourceEnumerator(topic),
    }
    this.manager = new JobManager({
      ports,
      planJob: (definition, descriptorSet) =>
        definition.program === undefined
          ? planJob(definition, { threads: options.workers, descriptors })
          : planProgram(definition, { threads: options.workers, fileOf: (module) => module, descriptorSet }),
    })
    this.jobSavepoints = new JobSavepoints(this.manager, ports)
  }

  /** Submits a job; it starts as virtual time goes on, from a savepoint where `from` names one. */
  async submit(definition: JobDefinition, from: StartWish | null = null): Promise<void> {
    await this.#waitFor(this.manager.recover(), 'recovery')
    const start = from === null ? null : await this.jobSavepoints.start(from, definition)
    await this.#waitFor(this.manager.submit(definition, '', null, start), 'the submission')
  }

  /** Lets virtual time go on until a promise is settled, and gives what it comes to. */
  settle<T>(promise: Promise<T>): Promise<T> {
    return this.#waitFor(promise, 'a promise')
  }

  /** Brings back the jobs that the store knows, as a process does when it starts. */
  async recover(): Promise<void> {
    await this.#waitFor(this.manager.recover(), 'recovery')
  }

  /** The state of a job. */
  status(job: string): JobStatus {
    return this.manager.job(job).coordinator.status
  }

  /** Runs until the job is in `state`. */
  async runUntilState(job: string, state: JobStatus['state']): Promise<void> {
    await this.scheduler.runUntil(() => this.status(job).state === state, `job ${job} to be ${state}`)
  }

  /** All rows of a metric's view, from all its subtasks. */
  async rows(job: string, metric: number): Promise<readonly ViewRows[]> {
    const query = { metric, fromMs: -Infinity, toMs: Infinity, filter: [], sinceChange: [], rowsMax: 1_000_000 }
    return this.#waitFor(this.manager.query(job, query, 60_000), 'the query')
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await this.#waitFor(this.manager.close(), 'the manager to close')
    this.#hub.close()
    await this.workers.close()
  }

  async #waitFor<T>(promise: Promise<T>, what: string): Promise<T> {
    let settled = false
    const done = (): void => {
      settled = true
    }
    promise.then(done, done)
    await this.scheduler.runUntil(() => settled, what)
    return promise
  }

  #writer(topic: string): RecordWriter {
    const buffered: WrittenRecord[] = []
    return {
      write: (key, value, timestampMs) => {
        buffered.push({ topic, key: key?.slice() ?? null, value: value.slice(), timestampMs })
      },
      get bufferedBytes() {
        return buffered.reduce((sum, record) => sum + record.value.length, 0)
      },
      flush: async () => {
        this.written.push(...buffered.splice(0))
      },
      close: async () => {},
    }
  }
}
