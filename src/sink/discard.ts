/**
 * A sink that keeps nothing but a count and an order-free checksum: for benches, and to compare with rivals.
 *
 * The checksum is the sum, modulo 2^32, over rows of the murmur3 hash of the row's text `key|windowStartMs|v1|v2|…`: the
 * key as its bytes, whole numbers in decimal. Any order of rows gives the same sum; a missing, doubled or changed row
 * gives another.
 */
import { hashBytes } from '../core/hash.ts'
import type { FiredRow, ResultSink } from '../operator/result-sink.ts'

/** Bytes of a value with its sign and separator: the largest double has 309 digits. */
const VALUE_BYTES_MAX = 311

/** Counts rows and sums their checksum. */
export class DiscardSink implements ResultSink {
  rows = 0
  /** Unsigned 32 bits. */
  checksum = 0
  readonly full = false
  #text = new Uint8Array(4096)
  /** The start of the last row's window, and its text with a separator before it: rows of a window come together. */
  #startMs = Number.NaN
  readonly #startText = new Uint8Array(VALUE_BYTES_MAX + 1)
  #startLength = 0
  /** Accumulators whose values are part of the text, a table. */
  readonly #columns: readonly (readonly number[])[]

  /** `columns[table]`: accumulators in the order in which the text has them. */
  constructor(columns: readonly (readonly number[])[]) {
    this.#columns = columns
  }

  accept(row: FiredRow): void {
    this.rows++
    const columns = this.#columns[row.table]!
    // What does not fit is not written, and copied again into a text that is long enough.
    const keyLength = row.groups.copyKey(row.row, this.#text, 0)
    const bytesMax = keyLength + (columns.length + 1) * VALUE_BYTES_MAX
    if (bytesMax > this.#text.length) {
      this.#text = new Uint8Array(bytesMax * 2)
      row.groups.copyKey(row.row, this.#text, 0)
    }
    if (row.startMs !== this.#startMs) {
      this.#startMs = row.startMs
      this.#startText[0] = 124
      this.#startLength = writeInteger(row.startMs, this.#startText, 1)
    }
    const text = this.#text
    const start = this.#startText
    let at = keyLength
    for (let i = 0; i < this.#startLength; i++) text[at++] = start[i]!
    for (const column of columns) {
      text[at++] = 124
      at = writeInteger(row.f64[row.at + column]!, text, at)
    }
    this.checksum = (this.checksum + hashBytes(text, 0, at)) >>> 0
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

/**
 * Writes a whole number in decimal; returns the end. Doubles that are not whole are cut: benches use
 * integers. What is not finite (the minimum of no events) has no text.
 */
function writeInteger(value: number, into: Uint8Array, at: number): number {
  if (!Number.isFinite(value)) return at
  let rest = Math.trunc(value)
  let end = at
  if (rest < 0) {
    into[end++] = 45
    rest = -rest
  }
  const start = end
  while (rest > 0x7fffffff) {
    const next = Math.floor(rest / 10)
    into[end++] = 48 + (rest - next * 10)
    rest = next
  }
  // From here on in 32 bits, where dividing by ten is a multiplication.
  let low = rest | 0
  do {
    const next = (low / 10) | 0
    into[end++] = 48 + (low - next * 10)
    low = next
  } while (low > 0)
  for (let i = start, k = end - 1; i < k; i++, k--) {
    const byte = into[i]!
    into[i] = into[k]!
    into[k] = byte
  }
  return end
}
