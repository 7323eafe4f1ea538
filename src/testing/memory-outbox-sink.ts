/**
 * A sink in memory that takes outboxes: what tests and simulations read results from, and the model of every real one.
 *
 * It does what the contract (sink/outbox.ts) says: the newest owner shuts out older ones, an epoch and its marker come to
 * pass as one, an epoch at or below the marker is not applied again. A fault may strike before and after each call takes
 * effect: after it, the work is done and the answer is lost.
 */
import { MillraceError } from '../core/errors.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import { OutboxBlockCursor } from '../sink/outbox-block.ts'

/** A record that a sink has applied. */
export interface AppliedRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array
  readonly timestampMs: number
  /** The epoch that it came with. */
  readonly epoch: number
}

/** Called around every call of every sink; may throw, and may take its time. */
export type OutboxFault = (
  call: 'open' | 'apply',
  when: 'before' | 'after',
  sink: string,
  epoch: number,
) => Promise<void> | void

interface StoredSink {
  owner: OutboxOwner
  marker: OutboxMarker | null
  readonly records: AppliedRecord[]
}

/** What all sinks of a deployment hold; outlives the threads that write it. */
export class MemoryOutboxData {
  fault: OutboxFault | undefined
  /** Epochs that a sink was given though it had them: whoever reads markers first gives none. */
  repeated = 0
  readonly #sinks = new Map<string, StoredSink>()

  /** What sink `sink` of `job` has applied, in order. */
  records(job: string, sink: string): readonly AppliedRecord[] {
    return this.#sinks.get(`${job}/${sink}`)?.records ?? []
  }

  /** The newest epoch that it has applied; null for none. */
  marker(job: string, sink: string): OutboxMarker | null {
    return this.#sinks.get(`${job}/${sink}`)?.marker ?? null
  }

  /** The sink as its newest owner finds it. */
  take(owner: OutboxOwner): StoredSink {
    const name = `${owner.job}/${owner.sink}`
    const found = this.#sinks.get(name)
    if (found === undefined) {
      const created: StoredSink = { owner, marker: null, records: [] }
      this.#sinks.set(name, created)
      return created
    }
    const before = found.owner
    if (before.jobId === owner.jobId && before.generation > owner.generation) throw fenced(owner, before)
    found.owner = owner
    return found
  }
}

/** One opening of a sink. */
export class MemoryOutboxSink implements OutboxSink {
  readonly guarantee = 'exactly-once'
  readonly #data: MemoryOutboxData
  readonly #owner: OutboxOwner
  readonly #fault: OutboxFault | undefined
  #stored: StoredSink | null = null
  #closed = false

  constructor(data: MemoryOutboxData, owner: OutboxOwner, fault?: OutboxFault) {
    this.#data = data
    this.#owner = owner
    this.#fault = fault
  }

  async open(): Promise<OutboxMarker | null> {
    await this.#fail('open', 'before', 0)
    this.#stored = this.#data.take(this.#owner)
    const { marker } = this.#stored
    await this.#fail('open', 'after', 0)
    return marker
  }

  async apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const { sink, jobId, generation } = this.#owner
    const stored = this.#stored
    if (stored === null) throw new MillraceError('INTERNAL', `sink ${sink} is not open`)
    const records: AppliedRecord[] = []
    const cursor = new OutboxBlockCursor()
    for await (const block of blocks) {
      cursor.reset(block)
      while (cursor.next()) {
        const { timestampMs } = cursor
        records.push({ key: cursor.key?.slice() ?? null, value: cursor.value.slice(), timestampMs, epoch })
      }
    }
    await this.#fail('apply', 'before', epoch)
    if (stored.owner !== this.#owner) throw fenced(this.#owner, stored.owner)
    if (this.#closed) throw new MillraceError('SINK_FAILED', `sink ${sink} is closed`)
    const { marker } = stored
    if (marker === null || marker.jobId !== jobId || marker.epoch < epoch) {
      stored.records.push(...records)
      stored.marker = { jobId, generation, epoch }
    } else {
      this.#data.repeated++
    }
    await this.#fail('apply', 'after', epoch)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  async #fail(call: 'open' | 'apply', when: 'before' | 'after', epoch: number): Promise<void> {
    await this.#fault?.(call, when, this.#owner.sink, epoch)
    await this.#data.fault?.(call, when, this.#owner.sink, epoch)
  }
}

function fenced(owner: OutboxOwner, by: OutboxOwner): MillraceError {
  const text = `sink ${owner.sink} of job ${owner.job} has another owner now: generation ${by.generation}, this one is ${owner.generation}`
  return new MillraceError('STORE_FENCED', text)
}
