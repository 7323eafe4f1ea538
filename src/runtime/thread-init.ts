/**
 * How a worker thread comes to know its pool: what it is started with, and the pool's own messages.
 *
 * Types only. The pool (coordinator/worker-pool.ts) sends them, the thread's entry (runtime/worker.ts) takes them; jobs
 * never see them. Two kinds of message share the control port, in one order: these, and the job protocol of messages.ts.
 *
 * The entry exports `runThread(init: ThreadInit): Promise<void>`. What it does: listens on `control`, posts
 * `{type: 'ready', thread, threadId}` once it can take messages, keeps the port of each peer as `connect` brings it (a
 * second one for the same peer replaces the first: the peer was replaced), and returns from its task on
 * `{type: 'shutdown'}`.
 *
 * What the pool keeps: a thread that is told of to anybody (and so can be deployed to) has first been connected with
 * every other such thread; by the order of the control port a `deploy` therefore finds all its peers.
 */
import type { MessagePort } from 'node:worker_threads'
import type { SinkAccess } from '../sink/access.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import type { ToWorker } from './messages.ts'

/** Argument of the one endless task of a worker thread. */
export interface ThreadInit {
  /** Number of the thread's place in the pool, 0 .. threads - 1; a replacement has the number of the one it replaces. */
  readonly thread: number
  /** Places in the pool. */
  readonly threads: number
  /** Both ways: ControlMessage in, FromWorker out. */
  readonly control: MessagePort
  /** What brokers want of a client. Secrets: they stay in the thread's memory. */
  readonly kafka: KafkaSecurity
  /** What the servers of sinks want. Secrets as well. */
  readonly sinks: SinkAccess
}

/** Pool to thread: here is a port straight to another thread. The former port to that peer, if any, is dead. */
export interface ConnectMessage {
  readonly type: 'connect'
  readonly peer: number
  /** Transferred; for data between threads (exchange), nothing else uses it. */
  readonly port: MessagePort
}

/** Everything that arrives at a thread's control port. */
export type ControlMessage = ConnectMessage | ToWorker
