/**
 * MillraceError to gRPC status and back.
 *
 * Owns: which code becomes which status, and what the trailer says of it, so that a client of any language can tell
 * what happened (ErrorInfo.reason is our code) and Millrace's own gets the same error again.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { type ErrorCode, type ErrorDomain, errorCodes, MillraceError, type RetryHint } from '../core/errors.ts'
import { decodeStatusDetails, encodeStatusDetails } from './status-details.ts'

/** `ErrorInfo.domain` of every error that Millrace reports. */
export const errorInfoDomain = 'millrace.dev'

/** The trailer that holds the details. */
export const detailsKey = 'grpc-status-details-bin'

/** Pause before another try of what is worth one. */
const retryDelayMs = 1000

/** Longest message on the wire: it travels in a header, which clients bound. */
const maxMessageChars = 1500

/** The status of each code. Complete: the compiler refuses a code that is not decided. */
export const statusOfCode: Readonly<Record<ErrorCode, status>> = {
  JOB_INVALID: status.INVALID_ARGUMENT,
  JOB_EXISTS: status.ALREADY_EXISTS,
  JOB_NOT_FOUND: status.NOT_FOUND,
  JOB_STATE: status.FAILED_PRECONDITION,
  EXPRESSION_INVALID: status.INVALID_ARGUMENT,
  DESCRIPTOR_INVALID: status.INVALID_ARGUMENT,
  SCHEMA_NOT_FOUND: status.NOT_FOUND,
  SCHEMA_INCOMPATIBLE: status.FAILED_PRECONDITION,
  SCHEMA_REGISTRY_UNREACHABLE: status.UNAVAILABLE,
  SCHEMA_REGISTRY_ERROR: status.UNAVAILABLE,
  CONFIG_INVALID: status.FAILED_PRECONDITION,
  USAGE: status.INVALID_ARGUMENT,
  INPUT_INVALID: status.INVALID_ARGUMENT,
  BROKER_UNREACHABLE: status.UNAVAILABLE,
  BROKER_UNSUPPORTED: status.FAILED_PRECONDITION,
  BROKER_ERROR: status.UNAVAILABLE,
  TOPIC_NOT_FOUND: status.FAILED_PRECONDITION,
  TOPIC_RECREATED: status.DATA_LOSS,
  POSITION_LOST: status.DATA_LOSS,
  RECORD_BATCH_CORRUPT: status.DATA_LOSS,
  CODEC_UNSUPPORTED: status.FAILED_PRECONDITION,
  LOG_CORRUPT: status.DATA_LOSS,
  STATE_LIMIT: status.RESOURCE_EXHAUSTED,
  SUM_OVERFLOW: status.FAILED_PRECONDITION,
  STATE_INCOMPATIBLE: status.FAILED_PRECONDITION,
  STORE_UNREACHABLE: status.UNAVAILABLE,
  STORE_FENCED: status.ABORTED,
  STORE_LOST: status.DATA_LOSS,
  CHECKPOINT_FAILED: status.ABORTED,
  CHECKPOINT_CORRUPT: status.DATA_LOSS,
  CHECKPOINT_NOT_FOUND: status.NOT_FOUND,
  SAVEPOINT_FAILED: status.ABORTED,
  SAVEPOINT_EXISTS: status.ALREADY_EXISTS,
  SAVEPOINT_NOT_FOUND: status.NOT_FOUND,
  SAVEPOINT_CORRUPT: status.DATA_LOSS,
  LEASE_HELD: status.UNAVAILABLE,
  WORKER_LOST: status.UNAVAILABLE,
  WORKER_SILENT: status.UNAVAILABLE,
  SINK_FAILED: status.UNAVAILABLE,
  JOB_CODE_FAILED: status.ABORTED,
  JOB_CODE_SILENT: status.ABORTED,
  JOB_CODE_MEMORY: status.RESOURCE_EXHAUSTED,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  LIMIT_EXCEEDED: status.RESOURCE_EXHAUSTED,
  METRIC_NOT_FOUND: status.NOT_FOUND,
  QUERY_INVALID: status.INVALID_ARGUMENT,
  QUERY_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  INTERNAL: status.INTERNAL,
}

/** Status, message and trailer of a failed call, as grpc-js takes them. */
export interface CallError {
  readonly code: status
  readonly details: string
  readonly metadata: Metadata
}

/** Any thrown value as the failure of a call. */
export function toCallError(thrown: unknown): CallError {
  const error = MillraceError.from(thrown)
  const code = statusOfCode[error.code]
  const message = error.message.length > maxMessageChars ? `${error.message.slice(0, maxMessageChars)}…` : error.message
  const trailer = encodeStatusDetails(code, message, {
    reason: error.code,
    domain: errorInfoDomain,
    metadata: { domain: error.domain, retry: error.retry },
    violations: error.violations.map(({ field, message: description, line, column }) => ({
      field,
      description: line > 0 ? `${line}:${column}: ${description}` : description,
    })),
    retryDelayMs: error.retry === 'never' ? -1 : retryDelayMs,
  })
  const metadata = new Metadata()
  metadata.set(detailsKey, Buffer.from(trailer.buffer, trailer.byteOffset, trailer.byteLength))
  return { code, details: message, metadata }
}

/** Codes of failures that gRPC itself reports, without our trailer. */
const codeOfStatus: Partial<Record<status, ErrorCode>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.INVALID_ARGUMENT]: 'INPUT_INVALID',
  [status.RESOURCE_EXHAUSTED]: 'LIMIT_EXCEEDED',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
}

/**
 * The MillraceError behind the failure of a call to `address`. A server that cannot be reached is UNAVAILABLE with what
 * to do about it.
 */
export function fromServiceError(error: ServiceError, address: string): MillraceError {
  const trailer = error.metadata?.get(detailsKey)[0]
  const details = trailer instanceof Uint8Array ? decodeStatusDetails(trailer) : null
  if (details !== null && details.domain === errorInfoDomain && isErrorCode(details.reason)) {
    return new MillraceError(details.reason, error.details, {
      ...(isDomain(details.metadata.domain) ? { domain: details.metadata.domain } : {}),
      ...(isRetry(details.metadata.retry) ? { retry: details.metadata.retry } : {}),
      violations: details.violations.map(({ field, description }) => {
        const place = /^(\d+):(\d+): /.exec(description)
        if (place === null) return { field, message: description, line: 0, column: 0 }
        const message = description.slice(place[0].length)
        return { field, message, line: Number(place[1]), column: Number(place[2]) }
      }),
      cause: error,
    })
  }
  if (
    error.code === status.UNAVAILABLE &&
    /certificate|altname|self.signed|\bSSL\b|\bTLS\b|EPROTO/i.test(error.details)
  ) {
    return new MillraceError(
      'UNAVAILABLE',
      `TLS with the server at ${address} failed: ${error.details}. Check MILLRACE_CLIENT_TLS, MILLRACE_CLIENT_CA and MILLRACE_CLIENT_CERT`,
      { retry: 'never', cause: error },
    )
  }
  if (error.code === status.UNAVAILABLE) {
    // Somebody is there and hangs up.
    const absent = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(error.details)
    const tls = absent ? '' : ', or set MILLRACE_CLIENT_TLS=on if it speaks TLS'
    return new MillraceError(
      'UNAVAILABLE',
      `no Millrace server answers at ${address}: start one with \`millrace serve\`, or name another by --server or MILLRACE_SERVER${tls}`,
      { cause: error },
    )
  }
  if (error.code === status.UNIMPLEMENTED) {
    return new MillraceError('UNAVAILABLE', `the server at ${address} does not know this call; is it Millrace?`, {
      retry: 'never',
      cause: error,
    })
  }
  return new MillraceError(codeOfStatus[error.code] ?? 'INTERNAL', error.details, { cause: error })
}

function isErrorCode(text: string): text is ErrorCode {
  return errorCodes.some((code) => code === text)
}

function isDomain(text: string | undefined): text is ErrorDomain {
  return text === 'user' || text === 'external' || text === 'internal'
}

function isRetry(text: string | undefined): text is RetryHint {
  return text === 'never' || text === 'backoff' || text === 'restart'
}
