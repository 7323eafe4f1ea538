/** One answer to one question: an async function as a gRPC handler, its failures as statuses. */
import type { handleUnaryCall } from '@grpc/grpc-js'
import { toCallError } from './errors.ts'

/**
 * A handler that answers what `answer` resolves to. A call that is cancelled, or whose deadline passes, is answered by
 * gRPC itself; what `answer` then still comes to is dropped.
 */
export function unary<Request, Response>(
  answer: (request: Request) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    answer(call.request).then(
      (response) => {
        if (!call.cancelled) callback(null, response)
      },
      (thrown: unknown) => {
        if (!call.cancelled) callback(toCallError(thrown))
      },
    )
  }
}
