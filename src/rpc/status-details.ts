/**
 * The `google.rpc` details of a failed call: a Status with ErrorInfo, BadRequest and RetryInfo, to and from the bytes of
 * the trailer `grpc-status-details-bin`.
 *
 * Owns: the wire shape of those four public messages, as far as Millrace uses them (google/rpc/status.proto,
 * google/rpc/error_details.proto). Does not own: which error gets which details (rpc/errors.ts).
 *
 * Trailers are headers to HTTP/2, and clients bound them (8 KB in many): violations beyond `maxDetailsBytes` are
 * dropped from the end, and the last one says how many.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'

/** One wrong field, as google.rpc.BadRequest has it. */
export interface FieldViolation {
  readonly field: string
  readonly description: string
}

/** What a trailer says. */
export interface StatusDetails {
  /** ErrorInfo: a stable reason in a domain, and texts by name. */
  readonly reason: string
  readonly domain: string
  readonly metadata: Readonly<Record<string, string>>
  readonly violations: readonly FieldViolation[]
  /** RetryInfo: wait so long before the next try; -1 for none. */
  readonly retryDelayMs: number
}

/** Most bytes of encoded violations. */
export const maxDetailsBytes = 4096

const typePrefix = 'type.googleapis.com/google.rpc.'

/** Encodes a google.rpc.Status. `code` and `message` repeat the call's own status. */
export function encodeStatusDetails(code: number, message: string, details: StatusDetails): Uint8Array {
  const writer = new BinaryWriter()
  writer.uint32(8).int32(code)
  writer.uint32(18).string(message)
  any(writer, 'ErrorInfo', errorInfo(details))
  if (details.violations.length > 0) any(writer, 'BadRequest', badRequest(details.violations))
  if (details.retryDelayMs >= 0) any(writer, 'RetryInfo', retryInfo(details.retryDelayMs))
  return writer.finish()
}

function any(writer: BinaryWriter, name: string, value: Uint8Array): void {
  const message = new BinaryWriter()
  message.uint32(10).string(typePrefix + name)
  message.uint32(18).bytes(value)
  writer.uint32(26).bytes(message.finish())
}

function errorInfo(details: StatusDetails): Uint8Array {
  const writer = new BinaryWriter()
  writer.uint32(10).string(details.reason)
  writer.uint32(18).string(details.domain)
  for (const [key, value] of Object.entries(details.metadata)) {
    writer.uint32(26).bytes(new BinaryWriter().uint32(10).string(key).uint32(18).string(value).finish())
  }
  return writer.finish()
}

function badRequest(violations: readonly FieldViolation[]): Uint8Array {
  const writer = new BinaryWriter()
  let bytes = 0
  for (const [index, violation] of violations.entries()) {
    const encoded = fieldViolation(violation)
    bytes += encoded.length
    if (bytes > maxDetailsBytes) {
      const left = violations.length - index
      const note = { field: '', description: `and ${left} more; validate the document to see them all` }
      writer.uint32(10).bytes(fieldViolation(note))
      break
    }
    writer.uint32(10).bytes(encoded)
  }
  return writer.finish()
}

function fieldViolation(violation: FieldViolation): Uint8Array {
  return new BinaryWriter().uint32(10).string(violation.field).uint32(18).string(violation.description).finish()
}

function retryInfo(delayMs: number): Uint8Array {
  const seconds = Math.floor(delayMs / 1000)
  const nanos = Math.round((delayMs - seconds * 1000) * 1e6)
  const duration = new BinaryWriter().uint32(8).int64(seconds).uint32(16).int32(nanos).finish()
  return new BinaryWriter().uint32(10).bytes(duration).finish()
}

/** Decodes a trailer; null when it is none of ours to read. Never throws. */
export function decodeStatusDetails(bytes: Uint8Array): StatusDetails | null {
  try {
    return decode(bytes)
  } catch {
    return null
  }
}

function decode(bytes: Uint8Array): StatusDetails {
  let reason = ''
  let domain = ''
  let retryDelayMs = -1
  const metadata: Record<string, string> = {}
  const violations: FieldViolation[] = []
  for (const [number, detail] of fields(bytes)) {
    if (number !== 3) continue
    const parts = new Map(fields(detail))
    const type = textOf(parts.get(1))
    const value = parts.get(2) ?? new Uint8Array()
    if (type === `${typePrefix}ErrorInfo`) {
      for (const [field, part] of fields(value)) {
        if (field === 1) reason = textOf(part)
        if (field === 2) domain = textOf(part)
        if (field === 3) {
          const entry = new Map(fields(part))
          metadata[textOf(entry.get(1))] = textOf(entry.get(2))
        }
      }
    } else if (type === `${typePrefix}BadRequest`) {
      for (const [, part] of fields(value)) {
        const violation = new Map(fields(part))
        violations.push({ field: textOf(violation.get(1)), description: textOf(violation.get(2)) })
      }
    } else if (type === `${typePrefix}RetryInfo`) {
      retryDelayMs = durationMs(new Map(fields(value)).get(1) ?? new Uint8Array())
    }
  }
  return { reason, domain, metadata, violations, retryDelayMs }
}

/** The length-delimited fields of a message, in order; others are skipped. */
function* fields(bytes: Uint8Array): Generator<readonly [number, Uint8Array]> {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (wireType === 2) yield [number, reader.bytes()]
    else reader.skip(wireType)
  }
}

function durationMs(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes)
  let ms = 0
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (number === 1) ms += Number(reader.int64()) * 1000
    else if (number === 2) ms += reader.int32() / 1e6
    else reader.skip(wireType)
  }
  return ms
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : new TextDecoder().decode(bytes)
}
