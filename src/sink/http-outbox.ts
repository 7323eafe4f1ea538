/**
 * Epochs to an HTTP server: batches of JSON, POSTed in order.
 *
 * Owns: batches, the key of each, what is sent again. Does not own: the request (http-post.ts), which hosts a job may name
 * (control/http-hosts.ts). A receiver has no marker to read, so what was sent before a crash is sent again, in the same
 * batches and under the same `Idempotency-Key: <job>/<jobId>/<sink>/<epoch>/<part>`: by it the receiver knows it.
 */
import type { Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { HttpAnswer, HttpPost } from './http-post.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from './outbox.ts'
import { OutboxBlockCursor } from './outbox-block.ts'

/** What a request has at most. Part of what batches are: a change sends other batches under keys that were used. */
const PART_RECORDS_MAX = 1000
const PART_BYTES_MAX = 1024 * 1024
/** Waits between attempts: doubling, and at most so long. */
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 10_000

/** Where an HttpOutbox sends. */
export interface HttpOutboxOptions {
  readonly owner: OutboxOwner
  readonly url: string
  /** `json`: an array a request; `ndjson`: a document a line. Records are JSON documents. */
  readonly encoding: 'json' | 'ndjson'
  /** Sent as `Authorization: Bearer`; null for none. */
  readonly token: string | null
  readonly post: HttpPost
  readonly scheduler: Scheduler
  /** How long a batch is tried before the sink has failed, ms of waiting. */
  readonly retryMs: number
}

/** Applies epochs by requests. */
export class HttpOutbox implements OutboxSink {
  readonly guarantee = 'idempotent'
  readonly #options: HttpOutboxOptions
  readonly #cursor = new OutboxBlockCursor()
  /** The newest epoch that this object has sent. */
  #applied = 0
  #closed = true

  constructor(options: HttpOutboxOptions) {
    this.#options = options
  }

  async open(): Promise<OutboxMarker | null> {
    this.#closed = false
    return null
  }

  async apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    if (epoch <= this.#applied) return
    let part = 0
    let batch: Uint8Array[] = []
    let bytes = 0
    const send = async () => {
      await this.#send(epoch, part++, batch)
      batch = []
      bytes = 0
    }
    const cursor = this.#cursor
    for await (const block of blocks) {
      cursor.reset(block)
      while (cursor.next()) {
        const size = cursor.valueEnd - cursor.valueStart
        if (batch.length >= PART_RECORDS_MAX || (batch.length > 0 && bytes + size > PART_BYTES_MAX)) await send()
        // Copied: the block may be gone when the batch is sent.
        batch.push(cursor.value.slice())
        bytes += size
      }
    }
    if (batch.length > 0) await send()
    this.#applied = epoch
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  async #send(epoch: number, part: number, batch: readonly Uint8Array[]): Promise<void> {
    const { owner, token, post, encoding, retryMs } = this.#options
    const { job, jobId, sink } = owner
    const headers = {
      'content-type': encoding === 'json' ? 'application/json' : 'application/x-ndjson',
      'idempotency-key': [job, jobId, sink, epoch, part].join('/'),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const body = encoding === 'json' ? asArray(batch) : asLines(batch)
    let waitedMs = 0
    for (let attempt = 0; ; attempt++) {
      if (this.#closed) throw this.#failed('it has been closed')
      let why: string
      let pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt)
      try {
        const answer = await post(body, headers)
        if (answer.status >= 200 && answer.status < 300) return
        why = describe(answer)
        if (!passes(answer.status)) throw this.#failed(why, 'never')
        pauseMs = Math.max(pauseMs, Math.min(retryMs, (answer.retryAfterSeconds ?? 0) * 1000))
      } catch (thrown) {
        if (thrown instanceof MillraceError) throw thrown
        why = (thrown as Error).message
      }
      if (waitedMs + pauseMs > retryMs) throw this.#failed(`${why} (${attempt + 1} times)`)
      waitedMs += pauseMs
      await new Promise<void>((done) => void this.#options.scheduler.after(pauseMs, done))
    }
  }

  #failed(why: string, retry: 'never' | 'restart' = 'restart'): MillraceError {
    const { url, owner } = this.#options
    // Without what comes after the path: people put keys there.
    const { origin, pathname } = new URL(url)
    return new MillraceError('SINK_FAILED', `sink ${owner.sink} cannot post to ${origin}${pathname}: ${why}`, { retry })
  }
}

/**
 * Whether the same request may be answered otherwise later: the receiver is busy, or broken. 409 is what receivers that go
 * by keys answer while they are still at work on the first request of a key, whose answer came too late.
 */
function passes(status: number): boolean {
  return status >= 500 || status === 408 || status === 409 || status === 425 || status === 429
}

function describe({ status, text }: HttpAnswer): string {
  if (status >= 300 && status < 400) return `it answers ${status}, a redirect, which is not followed`
  return `it answers ${status}${text === '' ? '' : `: ${text}`}`
}

/** `[a,b]` */
function asArray(batch: readonly Uint8Array[]): Uint8Array {
  return joined(batch, 0x5b, 0x2c, 0x5d)
}

/** A line each, the last one ended too. */
function asLines(batch: readonly Uint8Array[]): Uint8Array {
  return joined(batch, null, 0x0a, 0x0a)
}

function joined(batch: readonly Uint8Array[], before: number | null, between: number, after: number): Uint8Array {
  const head = before === null ? 0 : 1
  const bytes = new Uint8Array(batch.reduce((sum, one) => sum + one.length + 1, head))
  let at = 0
  if (before !== null) bytes[at++] = before
  for (const [i, one] of batch.entries()) {
    bytes.set(one, at)
    at += one.length
    bytes[at++] = i === batch.length - 1 ? after : between
  }
  return bytes
}
