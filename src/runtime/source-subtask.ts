/**
 * The source subtask: records in, event batches and watermarks out.
 *
 * Owns: the scan batch, event accounting on the way in, the order of batches and marks, positions at a barrier. Does not
 * own: reading (source/), decoding (event/), predicates (operator/filter), splitting by key (exchange/).
 *
 * A step decodes at most one scan (1024 rows) and sends it. Every decoded row is sent before a barrier: so at a barrier
 * positions are exactly those of what was sent.
 */

import { noPages } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import { FramedDecoder, OTHER_TYPE, SCHEMA_WANTED } from '../event/event-decoder.ts'
import { reasonCode } from '../event/projection.ts'
import { RecordCursor } from '../event/records.ts'
import type { WriterSchema } from '../event/schema.ts'
import type { BatchBuffer } from '../exchange/message.ts'
import type { RecordChunk } from '../source/source.ts'
import { DeadLetters } from './dead-letters.ts'
import type { SplitStart, SubtaskStats } from './messages.ts'
import { SourcePartitions } from './source-partitions.ts'
import type { SourceParts } from './source-parts.ts'
import type { StepResult, Subtask, SubtaskContext } from './subtask.ts'
import { withOutbox } from './subtask-outbox.ts'

/** Marks are sent at most this often, and what is buffered leaves at the latest then. */
const MARK_INTERVAL_MS = 20

const NULL_VALUE = reasonCode('null_value')
const TIME_IN_FUTURE = reasonCode('time_in_future')
const WEIGHT_INVALID = reasonCode('weight_invalid')

/** Reads the partitions of one source subtask. */
export class SourceSubtask implements Subtask {
  readonly operator: string
  readonly index: number
  readonly #parts: SourceParts
  readonly #context: SubtaskContext
  readonly #partitions: SourcePartitions
  readonly #cursor: RecordCursor
  readonly #partitionOf: Uint32Array | null
  readonly #deadLetters: DeadLetters
  #chunk: RecordChunk | null = null
  /** The cursor stands at a record whose schema is waited for. */
  #held = false
  #barrier = 0
  /** Sinks have more to apply than they should. */
  #stopped = false
  #lastMarkMs = Number.NEGATIVE_INFINITY
  /** Last watermark that the receivers of this attempt have been told: after a restore they know none. */
  #sentMs = MIN_WATERMARK
  #sentIdle = false
  #finished = false
  #draining = false
  #read: number
  #filtered: number
  #bytesIn = 0
  #armed = false

  constructor(parts: SourceParts, splits: readonly SplitStart[], context: SubtaskContext) {
    this.operator = parts.operator
    this.index = parts.index
    this.#parts = parts
    this.#context = context
    this.#partitions = new SourcePartitions(parts.reader, parts.watermarks, parts.counters.lost)
    this.#cursor = new RecordCursor(parts.topic)
    this.#partitionOf = parts.origins ? new Uint32Array(parts.scan.capacity) : null
    this.#read = parts.counters.read ?? 0
    this.#deadLetters = new DeadLetters(parts.deadLetters, parts.job, parts.topic, parts.counters.deadLettered ?? 0)
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

  /** The schema that the subtask waits for. */
  provide(schemaId: number, writer: WriterSchema): void {
    const { decoder } = this.#parts
    if (decoder instanceof FramedDecoder) decoder.provide(schemaId, writer)
    this.#context.wake()
  }

  step(): StepResult {
    const { channels, output } = this.#parts
    if (this.#barrier !== 0) {
      if (!output.flush()) return 'blocked'
      this.#takeBarrier()
      return 'worked'
    }
    const nowMs = this.#context.clock.monotonicMs()
    if (nowMs - this.#lastMarkMs >= MARK_INTERVAL_MS && !this.#finished) {
      this.#partitions.observe(nowMs)
      if (!output.flush()) return 'blocked'
      this.#lastMarkMs = nowMs
      this.#sendMarks()
    }
    if ((this.#stopped && !this.#draining) || !channels.ready || this.#deadLetters.full) return 'blocked'
    if (!this.#draining && this.#fillScan() > 0) {
      this.#sendScan()
      return 'worked'
    }
    // Nothing to read now: nothing to wait for either.
    if (!output.flush()) return 'blocked'
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

  credit(receiver: number, buffer: BatchBuffer): void {
    this.#parts.channels.onCredit(receiver, buffer)
    this.#context.wake()
  }

  checkpointComplete(checkpointId: number): void {
    const { decoder, outbox } = this.#parts
    outbox.completed(checkpointId)
    if (decoder instanceof FramedDecoder) decoder.forgetUnknown()
  }

  checkpointAborted(checkpointId: number): void {
    if (this.#barrier <= checkpointId) this.#barrier = 0
  }

  query(): null {
    return null
  }

  stats(): Omit<SubtaskStats, 'job' | 'attempt' | 'busyMs' | 'idleMs' | 'backPressuredMs'> {
    const { watermarks } = this.#parts
    const { partitions, pending } = this.#partitions.stats()
    return {
      operator: this.operator,
      subtask: this.index,
      recordsIn: this.#read,
      recordsOut: this.#parts.output.rowsOut,
      bytesIn: this.#bytesIn,
      read: this.#read,
      deadLettered: this.#deadLetters.count,
      filtered: this.#filtered,
      applied: 0,
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
      results: 0,
      checksum: 0,
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#parts.reader.close(), this.#deadLetters.close()])
  }

  #fillScan(): number {
    const { scan } = this.#parts
    scan.reset()
    while (scan.rows < scan.capacity) {
      this.#chunk ??= this.#poll()
      if (this.#chunk === null) break
      this.#decode(this.#chunk)
      if (this.#held) break
    }
    return scan.rows
  }

  #poll(): RecordChunk | null {
    const chunk = this.#parts.reader.poll()
    if (chunk === undefined) return null
    this.#cursor.reset(chunk)
    this.#bytesIn += chunk.end - chunk.start
    return chunk
  }

  /** Decodes records of the chunk until it ends or the scan is full. */
  #decode(chunk: RecordChunk): void {
    const { scan, decoder, kernel, weights } = this.#parts
    const cursor = this.#cursor
    const partitionOf = this.#partitionOf
    const latestMs = this.#context.clock.nowMs() + this.#parts.maxFutureMs
    let maxTimestampMs = Number.NEGATIVE_INFINITY
    let read = 0
    let more = true
    let held = this.#held
    this.#held = false
    while (scan.rows < scan.capacity) {
      if (held) {
        held = false
      } else {
        if (kernel !== null) {
          const row = scan.rows
          const ran =
            weights === null ? kernel.run(cursor, scan, latestMs) : weights.run(kernel, cursor, scan, latestMs)
          read += ran
          if (ran > 0 && kernel.maxTimeMs > maxTimestampMs) maxTimestampMs = kernel.maxTimeMs
          partitionOf?.fill(chunk.partition, row, scan.rows)
          if (scan.rows === scan.capacity) break
        }
        more = cursor.next()
      }
      if (!more) break
      const row = scan.rows
      let reason = NULL_VALUE
      if (cursor.valueStart >= 0) {
        reason = decoder.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, scan, cursor.recordEnd)
        if (reason === SCHEMA_WANTED) {
          this.#held = true
          break
        }
      }
      read++
      if (reason === 0) {
        const time = scan.timeMs[row]!
        if (time > latestMs) reason = TIME_IN_FUTURE
        else if (weights?.holds(row) === false) reason = WEIGHT_INVALID
        if (reason > 0) scan.undoLast()
        else {
          if (time > maxTimestampMs) maxTimestampMs = time
          scan.offset[row] = chunk.baseOffset + cursor.offsetDelta
          if (partitionOf !== null) partitionOf[row] = chunk.partition
        }
      }
      if (reason > 0) this.#deadLetters.take(chunk, cursor, reason)
      else if (reason === OTHER_TYPE) this.#filtered++
    }
    this.#read += read
    if (!more) this.#chunk = null
    const position = more ? chunk.baseOffset + cursor.offsetDelta + (this.#held ? 0 : 1) : chunk.nextOffset
    this.#partitions.advance(chunk.partition, position, maxTimestampMs)
  }

  #sendScan(): void {
    const { scan, predicates, money, combiner, output } = this.#parts
    const taken = predicates.evaluate(scan)
    this.#filtered += scan.rows - taken
    if (taken === 0) return
    money?.convert(scan)
    combiner?.combine(scan)
    output.write(scan, this.#partitionOf, combiner?.counts ?? null)
  }

  #sendMarks(): void {
    const { watermarks, channels } = this.#parts
    watermarks.advance()
    const idle = watermarks.idle && !this.#allRead
    if (watermarks.watermarkMs > this.#sentMs || (this.#sentIdle && !idle)) {
      channels.broadcast({ kind: 'watermark', watermarkMs: watermarks.watermarkMs })
      this.#sentMs = watermarks.watermarkMs
      this.#sentIdle = false
    }
    if (idle && !this.#sentIdle) {
      channels.broadcast({ kind: 'idle' })
      this.#sentIdle = true
    }
    if (this.#parts.maxDriftMs > 0) this.#parts.onWatermark(watermarks.watermarkMs, idle)
  }

  #takeBarrier(): void {
    const checkpointId = this.#barrier
    this.#barrier = 0
    const { watermarks, channels, parallelism } = this.#parts
    const [splits, lost] = [this.#partitions.snapshot(), this.#partitions.lost]
    channels.broadcast({ kind: 'barrier', checkpointId })
    const snapshot = {
      ...{ operatorId: this.operator, subtask: this.index, parallelism },
      watermarkMs: watermarks.watermarkMs,
      meta: this.#parts.meta,
      counters: { read: this.#read, deadLettered: this.#deadLetters.count, filtered: this.#filtered, lost },
      splits,
      pages: noPages,
      outbox: [],
      written: [],
    }
    Promise.all([this.#parts.outbox.snapshot(checkpointId), this.#deadLetters.flush()]).then(
      ([said]) => this.#context.ack(checkpointId, withOutbox(snapshot, said)),
      (error: unknown) => this.#context.decline(checkpointId, MillraceError.from(error).toData()),
    )
  }

  get #allRead(): boolean {
    return this.#chunk === null && this.#parts.bounded && this.#partitions.allRead
  }

  #finish(): void {
    this.#finished = true
    this.#parts.channels.broadcast({ kind: 'watermark', watermarkMs: MAX_WATERMARK })
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
