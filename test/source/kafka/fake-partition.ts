/** A partition of a topic in memory: real record batches, transactions with their markers, what retention deletes. */
import { type RecordBatchOptions, RecordBatchWriter } from '../../../src/event/record-batch-writer.ts'

const text = new TextEncoder()

interface StoredBatch {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly timestampMs: number
  readonly bytes: Uint8Array
}

interface Transaction {
  readonly producerId: bigint
  readonly firstOffset: number
  markerOffset: number
  aborted: boolean
}

/** One partition of the topic. */
export class FakePartition {
  leader = 1
  /** Error code of every Fetch until it is 0 again. */
  fetchError = 0
  metadataError = 0
  startOffset = 0
  endOffset = 0
  epoch = 0
  /** Largest size of a region, whatever is asked: as brokers cut responses. */
  regionBytes = Number.POSITIVE_INFINITY
  batches: StoredBatch[] = []
  transactions: Transaction[] = []

  /** Appends one batch of values; returns its base offset. */
  append(values: readonly string[], timestampMs = 0, options: RecordBatchOptions = {}): number {
    const writer = new RecordBatchWriter()
    for (const value of values) writer.append(null, text.encode(value), timestampMs)
    return this.#store(writer, timestampMs, options)
  }

  /** Appends a transactional batch. */
  appendIn(producerId: bigint, values: readonly string[]): void {
    if (!this.transactions.some((each) => each.producerId === producerId && each.markerOffset < 0)) {
      this.transactions.push({ producerId, firstOffset: this.endOffset, markerOffset: -1, aborted: false })
    }
    this.append(values, 0, { producerId, producerEpoch: 0, transactional: true })
  }

  /** Ends a producer's transaction. */
  end(producerId: bigint, how: 'abort' | 'commit'): void {
    const open = this.transactions.find((each) => each.producerId === producerId && each.markerOffset < 0)!
    open.markerOffset = this.endOffset
    open.aborted = how === 'abort'
    const writer = new RecordBatchWriter()
    writer.appendMarker(how, 0)
    this.#store(writer, 0, { producerId, producerEpoch: 0, transactional: true, control: true })
  }

  /** Deletes the records before `offset`. */
  deleteBefore(offset: number): void {
    this.startOffset = offset
    this.batches = this.batches.filter((each) => each.nextOffset > offset)
  }

  /** Empties the log, as the first moment of a topic of the same name does. */
  recreate(): void {
    this.startOffset = 0
    this.endOffset = 0
    this.batches = []
    this.transactions = []
  }

  get lastStableOffset(): number {
    const open = this.transactions.filter((each) => each.markerOffset < 0).map((each) => each.firstOffset)
    return Math.min(this.endOffset, ...open)
  }

  #store(writer: RecordBatchWriter, timestampMs: number, options: RecordBatchOptions): number {
    const baseOffset = this.endOffset
    const count = writer.count
    const bytes = writer.finish(baseOffset, { partitionLeaderEpoch: this.epoch, ...options }).slice()
    this.endOffset += (options.lastOffsetDelta ?? count - 1) + 1
    this.batches.push({ baseOffset, nextOffset: this.endOffset, timestampMs, bytes })
    return baseOffset
  }
}
