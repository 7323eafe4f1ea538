/**
 * The source of a program: records in, events decoded by the author's type, chained operators, batches and watermarks out.
 *
 * Owns: event accounting (read, dead-lettered, filtered, applied), the order of batches and marks, positions at a
 * barrier. The rules are those of runtime/source-subtask.ts, which does the same for declarative jobs by columns.
 * An event from which the chain made nothing is filtered; one from which it made something is applied.
 */
import { noPages } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { TIME_MS_MAX } from '../core/limits.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import { RecordCursor } from '../event/records.ts'
import type { DeadLetterReason } from '../event/schema.ts'
import { codeFailure } from '../program/code-failure.ts'
import { reasonOf } from '../program/message-types.ts'
import type { CurrentRecord } from '../program/operator.ts'
import { writeDeadLetter } from '../sink/side-output.ts'
import { partitionInSource, sourceOfPartition } from '../source/several-sources.ts'
import type { RecordChunk } from '../source/source.ts'
import type { SplitStart, SubtaskStats } from './messages.ts'
import { ofRecord } from './program-failure.ts'
import type { ProgramSourceParts } from './program-source-parts.ts'
import { timeOf } from './program-sources.ts'
import { SourcePartitions } from './source-partitions.ts'
import type { StepResult, Subtask, SubtaskContext } from './subtask.ts'
import { withOutbox } from './subtask-outbox.ts'

/** Marks are sent at most this often, and what is buffered leaves at the latest then. */
const MARK_INTERVAL_MS = 20
/** Records of one step, between two looks at credits and time. */
const RECORDS_PER_STEP = 256

/** Reads the partitions of one source subtask of a program. */
export class ProgramSource implements Subtask {
  readonly operator: string
  readonly index: number
  readonly #parts: ProgramSourceParts
  readonly #context: SubtaskContext
  readonly #partitions: SourcePartitions
  /** By source; the one of the chunk at hand is `#cursor`. */
  readonly #cursors: readonly RecordCursor[]
  #cursor: RecordCursor
  #chunk: RecordChunk | null = null
  #barrier = 0
  /** Sinks have more to apply than they should. */
  #stopped = false
  #lastMarkMs = Number.NEGATIVE_INFINITY
  #sentMs = MIN_WATERMARK
  #sentIdle = false
  #finished = false
  #draining = false
  #read: number
  #deadLettered: number
  #filtered: number
  #bytesIn = 0
  #armed = false

  constructor(parts: ProgramSourceParts, splits: readonly SplitStart[], context: SubtaskContext) {
    this.operator = parts.operator
    this.index = parts.index
    this.#parts = parts
    this.#context = context
    this.#partitions = new SourcePartitions(parts.reader, parts.watermarks, parts.counters.lost)
    this.#cursors = parts.sources.map(({ topic }) => new RecordCursor(topic))
    this.#cursor = this.#cursors[0]!
    this.#read = parts.counters.read ?? 0
    this.#deadLettered = parts.counters.deadLettered ?? 0
    this.#filtered = parts.counters.filtered ?? 0
    this.#partitions.assign(splits)
  }

  /** Takes partitions over. */
  assign(splits: readonly SplitStart[]): void {
    this.#partitions.assign(splits)
    this.#context.wake()
  }

  /** Asks for barrier `checkpointId` before any further record. */
  injectBarrier(checkpointId: number): void {
    this.#barrier = checkpointId
    this.#context.wake()
  }

  /** Reads no further record while `held`. Barriers and marks go on. */
  hold(held: boolean): void {
    this.#stopped = held
    this.#context.wake()
  }

  /** Reads no further for good: all of time has passed. Held or not: what windows give then is bounded by the state. */
  drain(): void {
    this.#draining = true
    this.#context.wake()
  }

  /** Alignment: partitions ahead of `maxWatermarkMs` wait. */
  align(maxWatermarkMs: number): void {
    this.#partitions.align(maxWatermarkMs)
    this.#context.wake()
  }

  /** Event time has come to `timeMs` in every partition, though no event says so: for tests. */
  advanceTo(timeMs: number): void {
    this.#partitions.advanceAll(timeMs)
  }

  /** Schemas of the registry are for declarative jobs: a program decodes by itself. */
  provide(): void {}

  step(): StepResult {
    const { outputs, deadLetters } = this.#parts
    if (this.#barrier !== 0) {
      if (!outputs.flush()) return 'blocked'
      this.#takeBarrier()
      return 'worked'
    }
    const nowMs = this.#context.clock.monotonicMs()
    if (nowMs - this.#lastMarkMs >= MARK_INTERVAL_MS && !this.#finished) {
      this.#partitions.observe(nowMs)
      if (!outputs.flush()) return 'blocked'
      this.#lastMarkMs = nowMs
      this.#sendMarks()
    }
    outputs.sendFull()
    if ((this.#stopped && !this.#draining) || !outputs.ready || deadLetters?.full === true) return 'blocked'
    if (!this.#draining && this.#work()) return 'worked'
    if (!outputs.flush()) return 'blocked'
    if (this.#finished) return 'idle'
    if (this.#draining || this.#allRead) {
      this.#finish()
      return 'worked'
    }
    this.#waitForRecords()
    return 'idle'
  }

  receive(): void {
    throw new MillraceError('INTERNAL', 'a source has no input edge')
  }

  credit(): void {
    this.#context.wake()
  }

  checkpointComplete(checkpointId: number): void {
    this.#parts.outbox.completed(checkpointId)
  }

  checkpointAborted(checkpointId: number): void {
    if (this.#barrier <= checkpointId) this.#barrier = 0
  }

  query(): null {
    return null
  }

  stats(): Omit<SubtaskStats, 'job' | 'attempt' | 'busyMs' | 'idleMs' | 'backPressuredMs'> {
    const { watermarks, outputs } = this.#parts
    const { partitions, pending } = this.#partitions.stats()
    return {
      operator: this.operator,
      subtask: this.index,
      recordsIn: this.#read,
      recordsOut: outputs.recordsOut,
      bytesIn: this.#bytesIn,
      read: this.#read,
      deadLettered: this.#deadLettered,
      filtered: this.#filtered,
      applied: this.#read - this.#deadLettered - this.#filtered,
      late: 0,
      ...{ deduplicated: 0, dedupeForgotten: 0 },
      lost: this.#partitions.lost,
      watermarkMs: this.#finished ? MAX_WATERMARK : watermarks.watermarkMs,
      idle: watermarks.idle,
      finished: this.#finished,
      stateBytes: 0,
      pendingRecords: pending,
      partitions,
      latencyCounts: [],
      results: outputs.results,
      checksum: outputs.checksum,
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#parts.reader.close(), this.#parts.deadLetters?.close()])
  }

  /** Works on up to RECORDS_PER_STEP records; false when there was none. */
  #work(): boolean {
    for (let i = 0; i < RECORDS_PER_STEP; i++) {
      if (this.#chunk === null) {
        const chunk = this.#parts.reader.poll()
        if (chunk === undefined) return i > 0
        this.#cursor = this.#cursors[sourceOfPartition(chunk.partition)]!
        this.#cursor.reset(chunk)
        this.#bytesIn += chunk.end - chunk.start
        this.#chunk = chunk
      }
      if (this.#cursor.next()) {
        this.#take(this.#chunk)
      } else {
        this.#partitions.advance(this.#chunk.partition, this.#chunk.nextOffset, Number.NEGATIVE_INFINITY)
        this.#chunk = null
      }
    }
    return true
  }

  #take(chunk: RecordChunk): void {
    const { sources, outputs, current } = this.#parts
    const { node, push } = sources[sourceOfPartition(chunk.partition)]!
    const cursor = this.#cursor
    const position = chunk.baseOffset + cursor.offsetDelta + 1
    this.#read++
    let timeMs = Number.NEGATIVE_INFINITY
    let reason: DeadLetterReason | null = null
    let event: unknown
    current.partition = chunk.partition
    current.offset = position - 1
    if (this.#isPoison(current)) {
      reason = 'poison'
    } else if (cursor.valueStart < 0) {
      reason = 'null_value'
    } else {
      // A copy: decoders may keep views of it, and the reader's buffer is used again.
      current.bytes = cursor.bytes.slice(cursor.valueStart, cursor.valueEnd)
      try {
        event = node.type.decode(current.bytes)
      } catch (thrown) {
        reason = reasonOf(thrown)
      }
    }
    if (reason === null) {
      try {
        timeMs = timeOf(node, event)
      } catch (thrown) {
        throw ofRecord(codeFailure(node.id, thrown), current, this.#topicOf(chunk))
      }
      if (Number.isNaN(timeMs)) reason = 'missing_time'
      else if (Math.abs(timeMs) > TIME_MS_MAX) reason = 'time_out_of_range'
      else if (timeMs > this.#context.clock.nowMs() + node.maxFutureMs) reason = 'time_in_future'
    }
    if (reason !== null) {
      this.#deadLetter(chunk, reason)
      this.#partitions.advance(chunk.partition, position, Number.NEGATIVE_INFINITY)
      return
    }
    const before = outputs.recordsOut
    try {
      push(event, timeMs)
    } catch (thrown) {
      throw ofRecord(codeFailure(node.id, thrown), current, this.#topicOf(chunk))
    }
    if (outputs.recordsOut === before) this.#filtered++
    this.#partitions.advance(chunk.partition, position, timeMs)
  }

  #topicOf({ partition }: RecordChunk): string {
    return this.#parts.sources[sourceOfPartition(partition)]!.topic
  }

  #isPoison({ partition, offset }: CurrentRecord): boolean {
    const { poison } = this.#parts
    return poison.length > 0 && poison.some((record) => record.offset === offset && record.partition === partition)
  }

  #deadLetter(chunk: RecordChunk, reason: DeadLetterReason): void {
    this.#deadLettered++
    const writer = this.#parts.deadLetters
    if (writer === null) return
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, offsetDelta, timestampDelta } = this.#cursor
    const { job, sources } = this.#parts
    const { topic } = sources[sourceOfPartition(chunk.partition)]!
    const origin = { job, topic, partition: partitionInSource(chunk.partition), offset: chunk.baseOffset + offsetDelta }
    const timeMs = chunk.baseTimestampMs + timestampDelta
    writeDeadLetter(writer, origin, reason, bytes, keyStart, keyEnd, valueStart, valueEnd, timeMs)
  }

  #sendMarks(): void {
    const { watermarks, outputs } = this.#parts
    watermarks.advance()
    const idle = watermarks.idle && !this.#allRead
    if (watermarks.watermarkMs > this.#sentMs || (this.#sentIdle && !idle)) {
      outputs.broadcast({ kind: 'watermark', watermarkMs: watermarks.watermarkMs })
      this.#sentMs = watermarks.watermarkMs
      this.#sentIdle = false
    }
    if (idle && !this.#sentIdle) {
      outputs.broadcast({ kind: 'idle' })
      this.#sentIdle = true
    }
    if (this.#parts.maxDriftMs > 0) this.#parts.onWatermark(watermarks.watermarkMs, idle)
  }

  #takeBarrier(): void {
    const checkpointId = this.#barrier
    this.#barrier = 0
    const { watermarks, outputs, deadLetters, outbox } = this.#parts
    const [splits, lost] = [this.#partitions.snapshot(), this.#partitions.lost]
    outputs.broadcast({ kind: 'barrier', checkpointId })
    const snapshot = {
      operatorId: this.operator,
      subtask: this.index,
      parallelism: this.#parts.parallelism,
      watermarkMs: watermarks.watermarkMs,
      meta: this.#parts.meta,
      counters: { read: this.#read, deadLettered: this.#deadLettered, filtered: this.#filtered, lost },
      splits,
      pages: noPages,
      outbox: [],
      written: [],
    }
    Promise.all([outbox.snapshot(checkpointId), outputs.durable(), deadLetters?.flush()]).then(
      ([said]) => this.#context.ack(checkpointId, withOutbox(snapshot, said)),
      (error: unknown) => this.#context.decline(checkpointId, MillraceError.from(error).toData()),
    )
  }

  get #allRead(): boolean {
    return this.#chunk === null && this.#parts.bounded && this.#partitions.allRead
  }

  #finish(): void {
    this.#finished = true
    this.#parts.outputs.broadcast({ kind: 'watermark', watermarkMs: MAX_WATERMARK })
    this.#parts.onFinished()
  }

  #waitForRecords(): void {
    if (this.#armed) return
    this.#armed = true
    this.#parts.reader.onReady(() => {
      this.#armed = false
      this.#context.wake()
    })
  }
}
