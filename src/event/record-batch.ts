/**
 * Kafka record batches v2, read in place from bytes as a broker or the embedded log sends them.
 *
 *   0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32 | 21 attributes i16
 *   23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64 | 43 producerId i64 | 51 producerEpoch i16
 *   53 baseSequence i32 | 57 count i32 | 61 records
 *
 * Owns: the batch header, its checks, control markers. Does not own: the records inside (records.ts), codecs
 * (compression.ts), who may see a batch (transactions: source/kafka).
 * Invariants: nothing is read outside the region; a batch cut off at the region's end is not there (brokers cut); a
 * whole batch that lies about itself is RECORD_BATCH_CORRUPT. Batches are counted in thousands a second: a call or a
 * closure each is fine, an object a record is not.
 */
import { MillraceError } from '../core/errors.ts'
import { readInt16, readInt32, readInt64 } from './binary.ts'
import { crc32c } from './crc32c.ts'

/** Bytes before `batchLength` counts, itself included: a batch is this plus its length. */
export const BATCH_LENGTH_END = 12

/** Bytes of a v2 batch header, up to the first record. */
export const BATCH_HEADER_SIZE = 61

/** Highest offset and timestamp that we handle: doubles are exact to here. */
const MAX_EXACT = Number.MAX_SAFE_INTEGER

const ATTRIBUTE_CODEC = 0x07
const ATTRIBUTE_LOG_APPEND_TIME = 0x08
const ATTRIBUTE_TRANSACTIONAL = 0x10
const ATTRIBUTE_CONTROL = 0x20

/** `controlType` of a batch that is not a control batch. */
export const NOT_CONTROL = -1
/** `controlType` of the marker that aborts a producer's open transaction. */
export const CONTROL_ABORT = 0
/** `controlType` of the marker that commits a producer's open transaction. */
export const CONTROL_COMMIT = 1

/** Offset of the first record of the batch at `at`, as it was before compaction. */
export function batchBaseOffset(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at)
}

/** Whole size in bytes of the batch at `at`, its length field included. Needs 12 bytes; may be any nonsense. */
export function batchSize(bytes: Uint8Array, at: number): number {
  return BATCH_LENGTH_END + readInt32(bytes, at + 8)
}

/** Offset after the last record of the batch at `at`: the position of whoever has read it. */
export function batchNextOffset(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at) + readInt32(bytes, at + 23) + 1
}

/** Largest record timestamp of the batch at `at`, epoch ms; -1 when it has none. */
export function batchMaxTimestampMs(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + 35)
}

/** The checksum that the header at `at` states. */
export function batchStatedCrc(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + 17) >>> 0
}

/** The checksum of the whole batch at `at`, computed. */
export function batchComputedCrc(bytes: Uint8Array, at: number): number {
  return crc32c(bytes, at + 21, at + batchSize(bytes, at))
}

/** Why the whole batch at `at` (its bytes are all there) cannot be right, or undefined. Does not look at the CRC. */
export function batchHeaderFault(bytes: Uint8Array, at: number): string | undefined {
  const length = readInt32(bytes, at + 8)
  if (length < BATCH_HEADER_SIZE - BATCH_LENGTH_END) return `its length field says ${length} bytes`
  const baseOffset = readInt64(bytes, at)
  if (baseOffset < 0 || baseOffset > MAX_EXACT) return `its base offset is ${baseOffset}`
  const lastOffsetDelta = readInt32(bytes, at + 23)
  if (lastOffsetDelta < 0) return `its last offset delta is ${lastOffsetDelta}`
  const count = readInt32(bytes, at + 57)
  if (count < 0 || count > lastOffsetDelta + 1) return `it says ${count} records for ${lastOffsetDelta + 1} offsets`
  const codec = readInt16(bytes, at + 21) & ATTRIBUTE_CODEC
  if (codec > 4) return `its codec number is ${codec}`
  return undefined
}

/** A RECORD_BATCH_CORRUPT error that names the place and says what to do. `offset` is -1 where it is not known. */
export function recordBatchCorrupt(topic: string, partition: number, offset: number, reason: string, cause?: unknown) {
  const where = offset < 0 ? `${topic}-${partition}` : `${topic}-${partition} at offset ${offset}`
  return new MillraceError(
    'RECORD_BATCH_CORRUPT',
    `record batch of ${where} is corrupt: ${reason}; restore the partition from a replica, or start past this batch`,
    { cause },
  )
}

function oldMagic(topic: string, partition: number, offset: number, magic: number): MillraceError {
  return new MillraceError(
    'CODEC_UNSUPPORTED',
    `${topic}-${partition} at offset ${offset} holds message format v${magic}, written by a client older than 0.11 or ` +
      'under log.message.format.version below 0.11; copy the topic with a current client',
  )
}

/** Options of a RecordBatchCursor. */
export interface RecordBatchCursorOptions {
  /** Check every batch's CRC-32C (default true). Costs about 0.4 ns a byte. */
  readonly checkCrc?: boolean
}

/**
 * Walks the whole batches of a region. One object is reused: `reset` it on a region, call `next` until false; the
 * fields describe the batch that `next` stopped at.
 */
export class RecordBatchCursor {
  /** The region given to `reset`. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Where this batch starts in `bytes`. */
  at = 0
  /** Where the next batch starts: all before it has been read whole. */
  nextAt = 0
  /** End of the region. */
  end = 0
  /**
   * After `next` returned false: 0 when the region ended with a whole batch, else the size in bytes that the batch cut
   * off at the end says it has, at least (12 while even its length is cut off). Grow a fetch to it when nothing fits.
   */
  partialSize = 0
  baseOffset = 0
  lastOffsetDelta = 0
  /** Offset after this batch, control records and compacted-away ones included. */
  nextOffset = 0
  partitionLeaderEpoch = 0
  /** Codec number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  codec = 0
  /** True when the topic stamps at append: every record's time is then `maxTimestampMs`. */
  logAppendTime = false
  transactional = false
  control = false
  /** CONTROL_ABORT, CONTROL_COMMIT or another type for control batches, else NOT_CONTROL. Never read from user keys. */
  controlType = NOT_CONTROL
  baseTimestampMs = 0
  maxTimestampMs = 0
  /** Records in the batch: 0 when compaction has taken them all. */
  count = 0
  /** The records section, as compressed as `codec` says. */
  recordsStart = 0
  recordsEnd = 0
  topic = ''
  partition = 0
  readonly #checkCrc: boolean

  constructor(options: RecordBatchCursorOptions = {}) {
    this.#checkCrc = options.checkCrc ?? true
  }

  /** Starts at the first batch of `bytes[start .. end)`; `topic` and `partition` are for error messages. */
  reset(bytes: Uint8Array, start: number, end: number, topic: string, partition: number): void {
    this.bytes = bytes
    this.at = start
    this.nextAt = start
    this.end = end
    this.partialSize = 0
    this.topic = topic
    this.partition = partition
  }

  /**
   * Steps to the next whole batch; false at the end of the region or at a batch that the end cuts off. Throws
   * RECORD_BATCH_CORRUPT (header or CRC) and CODEC_UNSUPPORTED (message format v0, v1).
   */
  next(): boolean {
    const bytes = this.bytes
    const at = this.nextAt
    const left = this.end - at
    if (left < BATCH_LENGTH_END) {
      this.partialSize = left === 0 ? 0 : BATCH_LENGTH_END
      return false
    }
    const length = readInt32(bytes, at + 8)
    const size = BATCH_LENGTH_END + length
    // A v0 message has the least after the length: crc 4, magic 1, attributes 1, key and value lengths 8.
    if (length < 14) throw this.#corrupt(at, `its length field says ${length} bytes`)
    if (left > 16) {
      const magic = bytes[at + 16]!
      if (magic < 2) throw oldMagic(this.topic, this.partition, readInt64(bytes, at), magic)
      if (magic > 2) throw this.#corrupt(at, `its format version is ${magic}`)
    }
    if (size > left) {
      this.partialSize = size
      return false
    }
    const fault = batchHeaderFault(bytes, at)
    if (fault !== undefined) throw this.#corrupt(at, fault)
    if (this.#checkCrc) {
      const stated = batchStatedCrc(bytes, at)
      const computed = batchComputedCrc(bytes, at)
      if (stated !== computed) {
        throw this.#corrupt(at, `its CRC-32C is ${computed.toString(16)} and its header says ${stated.toString(16)}`)
      }
    }
    this.#load(at, size)
    return true
  }

  #load(at: number, size: number): void {
    const bytes = this.bytes
    const attributes = readInt16(bytes, at + 21)
    this.at = at
    this.nextAt = at + size
    this.baseOffset = readInt64(bytes, at)
    this.lastOffsetDelta = readInt32(bytes, at + 23)
    this.nextOffset = this.baseOffset + this.lastOffsetDelta + 1
    this.partitionLeaderEpoch = readInt32(bytes, at + 12)
    this.codec = attributes & ATTRIBUTE_CODEC
    this.logAppendTime = (attributes & ATTRIBUTE_LOG_APPEND_TIME) !== 0
    this.transactional = (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0
    this.control = (attributes & ATTRIBUTE_CONTROL) !== 0
    this.baseTimestampMs = readInt64(bytes, at + 27)
    this.maxTimestampMs = readInt64(bytes, at + 35)
    this.count = readInt32(bytes, at + 57)
    this.recordsStart = at + BATCH_HEADER_SIZE
    this.recordsEnd = at + size
    this.controlType = this.control && this.count > 0 ? this.#readControlType() : NOT_CONTROL
  }

  /** Producer id of the batch, -1n for none. A bigint: ask once a batch. */
  producerId(): bigint {
    const high = readInt32(this.bytes, this.at + 43)
    const low = readInt32(this.bytes, this.at + 47) >>> 0
    return (BigInt(high) << 32n) | BigInt(low)
  }

  /** Producer epoch of the batch, -1 for none. */
  producerEpoch(): number {
    return readInt16(this.bytes, this.at + 51)
  }

  /**
   * Marker type from the key of a control batch's one record: length, attributes, timestamp delta, offset delta, key
   * length as varints, then version i16 and type i16.
   */
  #readControlType(): number {
    if (this.codec !== 0) throw this.#corrupt(this.at, 'it is a compressed control batch')
    const bytes = this.bytes
    const end = this.recordsEnd
    let p = this.recordsStart
    let keyLength = 0
    for (let field = 0; field < 5; field++) {
      if (field === 1) {
        p++
        continue
      }
      let shift = 0
      keyLength = 0
      for (;;) {
        if (p >= end || shift > 63) throw this.#corrupt(this.at, 'its control record is cut off')
        const byte = bytes[p++]!
        if (shift < 32) keyLength |= (byte & 0x7f) << shift
        shift += 7
        if (byte < 0x80) break
      }
    }
    keyLength = (keyLength >>> 1) ^ -(keyLength & 1)
    if (keyLength < 4 || p + keyLength > end) throw this.#corrupt(this.at, `its control key has ${keyLength} bytes`)
    return readInt16(bytes, p + 2)
  }

  #corrupt(at: number, reason: string): MillraceError {
    return recordBatchCorrupt(this.topic, this.partition, readInt64(this.bytes, at), reason)
  }
}
