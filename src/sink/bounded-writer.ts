/**
 * A record writer that says when it has had enough.
 *
 * Owns: starting a flush when much is buffered, and `full`, by which a subtask stops until the flush is through. Does not
 * own: the writer behind it.
 */
import type { RecordWriter } from './sink.ts'

/** Buffered bytes at which a flush starts. */
const FLUSH_BYTES = 256 * 1024
/** Buffered bytes from which on the writer is full. */
const FULL_BYTES = 4 * 1024 * 1024

/** Bounds what a RecordWriter buffers. */
export class BoundedWriter implements RecordWriter {
  readonly #writer: RecordWriter
  readonly #wake: () => void
  #flushing: Promise<void> | null = null
  #failure: unknown = null

  /** `wake` is called when a flush has ended. */
  constructor(writer: RecordWriter, wake: () => void) {
    this.#writer = writer
    this.#wake = wake
  }

  get bufferedBytes(): number {
    return this.#writer.bufferedBytes
  }

  /** True while nothing more should be written. Throws what a flush in the background has failed with. */
  get full(): boolean {
    if (this.#failure !== null) throw this.#failure
    return this.#writer.bufferedBytes >= FULL_BYTES
  }

  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    this.#writer.write(key, value, timestampMs)
    if (this.#flushing === null && this.#writer.bufferedBytes >= FLUSH_BYTES) this.#flushInBackground()
  }

  async flush(): Promise<void> {
    if (this.#flushing !== null) await this.#flushing
    if (this.#failure !== null) throw this.#failure
    await this.#writer.flush()
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #flushInBackground(): void {
    this.#flushing = this.#writer
      .flush()
      .catch((error: unknown) => {
        this.#failure = error
      })
      .finally(() => {
        this.#flushing = null
        this.#wake()
      })
  }
}
