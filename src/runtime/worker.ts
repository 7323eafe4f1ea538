/**
 * The entry of a worker thread: the one endless task that Piscina runs in it.
 *
 * Owns: turning ports into the messages that the loop takes, and ending when it is told to. The task returns on
 * `shutdown`; until then it is never idle in Piscina's eyes.
 */
import { threadId } from 'node:worker_threads'
import { LinkBook } from './link-book.ts'
import type { ControlMessage, ThreadInit } from './thread-init.ts'
import { WorkerLoop } from './worker-loop.ts'
import { createWorkerPorts } from './worker-ports.ts'

/** Runs one thread of the pool until it is told to shut down. */
export async function runThread(init: ThreadInit): Promise<void> {
  const { thread, control } = init
  const done = Promise.withResolvers<void>()
  const links = new LinkBook((message) => loop.onLink(message))
  const loop: WorkerLoop = new WorkerLoop(
    thread,
    createWorkerPorts(init.kafka, init.sinks),
    (message) => control.postMessage(message),
    (peer, message) => links.post(peer, message),
  )
  control.on('message', (message: ControlMessage) => {
    if (message.type === 'connect') links.connect(message.peer, message.port)
    else if (message.type === 'shutdown') void loop.close().then(done.resolve)
    else loop.onMessage(message)
  })
  control.postMessage({ type: 'ready', thread, threadId })
  await done.promise
  links.close()
  control.close()
}
