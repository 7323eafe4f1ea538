/**
 * Runs a job in TypeScript in one thread, in virtual time: for its author's tests.
 *
 * The stages, channels, barriers and checkpoints are the real ones; threads, time, the topic and the store are
 * stand-ins. What runs when is drawn from the seed: the same seed is the same run. Time moves only when it is told to,
 * and event time with events too. Outputs keep everything that was ever written, as a topic would: after a crash, what was
 * written since the last checkpoint is written again.
 */
import { chunkKeyPrefix } from '../checkpoint/chunk-key.ts'
import { MemoryChunkStore, MemoryStoreData } from '../checkpoint/memory-store.ts'
import { fitCheckpoint, type HeldCheckpoint } from '../coordinator/held-state.ts'
import { nextBelow, type Random, SeededRandom } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { systemScheduler } from '../core/system.ts'
import { withoutOutbox } from '../job/delivery.ts'
import { planProgram } from '../job/program-plan.ts'
import { describeProgram, type JobProgram } from '../program/graph.ts'
import { programDefinition } from '../program/job-definition.ts'
import type { Key } from '../program/keys.ts'
import { withSchemas } from '../program/message-types.ts'
import { type LinkMessage, movedBuffer } from '../runtime/links.ts'
import { ProgramAttempt } from '../runtime/program-attempt.ts'
import type { SubtaskContext } from '../runtime/subtask.ts'
import { HarnessInputs, type InputTarget } from './harness-inputs.ts'
import { allRead, endless, hasMail, type Life, STEPS_MAX } from './harness-life.ts'
import { HarnessOutputs, type OutputRecord } from './harness-outputs.ts'

/** How a job is run. */
export interface HarnessOptions {
  /** Draws what runs when; 1 unless given. */
  readonly seed?: number
  /** Subtasks of each operator; 2 unless given, so that records do cross. */
  readonly parallelism?: number
  /** Partitions of each input; 1 unless given. */
  readonly partitions?: number
  /** Schemas of events that are a registry's (`registeredType`), as a serialized FileDescriptorSet. */
  readonly descriptorSet?: Uint8Array
  /** Wall clock at the start, epoch ms. Events may not be later than it plus `maxFuture`. */
  readonly startMs?: number
}

/** How a job goes on from its last checkpoint. */
export interface RestoreOptions {
  readonly parallelism?: number
  readonly job?: JobProgram
  /** What the other job may drop: names of operators, of parts of their state (`operator/part`), of sources. */
  readonly dropState?: readonly string[]
}

/** Starts a job. Close it, or leave it to the garbage. */
export async function openHarness<T>(job: JobProgram, options: HarnessOptions = {}): Promise<JobHarness<T>> {
  const harness = new JobHarness<T>(job, options)
  await harness.start(options.parallelism ?? 2)
  return harness
}

/** A job under test. */
export class JobHarness<T> {
  /** Seed of the order, to print when a test fails. */
  readonly seed: number
  #job: JobProgram
  readonly #random: Random
  readonly #inputs: HarnessInputs
  readonly #store = new MemoryStoreData()
  readonly #outputs: HarnessOutputs
  readonly #descriptorSet: Uint8Array | null
  #wallMs: number
  #monotonicMs = 0
  #attempt = 0
  #checkpointId = 0
  #restored: HeldCheckpoint | null = null
  #life: Life | null = null

  constructor(job: JobProgram, options: HarnessOptions) {
    this.seed = options.seed ?? 1
    this.#random = new SeededRandom(this.seed)
    this.#inputs = new HarnessInputs(options.partitions ?? 1, this.#random)
    this.#outputs = new HarnessOutputs()
    this.#descriptorSet = options.descriptorSet ?? null
    this.#job = this.#prepare(job)
    this.#wallMs = options.startMs ?? 1_700_000_000_000
  }

  /** Begins an attempt at `parallelism`, from the last checkpoint if there is one; `dropState` as in `restore`. */
  async start(parallelism: number, dropState: readonly string[] = []): Promise<void> {
    const life: Life = { attempts: [], mail: new Map(), acks: new Map(), failure: null, woken: true }
    const placement = Array.from({ length: parallelism }, (_, index) => index)
    const definition = withoutOutbox(programDefinition('job.ts', describeProgram(this.#job)))
    // No partition falls idle: the time of events is the test's to say.
    const plan = planProgram(
      { ...definition, parallelism, watermark: { ...definition.watermark, idlenessMs: 0 } },
      { threads: parallelism, fileOf: (module) => module },
    )
    const fitted = (held: HeldCheckpoint) => fitCheckpoint(held, plan, dropState, `checkpoint ${this.#checkpointId}`)
    const restore = this.#restored === null ? null : fitted(this.#restored).snapshots
    const splits = this.#inputs.splits(this.#job, parallelism, restore ?? [])
    this.#attempt++
    const deploy = {
      ...({ type: 'deploy', job: 1, attempt: this.#attempt, plan, placement, splits, restore } as const),
      ...{ chunkStore: { kind: 'memory', name: 'harness' } as const, poison: [], tables: [] },
      chunkPrefix: chunkKeyPrefix(plan.jobName, 1, this.#attempt, 'harness'),
    }
    const attempts = placement.map((thread) => new ProgramAttempt(deploy, this.#environment(life, thread)))
    for (const attempt of attempts) await attempt.open()
    life.attempts = attempts
    this.#life = life
    await this.run()
  }

  /** Adds an event to an input. Nothing happens before the next `await`. */
  push(event: T, to: number | InputTarget = {}): void {
    this.pushBytes(this.#inputs.encode(this.#job, targetOf(to), event), to)
  }

  /** Adds a record to the input as bytes, decodable or not. A number names the partition. */
  pushBytes(value: Uint8Array | null, to: number | InputTarget = {}): void {
    this.#inputs.append(this.#job, targetOf(to), value, this.#wallMs)
  }

  /** Lets everything happen that can. Throws what the job fails with. */
  run(): Promise<void> {
    return this.#runUntil(() => false)
  }

  /** Lets everything happen that can, or until `reached`: what is under way then stays so. */
  async #runUntil(reached: (life: Life) => boolean): Promise<void> {
    const life = this.#alive()
    for (;;) {
      this.#drain(life, reached)
      if (life.failure !== null) throw life.failure
      if (reached(life)) return
      life.woken = false
      // A turn of the real event loop lets every promise go on that can.
      await new Promise<void>((resolve) => void systemScheduler.soon(resolve))
      if (!life.woken && !hasMail(life)) return
    }
  }

  /** Says that no event at or before `timeMs` comes any more, and lets everything happen that follows. */
  async advanceWatermark(timeMs: number): Promise<void> {
    await this.run()
    const { outOfOrdernessMs } = this.#job.settings.watermark
    for (const attempt of this.#alive().attempts) {
      for (const source of attempt.sources.values()) source.advanceTo(timeMs + outOfOrdernessMs + 1)
    }
    await this.run()
  }

  /** Says that no event comes any more: every window and event timer fires. */
  finish(): Promise<void> {
    return this.advanceWatermark(Number.POSITIVE_INFINITY)
  }

  /** Lets `ms` of wall clock pass: processing timers fire, state expires. */
  async advanceTime(ms: number): Promise<void> {
    await this.run()
    this.#wallMs += ms
    this.#monotonicMs += ms
    await this.run()
  }

  /** Wall clock, epoch ms. */
  get nowMs(): number {
    return this.#wallMs
  }

  /** Makes a checkpoint, with everything that was pushed before: where `restore` goes on. */
  async checkpoint(): Promise<void> {
    // Barriers meet records that are still on their way, as they do in threads.
    await this.#runUntil(allRead)
    const life = this.#alive()
    const checkpointId = ++this.#checkpointId
    for (const attempt of life.attempts)
      for (const source of attempt.sources.values()) source.injectBarrier(checkpointId)
    await this.run()
    const subtasks = life.attempts.reduce((sum, attempt) => sum + attempt.subtasks.length, 0)
    for (let turn = 0; (life.acks.get(checkpointId)?.length ?? 0) < subtasks; turn++) {
      if (turn > 100)
        throw new MillraceError('CHECKPOINT_FAILED', `the checkpoint did not complete (seed ${this.seed})`)
      await this.run()
    }
    const { keyGroups } = this.#job.settings
    this.#restored = { keyGroups, definitionHash: '', subtasks: structuredClone(life.acks.get(checkpointId)!) }
    for (const { subtasks: all } of life.attempts)
      for (const subtask of all) subtask.checkpointComplete(checkpointId, [])
  }

  /** Ends the job as a crash does, and starts it (or another in its place) from the last checkpoint, or afresh. */
  async restore(options: RestoreOptions = {}): Promise<void> {
    const life = this.#alive()
    const parallelism = options.parallelism ?? life.attempts.length
    this.#life = null
    await Promise.all(life.attempts.map((attempt) => attempt.close()))
    if (options.job !== undefined) this.#job = this.#prepare(options.job)
    await this.start(parallelism, options.dropState)
  }

  /** The values that sink `id` was given, in order. */
  output<V = unknown>(id: string): V[] {
    return this.records<V>(id).map((record) => record.value)
  }

  /** The same with keys, bytes and timestamps. */
  records<V = unknown>(id: string): readonly OutputRecord<V>[] {
    return this.#outputs.of(id) as readonly OutputRecord<V>[]
  }

  /** Forgets what sinks were given. */
  clearOutputs(): void {
    this.#outputs.clear()
  }

  /** What operator `id` keeps of a key, by the names of its state; undefined when it keeps nothing. */
  state(id: string, key: Key): Readonly<Record<string, unknown>> | undefined {
    for (const attempt of this.#alive().attempts) {
      for (const stages of attempt.stages.values()) {
        for (const stage of stages.values()) {
          const found = stage.operator === id ? stage.stateOf(key) : undefined
          if (found !== undefined) return found
        }
      }
    }
    return undefined
  }

  /** What became of the events: read, dead-lettered, filtered, and records that came too late for their window. */
  get counts(): Readonly<Record<'read' | 'deadLettered' | 'filtered' | 'late', number>> {
    const counts = { read: 0, deadLettered: 0, filtered: 0, late: 0 }
    for (const { subtasks } of this.#alive().attempts) {
      for (const subtask of subtasks) {
        const { read, deadLettered, filtered, late } = subtask.stats()
        counts.read += read
        counts.deadLettered += deadLettered
        counts.filtered += filtered
        counts.late += late
      }
    }
    return counts
  }

  /** Ends the job. */
  async close(): Promise<void> {
    const life = this.#life
    this.#life = null
    await Promise.all(life?.attempts.map((attempt) => attempt.close()) ?? [])
  }

  #prepare(job: JobProgram): JobProgram {
    return withSchemas(this.#outputs.watch(job), this.#descriptorSet)
  }

  #alive(): Life {
    if (this.#life !== null) return this.#life
    throw new MillraceError('USAGE', 'the harness is closed')
  }

  /** Delivers mail and steps subtasks, in an order that the seed draws, until nothing moves. */
  #drain(life: Life, reached: (life: Life) => boolean): void {
    const subtasks = life.attempts.flatMap((attempt) => attempt.subtasks.map((subtask) => ({ attempt, subtask })))
    let quiet = 0
    let steps = 0
    // Every subtask must have had nothing to do since something last moved.
    while (life.failure === null && (quiet < subtasks.length * 3 || hasMail(life))) {
      if (reached(life)) return
      const waiting = [...life.mail].filter(([, messages]) => messages.length > 0)
      const chosen = nextBelow(this.#random, subtasks.length + waiting.length)
      if (chosen < waiting.length) {
        const [to, messages] = waiting[chosen]!
        life.attempts[Number(to.split('>')[1])]!.deliver(messages.shift()!)
        quiet = 0
        continue
      }
      this.#monotonicMs += 10
      const { subtask } = subtasks[chosen - waiting.length]!
      try {
        if (subtask.step() !== 'worked') quiet++
        else if (++steps > STEPS_MAX) throw endless(this.seed)
        else quiet = 0
      } catch (thrown) {
        life.failure = MillraceError.from(thrown)
      }
    }
    // Upstream first: a mark that one sends counts as nothing done, and must reach those behind all the same.
    for (const { subtask } of subtasks.toReversed()) if (life.failure === null) this.#settle(life, subtask)
  }

  /** Steps one subtask as long as it gets something done: what chance has passed over. */
  #settle(life: Life, subtask: { step(): string }): void {
    try {
      this.#monotonicMs += 25
      for (let steps = 0; subtask.step() === 'worked'; steps++) {
        life.woken = true
        if (steps > STEPS_MAX) throw endless(this.seed)
      }
    } catch (thrown) {
      life.failure = MillraceError.from(thrown)
    }
  }

  #environment(life: Life, thread: number) {
    // Work takes time: a subtask with much of it is interrupted, as in a thread.
    const clock = { nowMs: () => this.#wallMs, monotonicMs: () => ++this.#monotonicMs }
    const wake = (): void => {
      life.woken = true
    }
    const context: SubtaskContext = {
      clock,
      wake,
      wakeAfter: () => () => {},
      ack: (checkpointId, snapshot) => {
        life.acks.set(checkpointId, [...(life.acks.get(checkpointId) ?? []), snapshot])
        wake()
      },
      decline: (_checkpointId, error) => {
        life.failure ??= MillraceError.fromData(error)
        wake()
      },
      fail: (error) => {
        life.failure ??= MillraceError.from(error)
        wake()
      },
    }
    return {
      ports: {
        clock,
        scheduler: systemScheduler,
        random: this.#random,
        openReader: () => this.#inputs.open(this.#job, clock, systemScheduler),
        openWriter: (output: Parameters<HarnessOutputs['open']>[0]) => this.#outputs.open(output),
        openChunkStore: () => new MemoryChunkStore(this.#store),
        loadProgram: async () => this.#job,
      },
      thread,
      send: (to: number, message: LinkMessage) => {
        const buffer = movedBuffer(message)
        const copy = structuredClone(message, buffer === null ? {} : { transfer: [buffer] })
        const link = `${thread}>${to}`
        life.mail.set(link, [...(life.mail.get(link) ?? []), copy])
      },
      contextOf: () => context,
      ...{ sourceFinished: ignore, sourceWatermark: ignore, schemaWanted: ignore, epochFull: ignore },
    }
  }
}

const ignore = (): void => {}

function targetOf(to: number | InputTarget): InputTarget {
  return typeof to === 'number' ? { partition: to } : to
}
