/**
 * Fetch v11: the request that asks a leader for record batches, and where they lie in its response.
 *
 * Fetch sessions are not used (session id 0, epoch -1): every request names all its partitions, so it has no state to
 * lose with a connection. Record data stays where the socket put it; a region may end in a partial batch.
 */
import type { Isolation } from './protocol.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** One partition of a Fetch request. */
export interface FetchPosition {
  readonly partition: number
  readonly fetchOffset: number
  /** Most bytes of this partition; a larger first batch comes whole all the same. */
  readonly maxBytes: number
}

/** Limits of one Fetch request. */
export interface FetchLimits {
  /** How long the broker may wait for `minBytes`, ms. */
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly isolation: Isolation
}

/** A transaction that ended in an abort: its producer's transactional batches from `firstOffset` to the marker do not count. */
export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

/** One partition of a Fetch response. */
export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  readonly lastStableOffset: number
  /** First offset still held. */
  readonly logStartOffset: number
  /** All aborted transactions that reach into the fetched range; null when the broker did not say (read_uncommitted). */
  readonly aborted: readonly AbortedTransaction[] | null
  /** Record batches: `bytes[start .. end)` of the response. */
  readonly start: number
  readonly end: number
}

/** A Fetch response. */
export interface FetchResponse {
  readonly bytes: Uint8Array
  readonly throttleMs: number
  readonly errorCode: number
  readonly partitions: readonly FetchedPartition[]
}

/** Writes a Fetch v11 request about one topic. */
export function writeFetch(
  writer: WireWriter,
  topic: string,
  limits: FetchLimits,
  positions: readonly FetchPosition[],
): void {
  writer.int32(-1).int32(limits.maxWaitMs).int32(limits.minBytes).int32(limits.maxBytes)
  writer
    .int8(limits.isolation === 'read_committed' ? 1 : 0)
    .int32(0)
    .int32(-1)
  writer.int32(1).string(topic).int32(positions.length)
  for (const { partition, fetchOffset, maxBytes } of positions) {
    writer.int32(partition).int32(-1).int64(fetchOffset).int64(-1).int32(maxBytes)
  }
  writer.int32(0).string('')
}

/** Parses a Fetch v11 response. */
export function readFetch(reader: WireReader): FetchResponse {
  const throttleMs = reader.int32()
  const errorCode = reader.int16()
  reader.int32()
  const topics = reader.array((r) => {
    r.string()
    return r.array(readPartition)
  })
  return { bytes: reader.bytes, throttleMs, errorCode, partitions: topics.flat() }
}

function readPartition(reader: WireReader): FetchedPartition {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  const lastStableOffset = reader.int64()
  const logStartOffset = reader.int64()
  const abortedCount = reader.arrayLength()
  let aborted: AbortedTransaction[] | null = null
  if (abortedCount >= 0) {
    aborted = []
    for (let i = 0; i < abortedCount; i++) {
      aborted.push({ producerId: reader.bigint64(), firstOffset: reader.int64() })
    }
  }
  reader.int32()
  const size = reader.int32()
  const start = size > 0 ? reader.skip(size) : reader.position
  return {
    partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    aborted,
    start,
    end: reader.position,
  }
}
