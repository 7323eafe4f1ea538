/**
 * Messages between subtasks: one link a pair of threads, all channels of all jobs on it.
 *
 * Owns: the wire form and the routing. Each (job, attempt, edge, sender, receiver) is a channel of its own with its own
 * credits; a link keeps the order of each. A channel within one thread skips the link, not the rules.
 */
import type { MessagePort } from 'node:worker_threads'
import type { BatchBuffer, Message } from '../exchange/message.ts'

/** Edges of the graph: from source to window, and from window to merge. */
export const EVENTS_EDGE = 0
/** From window to merge. */
export const PARTIALS_EDGE = 1

/** What crosses a link. `credit` travels against the direction of its channel. */
export interface LinkMessage {
  readonly job: number
  readonly attempt: number
  readonly edge: number
  readonly from: number
  readonly to: number
  readonly message: Message | null
  /** The buffer that comes back with a credit. */
  readonly credit: BatchBuffer | null
}

/** One end of the connection between two threads. Buffers are shared, or moved; never copied. */
export interface Link {
  post(message: LinkMessage): void
  /** One listener, called in order. */
  onMessage(listener: (message: LinkMessage) => void): void
  close(): void
}

/** The buffer that leaves the sender's thread with a message; null where there is none, or it is shared. */
export function movedBuffer({ credit, message }: LinkMessage): ArrayBuffer | null {
  const buffer = credit ?? (message?.kind === 'batch' ? message.buffer : null)
  return buffer instanceof ArrayBuffer ? buffer : null
}

/** A link over a MessagePort. */
export class PortLink implements Link {
  readonly #port: MessagePort

  constructor(port: MessagePort) {
    this.#port = port
  }

  post(message: LinkMessage): void {
    const moved = movedBuffer(message)
    if (moved === null) this.#port.postMessage(message)
    else this.#port.postMessage(message, [moved])
  }

  onMessage(listener: (message: LinkMessage) => void): void {
    this.#port.on('message', listener)
  }

  close(): void {
    this.#port.close()
  }
}
