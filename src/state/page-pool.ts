/**
 * Reuses the buffers of state pages.
 *
 * Owns: free ArrayBuffers by size, and the count of bytes in use. Window state is freed a whole slice at a time, so
 * freed buffers are soon wanted again at the same few sizes; giving them back to the garbage collector instead costs a
 * zero-fill and a major collection each. One pool serves one job attempt in one thread: its `bytesInUse` is what the
 * state limit is checked against.
 */

/** Buffers of one size that are kept for reuse. */
const FREE_BUFFERS_MAX = 256

/** A pool of ArrayBuffers by exact size. */
export class PagePool {
  /** Bytes handed out and not yet given back. */
  bytesInUse = 0
  readonly #free = new Map<number, ArrayBuffer[]>()

  /** A buffer of `byteLength` bytes; its content is arbitrary. */
  take(byteLength: number): ArrayBuffer {
    this.bytesInUse += byteLength
    return this.#free.get(byteLength)?.pop() ?? new ArrayBuffer(byteLength)
  }

  /** Gives a buffer back; it must not be used afterwards. */
  give(buffer: ArrayBuffer): void {
    this.bytesInUse -= buffer.byteLength
    const free = this.#free.get(buffer.byteLength)
    if (free === undefined) this.#free.set(buffer.byteLength, [buffer])
    else if (free.length < FREE_BUFFERS_MAX) free.push(buffer)
  }
}
