/**
 * POST by HTTP: the adapter behind http-outbox.ts, and the only file of sinks that opens a connection by itself.
 *
 * Owns: the request, its deadline, how much of an answer is read. Redirects are not followed: the address is the
 * operator's choice, not the receiver's. Tokens appear in no message.
 */
import type { Scheduler } from '../core/clock.ts'

/** What came back. */
export interface HttpAnswer {
  readonly status: number
  /** The first characters of the body. */
  readonly text: string
  /** Of the header `Retry-After`, in seconds; null without one. */
  readonly retryAfterSeconds: number | null
}

/** Sends one request. Rejects with an Error that says why there is no answer. */
export type HttpPost = (body: Uint8Array, headers: Readonly<Record<string, string>>) => Promise<HttpAnswer>

/** Characters of an answer that are kept. */
const TEXT_MAX = 200

/** Posts to one address. `timeoutMs` bounds a request with its answer. */
export function httpPost(url: string, timeoutMs: number, scheduler: Scheduler): HttpPost {
  return async (body, headers) => {
    const abort = new AbortController()
    const cancel = scheduler.after(timeoutMs, () => abort.abort())
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers,
        body: body as Uint8Array<ArrayBuffer>,
        redirect: 'manual',
        signal: abort.signal,
      })
      const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN)
      return {
        status: response.status,
        text: await firstText(response),
        retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : null,
      }
    } catch (thrown) {
      throw new Error(abort.signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(thrown), { cause: thrown })
    } finally {
      cancel()
    }
  }
}

/** What is beyond is not read: a receiver could send without end. */
async function firstText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length >= TEXT_MAX) break
  }
  return text.slice(0, TEXT_MAX)
}

/** `fetch` says "fetch failed" and keeps the reason in the cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  const { code, message } = cause as { readonly code?: string; readonly message?: string }
  return message || code || String(thrown)
}
