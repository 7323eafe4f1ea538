/** Dead letters of a source subtask: counted always, written where the job has an output for them. */
import { reasonOf } from '../event/projection.ts'
import type { RecordCursor } from '../event/records.ts'
import { type Origin, writeDeadLetter } from '../sink/side-output.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import type { RecordChunk } from '../source/source.ts'

/** Takes records that no event can be made of. */
export class DeadLetters {
  /** How many there were, since the job first began. */
  count: number
  readonly #writer: SubtaskWriter | null
  readonly #origin: Origin

  constructor(writer: SubtaskWriter | null, job: string, topic: string, count: number) {
    this.#writer = writer
    this.#origin = { job, topic, partition: 0, offset: 0 }
    this.count = count
  }

  /** True while no more may be written. */
  get full(): boolean {
    return this.#writer?.full === true
  }

  /** Takes the record at which `cursor` stands. */
  take(chunk: RecordChunk, cursor: RecordCursor, reason: number): void {
    this.count++
    const writer = this.#writer
    if (writer === null) return
    this.#origin.partition = chunk.partition
    this.#origin.offset = chunk.baseOffset + cursor.offsetDelta
    writeDeadLetter(
      writer,
      this.#origin,
      reasonOf(reason)!,
      cursor.bytes,
      cursor.keyStart,
      cursor.keyEnd,
      cursor.valueStart,
      cursor.valueEnd,
      chunk.baseTimestampMs + cursor.timestampDelta,
    )
  }

  /** Resolves when all that was taken is written. */
  flush(): Promise<void> {
    return this.#writer?.flush() ?? Promise.resolve()
  }

  async close(): Promise<void> {
    await this.#writer?.close()
  }
}
