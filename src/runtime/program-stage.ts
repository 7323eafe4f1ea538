/**
 * A keyed stage of a program in one thread: batches, timers, watermarks and barriers in, results out.
 *
 * Owns: the order of things. Per event of the gate a list of phases is worked off, each resumable:
 *
 *   watermark  settle -> fire -> flush -> send the watermark on
 *   idle       flush
 *   barrier    settle -> flush -> copy changed state, send the barrier on -> (in the background) write, acknowledge
 *
 * `settle` waits for asynchronous work. So results leave before the watermark that caused them, and a barrier finds
 * nothing half done. Batches are worked off in slices, between which timers of the wall clock fire. Does not own: what
 * operators do (program/), what pages are (program/state-pages.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import type { GateEvent } from '../exchange/input-gate.ts'
import type { BatchMessage, Message } from '../exchange/message.ts'
import { codeFailure, failedAt, recordText, timerText } from '../program/code-failure.ts'
import type { Key, TimeDomain } from '../program/keys.ts'
import type { KeyedOperator } from '../program/operator.ts'
import { encodeStageMeta } from '../program/stage-meta.ts'
import { ExpirySweep } from '../program/state.ts'
import { ValueReader } from '../program/value-reader.ts'
import type { SubtaskStats } from './messages.ts'
import { ofRecord } from './program-failure.ts'
import { BROADCAST, RAW, VALUE } from './program-outputs.ts'
import type { ProgramStageParts } from './program-stage-parts.ts'
import { StageRuntime } from './stage-runtime.ts'
import type { StepResult, Subtask, SubtaskContext } from './subtask.ts'
import { withOutbox } from './subtask-outbox.ts'

/** Longest work on one batch before other things get their turn. */
const SLICE_MS = 4
/** Records or timers between two looks at the clock and at credits; entries looked at for expired state after a batch. */
const [LOOK_EVERY, SWEEP_ENTRIES] = [32, 256]

type Phase = 'settle' | 'fire' | 'flush' | 'watermark' | 'barrier'

/** Runs one keyed operator with what is chained to it. */
export class ProgramStage implements Subtask {
  readonly operator: string
  readonly index: number
  readonly #parts: ProgramStageParts
  readonly #context: SubtaskContext
  readonly #runtime: StageRuntime
  readonly #keyed: KeyedOperator
  readonly #sweep: ExpirySweep
  readonly #reader = new ValueReader()
  readonly #phases: Phase[] = []
  #batch: { readonly message: BatchMessage; readonly channel: number } | null = null
  #barrier = 0
  #recordsIn = 0
  /** Asynchronous work is under way. */
  #unsettled = false

  constructor(parts: ProgramStageParts, context: SubtaskContext) {
    this.operator = parts.node.id
    this.index = parts.index
    this.#parts = parts
    this.#context = context
    const { node, state, gate } = parts
    this.#runtime = new StageRuntime(parts, context)
    this.#sweep = new ExpirySweep(state.store)
    try {
      this.#keyed = node.create(this.#runtime)
    } catch (thrown) {
      throw codeFailure(this.operator, thrown)
    }
    // Those behind have lost what they knew of this channel; what another parallelism has left unfired is fired first.
    if (gate.watermarkMs > MIN_WATERMARK) this.#phases.push('fire', 'flush', 'watermark')
  }

  step(): StepResult {
    const { outputs, gate, current } = this.#parts
    const { failure } = this.#runtime
    if (failure !== null) throw failure
    current.offset = -1
    outputs.sendFull()
    if (!outputs.ready) return 'blocked'
    try {
      this.#unsettled = this.#keyed.poll?.() ?? false
      current.offset = -1
      if (this.#batch !== null) return this.#workOnBatch()
      const phases = this.#runPhases()
      if (phases !== 'idle') return phases
      if (this.#fireProcessing()) return 'worked'
      if (this.#keyed.full === true) return 'blocked'
      const event = gate.next()
      if (event !== undefined) {
        this.#take(event)
        return 'worked'
      }
    } catch (thrown) {
      throw ofRecord(codeFailure(this.operator, thrown), current)
    }
    if (outputs.pending && !outputs.flush()) return 'blocked'
    this.#sweep.sweep(SWEEP_ENTRIES, this.#context.clock.nowMs())
    return 'idle'
  }

  receive(channel: number, message: Message): void {
    this.#parts.gate.push(channel, message)
  }

  credit(): void {
    this.#context.wake()
  }

  checkpointComplete(checkpointId: number, rewrite: readonly string[]): void {
    this.#parts.outbox.completed(checkpointId)
    this.#parts.writer.rewrite(rewrite)
  }

  checkpointAborted(checkpointId: number): void {
    this.#parts.gate.abort(checkpointId)
    this.#context.wake()
  }

  query(): null {
    return null
  }

  stats(): Omit<SubtaskStats, 'job' | 'attempt' | 'busyMs' | 'idleMs' | 'backPressuredMs'> {
    const { gate, outputs, state } = this.#parts
    return {
      operator: this.operator,
      subtask: this.index,
      recordsIn: this.#recordsIn,
      recordsOut: outputs.recordsOut,
      bytesIn: 0,
      ...{ read: 0, deadLettered: 0, filtered: 0, applied: 0, late: this.#runtime.late, lost: 0 },
      ...{ deduplicated: 0, dedupeForgotten: 0 },
      watermarkMs: gate.watermarkMs,
      idle: gate.idle,
      finished: gate.watermarkMs === Number.POSITIVE_INFINITY && gate.drained && this.#phases.length === 0,
      stateBytes: state.pages.storedBytes,
      ...{ pendingRecords: 0, partitions: [], latencyCounts: [], results: outputs.results, checksum: outputs.checksum },
    }
  }

  /** What is kept of a key, by the names of the operator's state; undefined when nothing is. For tests. */
  stateOf(key: Key): Readonly<Record<string, unknown>> | undefined {
    return this.#parts.state.describe(key)
  }

  async close(): Promise<void> {}

  #take(event: GateEvent): void {
    switch (event.kind) {
      case 'batch':
        this.#batch = { message: event.batch, channel: event.channel }
        this.#reader.reset(new Uint8Array(event.batch.buffer), 0, event.batch.byteLength)
        this.#workOnBatch()
        return
      case 'watermark':
        this.#phases.push('settle', 'fire', 'flush', 'watermark')
        return
      case 'idle':
        // Not told to those behind, as in declarative jobs: all subtasks of a stage hear the same sources.
        this.#phases.push('flush')
        return
      case 'barrier':
        this.#barrier = event.checkpointId
        this.#phases.push('settle', 'flush', 'barrier')
    }
  }

  /** Works on the batch until it ends, time is up, or nothing more can be sent. */
  #workOnBatch(): StepResult {
    const { message, channel } = this.#batch!
    const { outputs, inputOf } = this.#parts
    const input = inputOf[channel]!
    const untilMs = this.#context.clock.monotonicMs() + SLICE_MS
    const reader = this.#reader
    let worked: StepResult = 'blocked'
    for (let i = 1; !reader.done; i++) {
      if (this.#keyed.full === true) return worked
      this.#work(reader, input)
      worked = 'worked'
      if (i % LOOK_EVERY !== 0) continue
      outputs.sendFull()
      if (!outputs.ready || this.#context.clock.monotonicMs() > untilMs) return 'worked'
    }
    this.#batch = null
    this.#parts.returnCredit(channel, message.buffer)
    this.#parts.current.offset = -1
    this.#fireProcessing()
    this.#sweep.sweep(SWEEP_ENTRIES, this.#context.clock.nowMs())
    return 'worked'
  }

  #work(reader: ValueReader, input: number): void {
    const { state, eventTypes, current } = this.#parts
    const group = reader.readU16()
    const timestampMs = reader.readF64()
    current.partition = reader.readF64()
    current.offset = reader.readF64()
    const key = group === BROADCAST ? null : (reader.read() as Key)
    // Copied: a decoder may keep views of it, and the buffer goes back to its sender.
    const form = reader.readU8()
    const value = form === VALUE ? reader.read() : eventTypes[form - RAW]!.decode(reader.readBytes().slice())
    this.#recordsIn++
    const entry = key === null ? null : state.store.entry(group, key)
    try {
      this.#keyed.onRecord(input, value, timestampMs, entry)
    } catch (thrown) {
      throw failedAt(this.operator, thrown, recordText(key, timestampMs))
    }
    if (entry !== null) state.store.settle(entry)
  }

  /** Works phases off in order: `idle` when none is left, `worked` when one needs another turn. */
  #runPhases(): StepResult {
    while (this.#phases.length > 0) {
      const done = this.#runPhase(this.#phases[0]!)
      if (done !== 'idle') return done
      this.#phases.shift()
    }
    return 'idle'
  }

  #runPhase(phase: Phase): StepResult {
    const { gate, outputs } = this.#parts
    switch (phase) {
      case 'settle':
        return this.#unsettled ? 'blocked' : 'idle'
      case 'fire':
        return this.#fire('event', gate.watermarkMs) || this.#fireEnd() ? 'worked' : 'idle'
      case 'flush':
        return outputs.flush() ? 'idle' : 'blocked'
      case 'watermark':
        outputs.broadcast({ kind: 'watermark', watermarkMs: gate.watermarkMs })
        return 'idle'
      case 'barrier':
        this.#snapshot()
        return 'idle'
    }
  }

  /** Fires timers up to `untilMs`; true when some are left for another turn. */
  #fire(domain: TimeDomain, untilMs: number): boolean {
    const { state, outputs } = this.#parts
    const timers = this.#runtime.timers(domain)
    const endMs = this.#context.clock.monotonicMs() + SLICE_MS
    for (let i = 1; ; i++) {
      const timer = timers.take(untilMs)
      if (timer === undefined) return false
      state.store.touch(timer.entry)
      const { entry, timeMs } = timer
      try {
        this.#keyed.onTimer?.(entry, domain, timeMs)
      } catch (thrown) {
        throw failedAt(this.operator, thrown, timerText(entry.key, domain, timeMs))
      }
      state.store.settle(entry)
      if (i % LOOK_EVERY !== 0) continue
      outputs.sendFull()
      if (!outputs.ready || this.#context.clock.monotonicMs() > endMs) return true
    }
  }

  /** Fires what would wait for a wall clock that nobody goes by any more; true when some is left for another turn. */
  #fireEnd(): boolean {
    if (this.#parts.gate.watermarkMs !== MAX_WATERMARK || this.#keyed.firesAtEnd !== true) return false
    return this.#fire('processing', MAX_WATERMARK)
  }

  /** Fires what the wall clock has made due; true when something did. */
  #fireProcessing(): boolean {
    const nowMs = this.#context.clock.nowMs()
    if (this.#parts.state.processingTimers.nextMs > nowMs) return false
    this.#fire('processing', nowMs)
    return true
  }

  #snapshot(): void {
    const { state, gate, outputs, writer, outbox, node, parallelism, stateLimitBytes } = this.#parts
    const checkpointId = this.#barrier
    const pack = writer.begin()
    state.pages.copy(pack, writer)
    state.checkLimit(stateLimitBytes)
    const facts = {
      operatorId: node.id,
      subtask: this.index,
      parallelism,
      watermarkMs: gate.watermarkMs,
      meta: encodeStageMeta(node.slots),
      counters: { late: this.#runtime.late },
      ...{ splits: [], outbox: [] },
    }
    outputs.broadcast({ kind: 'barrier', checkpointId })
    Promise.all([pack.finish(), outbox.snapshot(checkpointId), outputs.durable()]).then(
      ([pack, said]) => this.#context.ack(checkpointId, withOutbox({ ...facts, ...pack }, said)),
      (error: unknown) => this.#context.decline(checkpointId, MillraceError.from(error).toData()),
    )
  }
}
