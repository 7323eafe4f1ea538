/**
 * Records of sinks as JSON, where a job says nothing else: what JSON has no form for is written as Protobuf's JSON does it
 * (bigints as texts, bytes in base64), maps as objects, sets as arrays. What cannot be written is refused; NaN and the
 * infinities are null, as always in JSON.
 */
import { MillraceError } from '../core/errors.ts'

const encoder = new TextEncoder()

/** The bytes of a value. JOB_CODE_FAILED for what JSON would leave out: functions, symbols, promises. */
export function jsonBytes(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value, plainOf) ?? 'null')
}

/** Called by JSON.stringify for each value, on the object that holds it. */
function plainOf(this: unknown, name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'function' || typeof value === 'symbol') throw refused(`a ${typeof value}`, name)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  if (value instanceof Promise) throw refused('a promise: code of a job is not async', name)
  // A Buffer has been made something else already: what it was is still in its holder.
  const before = (this as Readonly<Record<string, unknown>>)[name]
  return before instanceof Uint8Array ? Buffer.from(before).toString('base64') : value
}

function refused(what: string, name: string): MillraceError {
  const where = name === '' ? 'a record' : `'${name}' of a record`
  return new MillraceError('JOB_CODE_FAILED', `${where} for a sink is ${what}; give the sink an encode of its own`)
}
