/**
 * The sending end of channels: credits, pooled buffers, and how messages leave.
 *
 * Owns: how many batches each receiver may still be sent, and the buffers that come back. Does not own: transport
 * (runtime/links), which row goes where.
 *
 * Every channel starts with `credits` credits. A batch takes one; consuming it gives one back, with its buffer. A sender
 * looks at `ready` before it takes new work: with a credit on every channel it can always finish one unit of work.
 */
import { invariant } from '../core/errors.ts'
import type { BatchBuffer, Message } from './message.ts'

/** Hands a message to the transport, in order, without blocking. */
export type SendMessage = (receiver: number, message: Message) => void

/** Makes a buffer. */
export type AllocateBuffer = (byteLength: number) => BatchBuffer

/**
 * Makes a buffer that both threads of a channel see. What is moved instead counts as new memory in each thread it comes to:
 * collectors run a full collection for every 64 MB of batches that pass, with hardly anything to collect.
 */
export const allocateShared: AllocateBuffer = (byteLength) => new SharedArrayBuffer(byteLength)

/** Buffers kept for reuse by one sender. */
const BUFFERS_MAX = 64

/** The sending end of all channels of one edge of one subtask. */
export class OutputChannels {
  /** Receivers, numbered 0 .. receivers - 1. */
  readonly receivers: number
  /** Batches sent, for statistics. */
  batchesSent = 0
  readonly #credits: Int32Array
  readonly #send: SendMessage
  readonly #buffers: BatchBuffer[] = []
  readonly #bufferBytes: number
  readonly #allocate: AllocateBuffer

  /** `allocate` makes buffers; without it they are not shared. */
  constructor(
    receivers: number,
    credits: number,
    bufferBytes: number,
    send: SendMessage,
    allocate: AllocateBuffer = (byteLength) => new ArrayBuffer(byteLength),
  ) {
    this.#allocate = allocate
    this.receivers = receivers
    this.#credits = new Int32Array(receivers).fill(credits)
    this.#bufferBytes = bufferBytes
    this.#send = send
  }

  /** True when every channel has a credit. */
  get ready(): boolean {
    for (let i = 0; i < this.receivers; i++) if (this.#credits[i]! <= 0) return false
    return true
  }

  /** True when `receiver` may be sent a batch. */
  hasCredit(receiver: number): boolean {
    return this.#credits[receiver]! > 0
  }

  /** A buffer of at least `byteLength` bytes with arbitrary content. */
  take(byteLength: number): BatchBuffer {
    if (byteLength > this.#bufferBytes) return this.#allocate(byteLength)
    return this.#buffers.pop() ?? this.#allocate(this.#bufferBytes)
  }

  /** Sends a batch; takes a credit. */
  sendBatch(receiver: number, buffer: BatchBuffer, byteLength: number): void {
    invariant(this.#credits[receiver]! > 0, `a batch for receiver ${receiver} without a credit`)
    this.#credits[receiver]!--
    this.batchesSent++
    this.#send(receiver, { kind: 'batch', buffer, byteLength })
  }

  /** Sends a mark on every channel. */
  broadcast(message: Exclude<Message, { kind: 'batch' }>): void {
    for (let i = 0; i < this.receivers; i++) this.#send(i, message)
  }

  /** A receiver has consumed a batch: its credit and its buffer come back. */
  onCredit(receiver: number, buffer: BatchBuffer): void {
    this.#credits[receiver]!++
    if (buffer.byteLength === this.#bufferBytes && this.#buffers.length < BUFFERS_MAX) this.#buffers.push(buffer)
  }
}
