/**
 * A record writer that says when it has had enough.
 *
 * Owns: starting a flush when much is buffered, and `full`, by which a subtask stops until the flush is through. Does not
 * own: the writer behind it.
 */
import type { RecordWriter, SubtaskWriter } from './sink.ts'

/** Buffered bytes at which a flush starts. */
const FLUSH_BYTES = 256 * 1024
/** Buffered bytes from which on the writer is full. */
const FULL_BYTES = 4 * 1024 * 1024

/** Bounds what a RecordWriter buffers. */
export class BoundedWriter implements SubtaskWriter {
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
    if (this.#flushing === null && this.#writer.bufferedBytes >= FLUSH_BYTES) void this.#start()
  }

  async flush(): Promise<void> {
    // One flush at a time: each takes from the count what was buffered when it began.
    while (this.#flushing !== null) await this.#flushing
    if (this.#failure !== null) throw this.#failure
    await this.#start()
    if (this.#failure !== null) throw this.#failure
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  /** Starts a flush; what it fails with is kept for whoever asks next. Never rejects. */
  #start(): Promise<void> {
    const flushing = this.#writer
      .flush()
      .catch((error: unknown) => {
        this.#failure = error
      })
      .then(() => {
        this.#flushing = null
        // Written meanwhile, and perhaps full because of it: nobody else would start the next one, as nobody writes.
        if (this.#failure === null && this.#writer.bufferedBytes >= FLUSH_BYTES) void this.#start()
        this.#wake()
      })
    this.#flushing = flushing
    return flushing
  }
}
