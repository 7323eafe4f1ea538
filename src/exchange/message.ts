/**
 * What travels on a channel.
 *
 * A channel is one ordered edge from a sender subtask to a receiver subtask. Batches cost a credit each, given back when
 * the receiver has consumed the batch; marks (watermark, idle, barrier) cost none and keep their place in the order.
 */

/**
 * The memory of a batch: shared between threads, or moved from one to the other. Either way one side has it at a time:
 * the sender until it sends the batch, the receiver until it returns the credit, then the sender again.
 */
export type BatchBuffer = ArrayBuffer | SharedArrayBuffer

/** A full or partial batch: one pooled buffer. Its layout is the edge's. */
export interface BatchMessage {
  readonly kind: 'batch'
  readonly buffer: BatchBuffer
  /** Bytes of the buffer in use. */
  readonly byteLength: number
}

/** No more elements with a timestamp at or below `watermarkMs` come on this channel, but for late ones. Ends idleness. */
export interface WatermarkMessage {
  readonly kind: 'watermark'
  readonly watermarkMs: number
}

/** The sender has nothing to say about time until its next watermark. */
export interface IdleMessage {
  readonly kind: 'idle'
}

/** Everything before it belongs to checkpoint `checkpointId`, everything after to the next. */
export interface BarrierMessage {
  readonly kind: 'barrier'
  readonly checkpointId: number
}

/** What travels on a channel from sender to receiver. */
export type Message = BatchMessage | WatermarkMessage | IdleMessage | BarrierMessage
