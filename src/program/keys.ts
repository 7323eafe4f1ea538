/**
 * Keys of streams: what they may be, how maps hold them, and how they are hashed.
 *
 * The hash is that of the key's text (core/hash.ts), so it does not depend on how a key is held.
 */
import { MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { keyGroupOf } from '../core/key-groups.ts'

/** What a stream may be keyed by. Texts and numbers differ even where they look alike. */
export type Key = string | number | bigint | boolean | readonly (string | number | bigint | boolean | null)[]

/** Which clock a timer goes by. */
export type TimeDomain = 'event' | 'processing'

/** A key as maps hold it: tuples become texts that no other text is equal to. */
export type MapKey = string | number | bigint | boolean

/** Marks the map key of a tuple; texts that begin with it get another one in front. */
const TUPLE = '\u0000'

/** The form of a key in maps. JOB_CODE_FAILED for what is no key; `operator` is for the message. */
export function mapKeyOf(key: Key, operator: string): MapKey {
  switch (typeof key) {
    case 'string':
      return key.charCodeAt(0) === 0 ? TUPLE + key : key
    case 'number':
      if (!Number.isNaN(key)) return key
      throw noKey('NaN', operator)
    case 'bigint':
    case 'boolean':
      return key
    default:
      if (Array.isArray(key)) return `${TUPLE}[${key.map((part) => partOf(part, operator)).join()}]`
      throw noKey(key === null ? 'null' : typeof key, operator)
  }
}

function partOf(part: unknown, operator: string): string {
  if (part === null || typeof part === 'boolean' || typeof part === 'string') return JSON.stringify(part)
  if (typeof part === 'number' && !Number.isNaN(part)) return `${part === 0 ? 0 : part}`
  if (typeof part === 'bigint') return `${part}n`
  throw noKey(`a tuple with ${typeof part}`, operator)
}

function noKey(what: string, operator: string): MillraceError {
  return new MillraceError(
    'JOB_CODE_FAILED',
    `the key of a record for ${operator} is ${what}: a key is a text, a number, a bigint, a boolean, or a tuple of them`,
  )
}

/** Bytes of a key's text, for its hash; grows. */
let scratch = Buffer.alloc(1024)

/** The key group of a key. */
export function groupOfKey(mapKey: MapKey, keyGroups: number): number {
  const text = typeof mapKey === 'string' ? mapKey : String(mapKey === 0 ? 0 : mapKey)
  const units = text.length
  if (units * 3 > scratch.length) scratch = Buffer.alloc(units * 6)
  for (let i = 0; i < units; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 127) return keyGroupOf(hashBytes(scratch, 0, scratch.write(text, 'utf8')), keyGroups)
    scratch[i] = unit
  }
  return keyGroupOf(hashBytes(scratch, 0, units), keyGroups)
}
