/**
 * The window and the merge subtask: one state machine over tables, fed with events or with partials.
 *
 * Owns: the order of things. Per event of the gate a short list of phases is worked off, each resumable:
 *
 *   batch      apply -> correct -> fire what is due at once -> (flush partials at a cadence)
 *   watermark  flush partials -> fire -> close -> send the watermark on
 *   idle       flush partials
 *   clock      flush partials -> fire -> close -> tell merge the time (windows of processing time)
 *   barrier    flush partials -> copy changed state, send the barrier on -> (in the background) write, acknowledge
 *
 * So partials leave before every mark, results leave before the watermark that caused them, and a barrier finds every
 * firing finished. Does not own: how batches are applied (operator/), what is in a snapshot (runtime/table-snapshot).
 */
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import type { GateEvent } from '../exchange/input-gate.ts'
import type { BatchBuffer, Message } from '../exchange/message.ts'
import type { TablePlan } from '../job/plan.ts'
import { nextChange } from '../operator/change-numbers.ts'
import { queryTable } from '../operator/view.ts'
import { queryPerson } from '../operator/view-person.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { KeyedParts } from './keyed-parts.ts'
import { latencyBucketsMs, type SubtaskStats } from './messages.ts'
import type { StepResult, Subtask, SubtaskContext } from './subtask.ts'
import { withOutbox } from './subtask-outbox.ts'
import { TableClock } from './table-clock.ts'

/** Partials are sent at least this often while events flow, and at once when the input is drained. */
const FLUSH_INTERVAL_MS = 20

/** Rows fired, or moved to the history, before the thread is given back. */
const ROWS_PER_STEP = 4096

/** Batches applied in one step: the gate is asked again without a turn of the loop. */
const BATCHES_PER_STEP = 4

/** Batches between two looks at the state limit; watermarks look too, but may not come. */
const BATCHES_PER_LIMIT_CHECK = 32

type Phase = 'flush' | 'clock' | 'fire' | 'close' | 'watermark' | 'barrier' | 'early'

/** Runs tables behind an input gate. */
export class KeyedSubtask implements Subtask {
  readonly operator: 'window' | 'merge'
  readonly index: number
  readonly #parts: KeyedParts
  readonly #context: SubtaskContext
  readonly #phases: Phase[] = []
  #barrier = 0
  #recordsIn = 0
  #batches = 0
  #lastFlushMs = Number.NEGATIVE_INFINITY
  readonly #clock: TableClock
  /** Tables whose early results are being given. */
  #early: readonly number[] = []
  readonly #latency = new Float64Array(latencyBucketsMs.length + 1)

  constructor(parts: KeyedParts, context: SubtaskContext) {
    this.operator = parts.operator
    this.index = parts.index
    this.#parts = parts
    this.#context = context
    const plans = [...parts.results, ...parts.partials].map(({ plan }) => plan)
    // Merge has no clock of its own: panes end there when the last sender says so.
    this.#clock = new TableClock(context.clock, parts.operator === 'merge' ? [] : plans, parts.results)
    // Those behind have lost what they knew of this channel with the restart, and would wait for it to rise again.
    // What another parallelism has left unfired is fired first.
    if (parts.gate.watermarkMs > MIN_WATERMARK) this.#phases.push('fire', 'close', 'watermark')
  }

  step(): StepResult {
    let result: StepResult = 'idle'
    for (let i = 0; i < BATCHES_PER_STEP; i++) {
      const phases = this.#runPhases()
      if (phases === 'blocked') return result === 'worked' ? 'worked' : 'blocked'
      if (phases === 'worked') return 'worked'
      if (this.#parts.channels?.ready === false || this.#sinksFull()) return result === 'worked' ? 'worked' : 'blocked'
      if (this.#readClock()) {
        result = 'worked'
        continue
      }
      const event = this.#parts.gate.next()
      if (event === undefined) {
        if (!this.#partialsPending()) return result
        this.#phases.push('flush')
      } else {
        this.#take(event)
      }
      result = 'worked'
    }
    return result
  }

  receive(channel: number, message: Message): void {
    this.#parts.gate.push(channel, message)
  }

  credit(receiver: number, buffer: BatchBuffer): void {
    this.#parts.channels!.onCredit(receiver, buffer)
    this.#context.wake()
  }

  checkpointComplete(checkpointId: number, rewrite: readonly string[]): void {
    this.#parts.outbox.completed(checkpointId)
    this.#parts.snapshots.rewrite(rewrite)
  }

  checkpointAborted(checkpointId: number): void {
    this.#parts.gate.abort(checkpointId)
    this.#context.wake()
  }

  query(query: ViewQuery): ViewRows | null {
    if (query.subtask !== undefined && (this.operator !== 'window' || this.index !== query.subtask)) return null
    const metric = this.#parts.metrics[query.metric]
    const about = { operator: this.operator, subtask: this.index, watermarkMs: this.#parts.gate.watermarkMs }
    if (query.person !== undefined) return queryPerson(this.#parts.partials, metric, query, about)
    const table = this.#parts.results.find((candidate) => candidate.index === metric?.table)
    if (metric === undefined || table === undefined) return null
    const since = query.sinceChange[this.index] ?? -1
    // A watcher that knows change n must hear of everything that happens after this answer.
    const rows = queryTable(table, metric, query, since, { ...about, watermarkMs: this.#timeOf(table) })
    nextChange(table)
    return rows
  }

  stats(): Omit<SubtaskStats, 'job' | 'attempt' | 'busyMs' | 'idleMs' | 'backPressuredMs'> {
    const { gate, input, output, results } = this.#parts
    return {
      operator: this.operator,
      subtask: this.index,
      recordsIn: this.#recordsIn,
      recordsOut: (output?.recordsOut ?? 0) + results.reduce((sum, table) => sum + table.results, 0),
      ...{ bytesIn: 0, read: 0, deadLettered: 0, lost: 0 },
      ...input.counters,
      watermarkMs: gate.watermarkMs,
      idle: gate.idle,
      finished: gate.watermarkMs === Number.POSITIVE_INFINITY && gate.drained && this.#phases.length === 0,
      stateBytes: this.stateBytes,
      pendingRecords: 0,
      partitions: [],
      latencyCounts: Array.from(this.#latency),
      results: results.reduce((sum, table) => sum + table.results, 0),
      checksum: this.#parts.sinks.reduce(
        (sum, sink) => (sum + ((sink as { checksum?: number }).checksum ?? 0)) >>> 0,
        0,
      ),
    }
  }

  async close(): Promise<void> {
    const { input, sinks } = this.#parts
    await Promise.allSettled([input.close(), ...sinks.map((sink) => sink.close())])
  }

  #take(event: GateEvent): void {
    const { gate, input, results } = this.#parts
    switch (event.kind) {
      case 'batch':
        this.#recordsIn += input.apply(event.batch, gate.watermarkMs, this.#clock.nowMs)
        this.#parts.returnCredit(event.channel, event.batch.buffer)
        for (const table of results) table.correct(this.#timeOf(table))
        this.#afterBatch()
        return
      case 'watermark':
        this.#phases.push('flush', 'fire', 'close', 'watermark')
        return
      case 'idle':
        // Not told to merge. All windows hear the same sources, so merge is held back by none for long; but one that is
        // idle only by its own order of things may still take events, and merge must not close a window before it.
        this.#phases.push('flush')
        return
      case 'barrier':
        this.#barrier = event.checkpointId
        this.#phases.push('flush', 'barrier')
    }
  }

  #afterBatch(): void {
    const nowMs = this.#context.clock.monotonicMs()
    this.#measure()
    if (++this.#batches % BATCHES_PER_LIMIT_CHECK === 0) this.#checkLimit()
    if (this.#parts.results.length > 0) this.#phases.push('fire')
    if (this.#parts.output !== null && nowMs - this.#lastFlushMs >= FLUSH_INTERVAL_MS) this.#phases.push('flush')
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
    const { gate, partials, channels } = this.#parts
    switch (phase) {
      case 'flush':
        return this.#flush()
      case 'clock':
        return this.#parts.output?.clock(this.index, this.#clock.nowMs) === false ? 'blocked' : 'idle'
      case 'early':
        return this.#giveEarly()
      case 'fire':
        return this.#fire()
      case 'close':
        for (const table of partials) table.close(this.#timeOf(table))
        this.#parts.input.advance(gate.watermarkMs)
        this.#checkLimit()
        return 'idle'
      case 'watermark':
        channels?.broadcast({ kind: 'watermark', watermarkMs: gate.watermarkMs })
        return 'idle'
      case 'barrier':
        this.#snapshot()
        return 'idle'
    }
  }

  /**
   * Fires what is due in the order in which windows end, over all tables: as if there were a mark at every end. Where
   * marks fall, which is a matter of the machine's time, changes nothing then.
   */
  #fire(): StepResult {
    const { results } = this.#parts
    let budget = ROWS_PER_STEP
    for (let untilMs = Number.NaN, all = false; !all; ) {
      const nextMs = this.#nextDueMs()
      all = nextMs === untilMs || nextMs === Infinity
      untilMs = all ? Infinity : nextMs
      for (const table of results) {
        const nowMs = this.#timeOf(table)
        budget = table.advance(Math.min(untilMs, nowMs), budget, nowMs)
        if (budget < 0) return table.sinksFull ? 'blocked' : 'worked'
        if (all) nextChange(table)
      }
    }
    return 'idle'
  }

  /** When the next window of any table ends that is due; Infinity for none, and where one table has no other to wait for. */
  #nextDueMs(): number {
    const { results } = this.#parts
    let nextMs = Infinity
    if (results.length === 1) return nextMs
    for (const table of results) {
      const dueMs = table.nextDueMs ?? Infinity
      if (dueMs < nextMs && dueMs <= this.#timeOf(table)) nextMs = dueMs
    }
    return nextMs
  }

  /** Whether the clock asks for something: a pane of processing time has ended, or early results are due. */
  #readClock(): boolean {
    if (this.#parts.gate.watermarkMs === MAX_WATERMARK) return false
    if (this.#clock.tick()) {
      this.#phases.push('flush', 'fire', 'close')
      if (this.#parts.output !== null) this.#phases.push('clock', 'flush')
    }
    this.#early = this.#clock.earlyDue()
    if (this.#early.length > 0) this.#phases.push('early')
    return this.#phases.length > 0
  }

  #giveEarly(): StepResult {
    let budget = ROWS_PER_STEP
    for (const table of this.#parts.results) {
      if (!this.#early.includes(table.index) || table.early === undefined) continue
      budget = table.early(this.#timeOf(table), budget)
      if (budget < 0) return table.sinksFull ? 'blocked' : 'worked'
      this.#early = this.#early.filter((index) => index !== table.index)
    }
    return 'idle'
  }

  /** Up to when time has passed for a table. */
  #timeOf({ plan }: { readonly plan: TablePlan }): number {
    const { gate, input } = this.#parts
    return this.#clock.timeOf(plan, gate.watermarkMs, input.passedMs)
  }

  #flush(): StepResult {
    const { output, partials } = this.#parts
    if (output === null) return 'idle'
    for (const table of partials) if (!table.flush(output)) return 'blocked'
    if (!output.flush()) return 'blocked'
    for (const table of partials) nextChange(table)
    this.#lastFlushMs = this.#context.clock.monotonicMs()
    return 'idle'
  }

  #snapshot(): void {
    const { snapshots, gate, input, sinks, channels, outbox } = this.#parts
    const checkpointId = this.#barrier
    // The copy comes first, then the barrier: no message can arrive in between, as both are one step.
    const copy = snapshots.copy(gate.watermarkMs, { ...input.counters })
    channels?.broadcast({ kind: 'barrier', checkpointId })
    const outputs = [input.flush(), ...sinks.map((sink) => sink.flush())]
    Promise.all([copy, outbox.snapshot(checkpointId), ...outputs]).then(
      ([snapshot, said]) => this.#context.ack(checkpointId, withOutbox(snapshot, said)),
      (error: unknown) => this.#context.decline(checkpointId, MillraceError.from(error).toData()),
    )
  }

  #partialsPending(): boolean {
    return this.#parts.output !== null && this.#parts.partials.some((table) => table.pending)
  }

  #sinksFull(): boolean {
    return this.#parts.input.full || this.#parts.sinks.some((sink) => sink.full)
  }

  /** Bytes of state of this subtask. */
  get stateBytes(): number {
    const { pool, input, results, partials } = this.#parts
    let bytes = pool.bytesInUse + input.stateBytes
    for (const table of results) bytes += table.indexBytes
    for (const table of partials) bytes += table.indexBytes
    return bytes
  }

  #checkLimit(): void {
    const bytes = this.#parts.stateBytes()
    if (bytes <= this.#parts.stateLimitBytes) return
    throw new MillraceError(
      'STATE_LIMIT',
      `the job holds ${bytes} bytes of state in one thread, above that thread's share of its stateLimit ` +
        `(${this.#parts.stateLimitBytes}): raise stateLimit, shorten retain or windows, or drop a dimension`,
    )
  }

  #measure(): void {
    const newestMs = this.#parts.input.newestMs
    if (Number.isNaN(newestMs)) return
    const latencyMs = this.#context.clock.nowMs() - newestMs
    let bucket = 0
    while (bucket < latencyBucketsMs.length && latencyMs > latencyBucketsMs[bucket]!) bucket++
    this.#latency[bucket]!++
  }
}
