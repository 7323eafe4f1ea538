/**
 * What a setting is, and the readers of its text.
 *
 * Pure: texts in, values or what is wrong with them out. Which settings there are is said by config.ts and its parts.
 */

/** One setting: what it is called, what it means, and how its text is read. */
export interface Setting<T> {
  /** Environment variable. */
  readonly name: string
  /** Text that is read when the variable is not set. */
  readonly fallback: string
  /** Unit, or the shape of the text. */
  readonly unit: string
  /** What it does: one or two sentences. */
  readonly help: string
  /** The value, or what is wrong with the text, as a sentence without its subject. */
  readonly parse: (text: string) => { readonly value: T } | { readonly wrong: string }
  /** True where the text may hold a secret: it is then never repeated, not even when it is wrong. */
  readonly secret?: boolean
}

/** Reads the text of a setting. */
export type Parse<T> = Setting<T>['parse']

/** The values of a table of settings. */
export type ValuesOf<S> = { [K in keyof S]: S[K] extends { parse: Parse<infer T> } ? T : never }

/** Any text. */
export const text: Parse<string> = (value) => ({ value })

/** A text of a certain shape, or none. */
export function matching(pattern: RegExp, shape: string): Parse<string> {
  return (value) => (value === '' || pattern.test(value) ? { value } : { wrong: `is not ${shape}` })
}

/** A whole number. */
export function integer(min: number, max: number): Parse<number> {
  return (value) => {
    const number = Number(value)
    if (!/^-?\d+$/.test(value) || number < min || number > max) {
      return { wrong: `is not a whole number from ${min} to ${max}` }
    }
    return { value: number }
  }
}

/** One of some words. */
export function oneOf<const T extends string>(...values: readonly T[]): Parse<T> {
  return (value) => {
    const found = values.find((candidate) => candidate === value)
    return found === undefined ? { wrong: `is not one of ${values.map(shown).join(', ')}` } : { value: found }
  }
}

function shown(word: string): string {
  return word === '' ? '(empty)' : word
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }

/** A size in bytes. */
export function size(min: number, max: number): Parse<number> {
  return (value) => {
    const match = /^(\d+)(Ki|Mi|Gi)?$/.exec(value)
    const bytes = match === null ? Number.NaN : Number(match[1]) * (sizeUnits[match[2] ?? ''] ?? Number.NaN)
    if (!(bytes >= min && bytes <= max)) return { wrong: `is not a size from ${min} to ${max} bytes, such as 4Mi` }
    return { value: bytes }
  }
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration in milliseconds. */
export function duration(minMs: number, maxMs: number): Parse<number> {
  return (value) => {
    const match = /^(\d+)(ms|s|m|h)$/.exec(value)
    const ms = match === null ? Number.NaN : Number(match[1]) * durationUnits[match[2]!]!
    if (!(ms >= minMs && ms <= maxMs)) return { wrong: `is not a duration from ${minMs} to ${maxMs} ms, such as 30s` }
    return { value: ms }
  }
}

/** True for the names and addresses of this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** True when every host of `host:port,host:port` is loopback. */
export function areLoopback(addresses: string): boolean {
  return addresses.split(',').every((address) => isLoopback(hostOf(address)))
}

/** The host of `host:port` or `[v6]:port`. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}
