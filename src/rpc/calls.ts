/** Calls of a client: one with an answer, one with a stream of them. */
import type { CallOptions, ClientReadableStream, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js'
import type { MillraceError } from '../core/errors.ts'
import { fromServiceError } from './errors.ts'

/** A method with one answer, as generated. */
export type Call<Q, S> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: S) => void,
) => ClientUnaryCall

/** Calls such a method. Rejects with MillraceError. */
export type Caller = <Q, S>(method: Call<Q, S>, request: Q) => Promise<S>

/** Hands on what a stream brings, and how it ends; the function that it returns ends it, silently. */
export function follow<M>(
  stream: ClientReadableStream<M>,
  address: string,
  onMessage: (message: M) => void,
  onEnd: (error: MillraceError | null) => void,
): () => void {
  let open = true
  const end = (error: MillraceError | null) => {
    if (!open) return
    open = false
    onEnd(error)
  }
  stream.on('data', (message: M) => {
    if (open) onMessage(message)
  })
  stream.on('error', (error: ServiceError) => end(fromServiceError(error, address)))
  stream.on('end', () => end(null))
  return () => {
    open = false
    stream.cancel()
  }
}
