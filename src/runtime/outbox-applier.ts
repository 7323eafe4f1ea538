/**
 * Applies outboxes to sinks, in the thread that an attempt has chosen for them.
 *
 * Owns: the sinks' life in this thread, reading blocks back from the store, and refusing those that are not what was
 * written. Does not own: which epoch is due (coordinator/outbox-coordinator.ts), the sinks themselves (sink/).
 *
 * Blocks are always read from the store, never handed on in memory: what works after a crash is what works every time. A
 * store that cannot be reached is waited for: to restart would need it as well. Whatever else goes wrong is told once and
 * ends the attempt; the sink's marker says later how far it came.
 */
import type { OutboxBlock } from '../checkpoint/snapshot.ts'
import type { ChunkReader, ChunkStore } from '../checkpoint/store.ts'
import { invariant, MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import { recordSinks } from '../job/delivery.ts'
import type { OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import type { EndedTransaction } from '../source/kafka/ended-transaction.ts'
import type { AttemptRef, DeployMessage, FromWorker, OutboxAnswer } from './messages.ts'
import type { WorkerPorts } from './ports.ts'

/** Blocks that are read ahead of the one that a sink works on. */
const READ_AHEAD = 2
/** Pause before a store that cannot be reached is asked again. */
const RETRY_MS = 500

/** The sinks of one attempt in one thread. */
export class OutboxApplier {
  readonly #deploy: DeployMessage
  readonly #ports: WorkerPorts
  readonly #send: (message: FromWorker) => void
  readonly #sinks = new Map<string, OutboxSink>()
  /** Transactions that sinks have ended since their last answer. */
  readonly #ended = new Map<string, EndedTransaction[]>()
  #store: ChunkStore | null = null
  #closed = false

  constructor(deploy: DeployMessage, ports: WorkerPorts, send: (message: FromWorker) => void) {
    this.#deploy = deploy
    this.#ports = ports
    this.#send = send
  }

  /** Opens a sink for its owner. Ends in `outboxOpened` or `outboxFailed`. */
  async open(id: string, owner: OutboxOwner): Promise<void> {
    await this.#tell(id, 0, async () => {
      const output = recordSinks(this.#deploy.plan.definition).get(id)
      invariant(output !== undefined && this.#ports.openOutboxSink !== undefined, `no sink ${id} takes outboxes here`)
      const ended: EndedTransaction[] = []
      this.#ended.set(id, ended)
      const sink = this.#ports.openOutboxSink(output, owner, (each) => ended.push(each))
      this.#sinks.set(id, sink)
      const marker = await sink.open()
      return { type: 'outboxOpened', ...this.#ref, sink: id, marker, guarantee: sink.guarantee }
    })
  }

  /** Has an open sink apply an epoch. Ends in `outboxApplied` or `outboxFailed`. */
  async apply(id: string, epoch: number, blocks: readonly OutboxBlock[]): Promise<void> {
    await this.#tell(id, epoch, async () => {
      const sink = this.#sinks.get(id)
      invariant(sink !== undefined, `sink ${id} is not open here`)
      this.#store ??= this.#ports.openChunkStore(this.#deploy.chunkStore)
      const what = `the outbox of checkpoint ${epoch} of job ${this.#deploy.plan.jobName} for sink ${id}`
      await applyBlocks(sink, epoch, readBlocks(this.#reader(this.#store), what, blocks))
      return { type: 'outboxApplied', ...this.#ref, sink: id, epoch }
    })
  }

  /** Gives everything back; what is being applied is told to nobody any more. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled([...this.#sinks.values()].map((sink) => sink.close()))
    await this.#store?.close()
  }

  /** Reads from a store that may be away for a while. */
  #reader(store: ChunkReader): ChunkReader {
    const readChunk = async (key: string): Promise<Uint8Array | undefined> => {
      for (;;) {
        try {
          return await store.readChunk(key)
        } catch (thrown) {
          if (this.#closed || MillraceError.from(thrown).code !== 'STORE_UNREACHABLE') throw thrown
        }
        await new Promise<void>((resolve) => void this.#ports.scheduler.after(RETRY_MS, resolve))
      }
    }
    return { readChunk }
  }

  get #ref(): AttemptRef {
    const { job, attempt } = this.#deploy
    return { job, attempt }
  }

  async #tell(sink: string, epoch: number, work: () => Promise<OutboxAnswer>): Promise<void> {
    let answer: OutboxAnswer
    try {
      answer = await work()
    } catch (thrown) {
      answer = { type: 'outboxFailed', ...this.#ref, sink, epoch, error: MillraceError.from(thrown).toData() }
    }
    const ended = this.#ended.get(sink)?.splice(0) ?? []
    if (!this.#closed) this.#send(ended.length === 0 ? answer : { ...answer, ended })
  }
}

/** Rejects with what reading the blocks fails with, where it does: a sink would say that it is the sink that failed. */
async function applyBlocks(sink: OutboxSink, epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
  let unread: unknown
  const told = async function* () {
    try {
      yield* blocks
    } catch (thrown) {
      unread = thrown
      throw thrown
    }
  }
  try {
    await sink.apply(epoch, told())
  } catch (thrown) {
    throw unread ?? thrown
  }
}

/**
 * The bytes of blocks in order, a few read ahead. Throws CHECKPOINT_CORRUPT for one that is missing or damaged, and the
 * store's errors; `what` names the outbox in messages.
 */
export async function* readBlocks(
  store: ChunkReader,
  what: string,
  blocks: readonly OutboxBlock[],
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<Uint8Array>[] = []
  const read = (block: OutboxBlock): void => {
    const bytes = readBlock(store, what, block)
    // Awaited below; if the sink gives up first, nobody does.
    bytes.catch(() => undefined)
    ahead.push(bytes)
  }
  for (const block of blocks) {
    if (ahead.length > READ_AHEAD) yield await ahead.shift()!
    read(block)
  }
  for (const bytes of ahead) yield await bytes
}

async function readBlock(store: ChunkReader, what: string, { chunk, crc32c: crc }: OutboxBlock): Promise<Uint8Array> {
  const bytes = await store.readChunk(chunk.key)
  if (bytes === undefined) throw corrupt(what, `chunk ${chunk.key} is missing`)
  if (bytes.length !== chunk.sizeBytes) {
    throw corrupt(what, `chunk ${chunk.key} has ${bytes.length} bytes instead of ${chunk.sizeBytes}`)
  }
  if (crc32c(bytes) !== crc) throw corrupt(what, `the checksum of chunk ${chunk.key} is wrong`)
  return bytes
}

function corrupt(what: string, why: string): MillraceError {
  return new MillraceError(
    'CHECKPOINT_CORRUPT',
    `${what} cannot be applied: ${why}. The store has lost or damaged data: restore it, or cancel the job and submit it anew`,
  )
}
