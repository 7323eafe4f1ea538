/**
 * The codecs of record batches: the adapter for `node:zlib` and @platformatic/wasm-utils.
 *
 * gzip and zstd are Node's, synchronous; snappy and lz4 are decompressed by our own bounded decoders (snappy.ts, lz4.ts,
 * which say why) and compressed by the WebAssembly library. Output beyond a limit is refused before or while it is made,
 * so that a batch of a few kilobytes cannot take the memory of a worker.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils'
import { MillraceError } from '../core/errors.ts'
import { lz4DecompressInto, lz4SizeBound } from './lz4.ts'
import { OUT_OF_ROOM } from './match-copy.ts'
import { recordBatchCorrupt } from './record-batch.ts'
import { snappyDecompressInto, snappySize } from './snappy.ts'

/** Names of the codecs; the index is the codec number in a batch's attributes. */
export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** A codec by name. */
export type CodecName = (typeof codecNames)[number]

/** Most bytes that one batch may decompress to unless said otherwise. */
export const DECOMPRESS_LIMIT_BYTES = 64 * 1024 * 1024

/** Scratch beyond this is given back after the batch that needed it. */
const SCRATCH_KEPT_BYTES = 8 * 1024 * 1024

/** Decompresses records sections, one at a time, reusing its output buffer where the codec allows. */
export class Decompressor {
  /** The last result: `bytes[start .. end)`, valid until the next `run`. For codec none these are the input's bytes. */
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  readonly #limitBytes: number
  #scratch: Uint8Array = new Uint8Array(0)

  constructor(limitBytes: number = DECOMPRESS_LIMIT_BYTES) {
    this.#limitBytes = limitBytes
  }

  /**
   * Decompresses `bytes[start .. end)` of codec number `codec`. `topic`, `partition`, `offset` are for errors:
   * RECORD_BATCH_CORRUPT when malformed or larger than the limit, CODEC_UNSUPPORTED for an unknown codec.
   */
  run(
    codec: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    topic: string,
    partition: number,
    offset: number,
  ): void {
    if (this.#scratch.length > SCRATCH_KEPT_BYTES) this.#scratch = new Uint8Array(0)
    this.start = 0
    switch (codec) {
      case 0:
        this.bytes = bytes
        this.start = start
        this.end = end
        return
      case 1:
      case 4:
        this.#runZlib(codec, bytes.subarray(start, end), topic, partition, offset)
        return
      case 2: {
        const size = snappySize(bytes, start, end)
        if (size < 0) throw malformed('snappy', topic, partition, offset)
        if (size > this.#limitBytes) throw this.#tooLarge('snappy', topic, partition, offset)
        const out = this.#room(size)
        if (!snappyDecompressInto(bytes, start, end, out)) throw malformed('snappy', topic, partition, offset)
        this.bytes = out
        this.end = size
        return
      }
      case 3: {
        const bound = lz4SizeBound(bytes, start, end)
        if (bound < 0) throw malformed('lz4', topic, partition, offset)
        const out = this.#room(Math.min(bound, this.#limitBytes))
        const size = lz4DecompressInto(bytes, start, end, out)
        if (size === OUT_OF_ROOM && out.length >= this.#limitBytes) {
          throw this.#tooLarge('lz4', topic, partition, offset)
        }
        if (size < 0) throw malformed('lz4', topic, partition, offset)
        if (size > this.#limitBytes) throw this.#tooLarge('lz4', topic, partition, offset)
        this.bytes = out
        this.end = size
        return
      }
      default:
        throw new MillraceError(
          'CODEC_UNSUPPORTED',
          `${topic}-${partition} at offset ${offset} uses codec number ${codec}; known are ${codecNames.join(', ')}`,
        )
    }
  }

  #room(size: number): Uint8Array {
    if (this.#scratch.length < size) this.#scratch = new Uint8Array(Math.max(size, 2 * this.#scratch.length, 65_536))
    return this.#scratch
  }

  #runZlib(codec: 1 | 4, input: Uint8Array, topic: string, partition: number, offset: number): void {
    // A larger first chunk saves joining many small ones; records compress about four to one.
    const chunkSize = Math.min(Math.max(input.length * 4, 16_384), 1_048_576)
    const options = { maxOutputLength: this.#limitBytes, chunkSize }
    try {
      this.bytes = codec === 1 ? gunzipSync(input, options) : zstdDecompressSync(input, options)
    } catch (error) {
      const name = codecNames[codec]
      if (error instanceof RangeError) throw this.#tooLarge(name, topic, partition, offset)
      throw malformed(name, topic, partition, offset, error)
    }
    this.end = this.bytes.length
  }

  #tooLarge(codec: CodecName, topic: string, partition: number, offset: number): MillraceError {
    return recordBatchCorrupt(topic, partition, offset, `its ${codec} data gives more than ${this.#limitBytes} bytes`)
  }
}

function malformed(codec: CodecName, topic: string, partition: number, offset: number, cause?: unknown): MillraceError {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return recordBatchCorrupt(topic, partition, offset, `its ${codec} data cannot be decompressed${why}`, cause)
}

/**
 * Empty data, compressed. Not left to the library: @platformatic/wasm-utils 0.2.1 throws on empty input once its memory
 * has grown, because it only renews its view of the memory for an input that does not fit.
 */
const EMPTY_SNAPPY = Uint8Array.of(0)
const EMPTY_LZ4_FRAME = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0, 0, 0, 0)

/** `bytes[start .. end)` compressed by a codec other than none, in a buffer of its own. snappy is raw, lz4 one frame. */
export function compress(codec: Exclude<CodecName, 'none'>, bytes: Uint8Array, start: number, end: number): Uint8Array {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  switch (codec) {
    case 'gzip':
      return gzipSync(input)
    case 'snappy':
      return input.length === 0 ? EMPTY_SNAPPY : snappyCompress(input)
    case 'lz4':
      return input.length === 0 ? EMPTY_LZ4_FRAME : lz4Compress(input)
    case 'zstd':
      return zstdCompressSync(input)
  }
}
