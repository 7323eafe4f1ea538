/**
 * What a server of the chaos rounds is started with (`node --import`): a door by which the rounds reach its threads.
 *
 * In the main thread: a socket at MILLRACE_TEST_CHAOS_SOCKET that takes one command a line, and a list of the worker
 * threads as they are made. In a worker thread: an ear for commands that only the thread itself can carry out.
 *
 *   exit       the newest worker ends itself by process.exit
 *   spin MS    it does nothing for so long: no message, no heartbeat
 *   terminate  it is ended from outside
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { createServer } from 'node:net'
import { BroadcastChannel, isMainThread, threadId, type Worker } from 'node:worker_threads'

const CHANNEL = 'millrace-chaos'

interface Order {
  readonly thread: number
  readonly what: 'exit' | 'spin'
  readonly ms: number
}

const channel = new BroadcastChannel(CHANNEL)
channel.unref()

if (isMainThread) listen(process.env.MILLRACE_TEST_CHAOS_SOCKET ?? '')
else channel.onmessage = (event: unknown) => obey((event as { data: Order }).data)

function obey({ thread, what, ms }: Order): void {
  if (thread !== threadId) return
  if (what === 'exit') process.exit(3)
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}

function listen(path: string): void {
  const workers = watchWorkers()
  const server = createServer((socket) => {
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.on('data', (line: string) => {
      const [what = '', argument = '0', index = '0'] = line.trim().split(' ')
      const worker = workers[Number(index) % Math.max(1, workers.length)]
      if (worker === undefined) {
        socket.end('none\n')
        return
      }
      if (what === 'terminate') void worker.terminate()
      else channel.postMessage({ thread: worker.threadId, what, ms: Number(argument) } as Order)
      socket.end(`${worker.threadId}\n`)
    })
  })
  server.unref()
  server.listen(path)
}

/** All worker threads that live, in the order in which they were made. */
function watchWorkers(): Worker[] {
  const alive: Worker[] = []
  const module = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Worker }
  const Base = module.Worker
  module.Worker = class extends Base {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args)
      alive.push(this)
      this.once('exit', () => alive.splice(alive.indexOf(this), 1))
    }
  }
  syncBuiltinESMExports()
  return alive
}
