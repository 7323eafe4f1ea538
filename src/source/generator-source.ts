/**
 * A topic that nobody writes: events made from a seed, the same at the same partition and offset for ever.
 *
 * Owns: which event is where, and when it is due. Event number e = offset * partitions + partition; its content is drawn
 * from hash(seed, partition, offset), so a restore at any offset goes on with the same events. At a given rate event e is
 * due e / rate seconds after the run began by the wall clock; when that was is kept as split state, so that after a
 * restore what fell due meanwhile is there, as in a topic. Does not own: what an event says (generator-events.ts).
 */
import type { Cancel, Clock, Random, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { mix32 } from '../core/hash.ts'
import { recordBodySize, writeRecordHead } from '../event/record-batch-writer.ts'
import { EVENT_BYTES_MAX, type EventEncoder, type GeneratedEvent } from './generator-events.ts'
import { newRecordChunk } from './record-chunk.ts'
import type {
  PartitionInfo,
  PartitionStatus,
  RecordChunk,
  SourceEnumerator,
  SourceReader,
  SplitAssignment,
  StartPosition,
} from './source.ts'
import { isFinished, newSplit, newStatus, type Split, SplitTable, Wakeup } from './splits.ts'
import { resolveStart } from './start-position.ts'

/** What is generated. Plain data. */
export interface GeneratorConfig {
  readonly seed: number
  readonly partitions: number
  /** Events a second of wall clock over all partitions; 0 means as fast as they are taken. */
  readonly eventsPerSecond: number
  /** Events in all; 0 means without end. */
  readonly maxEvents: number
  /** Events happened up to this long before they are sent. */
  readonly outOfOrdernessMs: number
  /** When event 0 is sent, epoch ms. */
  readonly startMs: number
  /**
   * Event time from one event to the next, in ms, a fraction if need be; `wall` sends each event at the time by the wall
   * clock at which it is due (`startMs` is not used then; needs `eventsPerSecond`).
   */
  readonly advance: number | 'wall'
}

/** A generator's config with the usual pace: event time as fast as the wall clock, 10 events a ms at full speed. */
export function generatorAdvance(eventsPerSecond: number): number {
  return eventsPerSecond > 0 ? 1000 / eventsPerSecond : 0.1
}

/** What a generator reader is handed. */
export interface GeneratorReaderOptions {
  readonly config: GeneratorConfig
  readonly encode: EventEncoder
  readonly clock: Clock
  readonly scheduler: Scheduler
}

/** Most records of a chunk. */
const CHUNK_RECORDS = 500

interface GeneratorSplit extends Split {
  /** Wall clock at which event 0 was due, epoch ms. */
  readonly beganMs: number
}

/** Events in partition `partition` in all; Infinity without end. */
function shareOf(config: GeneratorConfig, partition: number): number {
  const { maxEvents, partitions } = config
  return maxEvents === 0 ? Number.POSITIVE_INFINITY : Math.max(0, Math.ceil((maxEvents - partition) / partitions))
}

/** Throws CONFIG_INVALID unless the numbers of `config` make sense together. */
function check(config: GeneratorConfig): void {
  const { partitions, eventsPerSecond, maxEvents, outOfOrdernessMs, advance } = config
  const wrong =
    !Number.isInteger(partitions) || partitions < 1
      ? `partitions is ${partitions}, not a whole number from 1 on`
      : !(eventsPerSecond >= 0)
        ? `eventsPerSecond is ${eventsPerSecond}, less than 0`
        : !Number.isSafeInteger(maxEvents) || maxEvents < 0
          ? `maxEvents is ${maxEvents}, not a whole number from 0 on`
          : !(outOfOrdernessMs >= 0 && outOfOrdernessMs < 2 ** 32)
            ? `outOfOrdernessMs is ${outOfOrdernessMs}, not from 0 to 2^32`
            : advance === 'wall' && eventsPerSecond === 0
              ? 'advance is wall, which needs eventsPerSecond'
              : advance !== 'wall' && !(advance >= 0)
                ? `advance is ${advance}, less than 0`
                : undefined
  if (wrong !== undefined) throw new MillraceError('CONFIG_INVALID', `generator source: ${wrong}`)
}

/** Random numbers of one event. */
class EventRandom implements Random {
  #state = 0

  /** Starts the numbers of the event at `offset`. */
  start(seed: number, partition: number, offset: number): void {
    const high = Math.floor(offset / 0x1_0000_0000)
    let h = mix32(seed ^ mix32(Math.floor(seed / 0x1_0000_0000) + 0x51ed270b))
    h = mix32(h ^ mix32(partition + 0x2545f491))
    this.#state = mix32(mix32(h ^ offset) + high)
  }

  /** splitmix32, as SeededRandom. */
  nextUint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}

/** Generates the partitions that are assigned to it. */
export class GeneratorSourceReader implements SourceReader {
  readonly #config: GeneratorConfig
  readonly #encode: EventEncoder
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #splits = new SplitTable<GeneratorSplit>()
  readonly #wakeup: Wakeup
  readonly #random = new EventRandom()
  readonly #event: GeneratedEvent = { index: 0, occurredAtMs: 0, sentAtMs: 0 }
  readonly #value = new Uint8Array(EVENT_BYTES_MAX)
  readonly #chunk = newRecordChunk()
  readonly #status = newStatus()
  readonly #hasDue = (split: GeneratorSplit): boolean => this.#dueOffset(split) > split.position
  #bytes = new Uint8Array(65_536)
  #cancel: Cancel | undefined
  #closed = false

  constructor(options: GeneratorReaderOptions) {
    check(options.config)
    this.#config = options.config
    this.#encode = options.encode
    this.#clock = options.clock
    this.#scheduler = options.scheduler
    this.#wakeup = new Wakeup(options.scheduler)
  }

  assign(assignment: SplitAssignment): void {
    const { partition, state } = assignment
    const stopOffset = Math.min(assignment.stopOffset, shareOf(this.#config, partition))
    const began = state === undefined || state === '' ? this.#clock.nowMs() : Number(state)
    this.#splits.add({ ...newSplit({ ...assignment, stopOffset }), beganMs: began })
    this.#wakeup.signalSoon()
  }

  poll(): RecordChunk | undefined {
    if (this.#closed) return undefined
    const split = this.#splits.next(this.#hasDue)
    if (split === undefined) return undefined
    const end = Math.min(this.#dueOffset(split), split.position + CHUNK_RECORDS)
    this.#generate(split, end)
    split.position = end
    return this.#chunk
  }

  onReady(wake: () => void): void {
    this.#cancel?.()
    this.#cancel = undefined
    const waiting = this.#splits.all.filter((split) => !split.paused && !isFinished(split))
    const ready = waiting.some(this.#hasDue)
    this.#wakeup.register(wake, ready)
    if (ready || waiting.length === 0) return
    const due = Math.min(...waiting.map((split) => this.#dueMs(split, split.position)))
    this.#cancel = this.#scheduler.after(Math.max(1, due - this.#clock.nowMs()), () => this.#wakeup.signal())
  }

  setPaused(partition: number, paused: boolean): void {
    this.#splits.get(partition).paused = paused
    if (!paused) this.#wakeup.signalSoon()
  }

  status(partition: number): PartitionStatus {
    const split = this.#splits.get(partition)
    const due = this.#dueOffset(split)
    const status = this.#status
    status.partition = partition
    status.position = split.position
    // Without a rate there is always one more.
    status.highWatermark = Number.isFinite(due) ? due : split.position + 1
    status.lastStableOffset = status.highWatermark
    status.lastFetchMs = this.#clock.monotonicMs()
    status.finished = isFinished(split)
    return status
  }

  splitState(partition: number): string {
    return this.#config.eventsPerSecond > 0 ? String(this.#splits.get(partition).beganMs) : ''
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    this.#wakeup.close()
  }

  /** When the event at `offset` of the split is due, wall clock ms. */
  #dueMs(split: GeneratorSplit, offset: number): number {
    const { partitions, eventsPerSecond } = this.#config
    return split.beganMs + ((offset * partitions + split.partition) * 1000) / eventsPerSecond
  }

  /** Offset after the last event that is due now and wanted. */
  #dueOffset(split: GeneratorSplit): number {
    const { partitions, eventsPerSecond } = this.#config
    if (eventsPerSecond === 0) return split.stopOffset
    const lastDue = Math.floor(((this.#clock.nowMs() - split.beganMs) * eventsPerSecond) / 1000)
    const due = lastDue < split.partition ? 0 : Math.floor((lastDue - split.partition) / partitions) + 1
    return Math.min(due, split.stopOffset)
  }

  /** When event `index` is sent. */
  #sentMs(split: GeneratorSplit, index: number): number {
    const { advance, startMs, eventsPerSecond } = this.#config
    const sent = advance === 'wall' ? split.beganMs + (index * 1000) / eventsPerSecond : startMs + index * advance
    return Math.floor(sent)
  }

  #generate(split: GeneratorSplit, end: number): void {
    const { seed, partitions, outOfOrdernessMs } = this.#config
    const { partition, position } = split
    const random = this.#random
    const event = this.#event
    const value = this.#value
    const baseTimestampMs = this.#sentMs(split, position * partitions + partition)
    let at = 0
    for (let offset = position; offset < end; offset++) {
      random.start(seed, partition, offset)
      event.index = offset * partitions + partition
      event.sentAtMs = this.#sentMs(split, event.index)
      event.occurredAtMs = event.sentAtMs - Math.floor((random.nextUint32() / 2 ** 32) * (outOfOrdernessMs + 1))
      const length = this.#encode(event, random, value, 0)
      const timestampDelta = event.sentAtMs - baseTimestampMs
      const bodySize = recordBodySize(offset - position, timestampDelta, -1, length)
      if (at + bodySize + 5 > this.#bytes.length) this.#grow(at + bodySize + 5)
      const bytes = this.#bytes
      at = writeRecordHead(bytes, at, offset - position, timestampDelta, null, length, bodySize)
      for (let i = 0; i < length; i++) bytes[at++] = value[i]!
      bytes[at++] = 0
    }
    const chunk = this.#chunk
    chunk.partition = partition
    chunk.bytes = this.#bytes
    chunk.start = 0
    chunk.end = at
    chunk.count = end - position
    chunk.baseOffset = position
    chunk.baseTimestampMs = baseTimestampMs
    chunk.firstOffset = position
    chunk.nextOffset = end
  }

  #grow(size: number): void {
    const grown = new Uint8Array(Math.max(size, 2 * this.#bytes.length))
    grown.set(this.#bytes)
    this.#bytes = grown
  }
}

/** The partitions of a generator. Without `maxEvents` they have no end: `latest` is then their start. */
export class GeneratorSourceEnumerator implements SourceEnumerator {
  readonly #config: GeneratorConfig

  constructor(config: GeneratorConfig) {
    check(config)
    this.#config = config
  }

  async partitions(): Promise<readonly PartitionInfo[]> {
    return Array.from({ length: this.#config.partitions }, (_, partition) => ({
      partition,
      topicId: '',
      earliest: 0,
      end: shareOf(this.#config, partition),
    }))
  }

  async resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    const offsets = resolveStart(start, partitions, (info, timestampMs) => this.#offsetAt(info, timestampMs))
    return offsets.map((offset) => (Number.isFinite(offset) ? offset : 0))
  }

  /** There are no lag tools to publish for: does nothing. */
  async commit(): Promise<void> {}

  async close(): Promise<void> {}

  #offsetAt(info: PartitionInfo, timestampMs: number): number {
    const { advance, startMs, partitions } = this.#config
    if (advance === 'wall' || timestampMs <= startMs) return info.earliest
    if (advance === 0) return info.end
    // A guess that may be one short, for doubles round; then on to the first that is not before the time.
    let index = Math.max(0, Math.floor((timestampMs - startMs) / advance) - 1)
    while (Math.floor(startMs + index * advance) < timestampMs) index++
    return Math.min(info.end, Math.max(0, Math.ceil((index - info.partition) / partitions)))
  }
}
