import { ChunkNames } from '../../src/checkpoint/chunk-key.ts'
import { SubtaskOutbox } from '../../src/runtime/subtask-outbox.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

/** The outbox of a subtask without sinks. */
export function noOutbox(): SubtaskOutbox {
  return new SubtaskOutbox({
    store: { putChunk: async () => undefined },
    names: new ChunkNames('model', 'outbox', 0),
    clock: new ManualClock(),
    epochBytes: Number.POSITIVE_INFINITY,
    wake: () => {},
    onEpochFull: () => {},
  })
}
