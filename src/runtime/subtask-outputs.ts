/**
 * The outputs of one subtask: written at once, or kept in its outbox until the checkpoint exists.
 *
 * Owns: choosing by the output's delivery. Does not own: writers themselves (sink/, runtime/subtask-outbox.ts).
 */
import { ChunkNames } from '../checkpoint/chunk-key.ts'
import type { ChunkStore } from '../checkpoint/store.ts'
import type { Delivery, RecordOutput } from '../job/definition.ts'
import { DEAD_LETTERS_SINK, LATE_SINK } from '../job/delivery.ts'
import { BoundedWriter } from '../sink/bounded-writer.ts'
import { sideWriter } from '../sink/record-json.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import type { AttemptEnvironment } from './attempt-environment.ts'
import type { DeployMessage } from './messages.ts'
import { SubtaskOutbox } from './subtask-outbox.ts'

/** Bytes of an epoch, over the job, at which it asks to be ended. */
export const EPOCH_BYTES_MAX = 64 * 1024 * 1024

/** An output of a job. */
export interface OutputDefinition {
  readonly output: RecordOutput
  readonly delivery?: Delivery
}

/** Opens the writers of one subtask. */
export class SubtaskOutputs {
  /** Keys for all chunks of the subtask: those of pages and those of its outbox. */
  readonly names: ChunkNames
  readonly outbox: SubtaskOutbox
  readonly #environment: AttemptEnvironment
  readonly #wake: () => void
  readonly #writers = new Map<string, SubtaskWriter>()

  constructor(
    deploy: Pick<DeployMessage, 'chunkPrefix' | 'placement'>,
    environment: AttemptEnvironment,
    store: ChunkStore,
    operator: string,
    index: number,
  ) {
    this.names = new ChunkNames(deploy.chunkPrefix, operator, index)
    this.#environment = environment
    this.#wake = environment.contextOf(operator, index).wake
    this.outbox = new SubtaskOutbox({
      store,
      names: this.names,
      clock: environment.ports.clock,
      epochBytes: EPOCH_BYTES_MAX / deploy.placement.length,
      wake: this.#wake,
      onEpochFull: environment.epochFull,
    })
  }

  /** The writer for an output, one a name. `owner` tells it from all others that live, where it writes at once. */
  open(sink: string, { output, delivery }: OutputDefinition, owner: string): SubtaskWriter {
    const known = this.#writers.get(sink)
    if (known !== undefined) return known
    const plain =
      delivery === 'exactly-once'
        ? this.outbox.open(sink)
        : new BoundedWriter(this.#environment.ports.openWriter(output, owner), this.#wake)
    const side = sink === DEAD_LETTERS_SINK ? 'deadLetters' : sink === LATE_SINK ? 'late' : null
    const writer = side === null ? plain : sideWriter(plain, output, side)
    this.#writers.set(sink, writer)
    return writer
  }
}
