/**
 * Requests whose bytes are no message of their type: told as INPUT_INVALID.
 *
 * grpc-js answers them with INTERNAL and no details by itself, as if we had failed. So decoding never throws here: it
 * yields a Malformed, which the guard answers in place of the handler.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { MillraceError } from '../core/errors.ts'

/** Stands for a request that could not be decoded. */
export class Malformed {
  readonly #reason: string

  constructor(reason: string) {
    this.#reason = reason
  }

  /** What the caller is told. */
  toError(): MillraceError {
    return new MillraceError('INPUT_INVALID', `the request is not a message of its type: ${this.#reason}`)
  }
}

/** The same service, with requests that cannot be decoded as Malformed. */
export function tolerant<T extends UntypedServiceImplementation>(service: ServiceDefinition<T>): ServiceDefinition<T> {
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    { ...method, requestDeserialize: attempting(method.requestDeserialize) },
  ])
  return Object.fromEntries(methods) as ServiceDefinition<T>
}

function attempting(decode: (bytes: Buffer) => unknown): (bytes: Buffer) => unknown {
  return (bytes) => {
    try {
      return decode(bytes)
    } catch (thrown) {
      return new Malformed(MillraceError.from(thrown).message)
    }
  }
}
