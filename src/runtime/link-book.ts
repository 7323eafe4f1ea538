/**
 * A thread's links to its peers, as the pool connects and replaces them.
 *
 * What is posted to a peer that is gone is dropped: its attempts are dead, and the coordinator is about to say so.
 */
import type { MessagePort } from 'node:worker_threads'
import { type Link, type LinkMessage, PortLink } from './links.ts'

/** Links by peer thread. */
export class LinkBook {
  readonly #links = new Map<number, Link>()
  readonly #listener: (message: LinkMessage) => void

  constructor(listener: (message: LinkMessage) => void) {
    this.#listener = listener
  }

  /** A port to a peer; replaces the one to its predecessor. */
  connect(peer: number, port: MessagePort): void {
    this.#links.get(peer)?.close()
    const link = new PortLink(port)
    link.onMessage(this.#listener)
    this.#links.set(peer, link)
  }

  /** Sends to a peer. */
  post(peer: number, message: LinkMessage): void {
    this.#links.get(peer)?.post(message)
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }
}
