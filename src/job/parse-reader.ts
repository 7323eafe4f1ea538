/**
 * Reads a document field by field and keeps going: every mistake is noted with its path, and a stand-in takes its place.
 *
 * Owns: checks of shape (types, ranges, known keys). Does not own: what the fields are (job/parse.ts), where a path is in
 * the text (job/parse-yaml.ts). Keys are known by being asked for: what is left over at the end is a mistake.
 */
import { parseInstant } from '../core/instant.ts'
import { didYouMean } from '../core/suggest.ts'
import { DURATION_MS_MAX, formatDuration, isTooLong, parseDuration, parseSize } from './duration.ts'

/** Keys and indexes from the root of a document. */
export type DocumentPath = readonly (string | number)[]

/**
 * One mistake. `offset` counts characters into the text at `path`; `key` says that the key is wrong, not its value;
 * `around` that what lies below `path` may be right all the same.
 */
export interface DocumentProblem {
  readonly path: DocumentPath
  readonly message: string
  readonly offset?: number
  readonly key?: boolean
  readonly around?: boolean
}

/** Notes a mistake at a path of the document; `offset` is a place within a text. */
export type Report = (path: DocumentPath, message: string, offset?: number) => void

/** `metrics[2].window.tumbling`. */
export function formatPath(path: DocumentPath): string {
  let out = ''
  for (const step of path) {
    if (typeof step === 'number') out += `[${step}]`
    else if (/^[\w-]+$/.test(step)) out += out === '' ? step : `.${step}`
    else out += `[${JSON.stringify(step)}]`
  }
  return out
}

/** One mapping of a document. */
export class MappingReader {
  readonly path: DocumentPath
  readonly problems: DocumentProblem[]
  readonly #value: Readonly<Record<string, unknown>>
  readonly #known = new Set<string>()

  /** Anything but a mapping is noted as a problem and read as an empty one; so is null, silently, if `nullable`. */
  constructor(value: unknown, path: DocumentPath, problems: DocumentProblem[], nullable = false) {
    this.path = path
    this.problems = problems
    if (isMapping(value)) {
      this.#value = value
    } else {
      this.#value = {}
      if (value !== undefined && !(nullable && value === null)) {
        problems.push({ path, message: `must be a mapping, not ${describe(value)}` })
      }
    }
  }

  /** The keys that are there, known or not. */
  get keys(): readonly string[] {
    return Object.keys(this.#value)
  }

  has(key: string): boolean {
    this.#known.add(key)
    return Object.hasOwn(this.#value, key) && this.#value[key] !== undefined
  }

  /** The value of `key` as it is; undefined when absent. */
  raw(key: string): unknown {
    return this.has(key) ? this.#value[key] : undefined
  }

  problem(
    key: string | number | null,
    message: string,
    extra: { offset?: number; key?: boolean; around?: boolean } = {},
  ): void {
    this.problems.push({ path: key === null ? this.path : [...this.path, key], message, ...extra })
  }

  /** A text; '' stands in for one that is missing and required (`fallback` undefined). */
  text(key: string, fallback?: string): string {
    const value = this.raw(key)
    if (typeof value === 'string') {
      if (value !== '' || fallback !== undefined) return value === '' ? fallback! : value
      this.problem(key, 'must not be empty')
      return ''
    }
    if (value === undefined) {
      if (fallback === undefined) this.problem(key, 'is missing')
      return fallback ?? ''
    }
    this.problem(key, `must be a text, not ${describe(value)}${typeof value === 'number' ? '; put it in quotes' : ''}`)
    return fallback ?? ''
  }

  /** One of `choices`. */
  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.raw(key)
    if (value === undefined || value === '') return fallback
    if (choices.includes(value as T)) return value as T
    this.problem(
      key,
      `must be ${orList(choices)}${typeof value === 'string' ? didYouMean(value, choices) : `, not ${describe(value)}`}`,
    )
    return fallback
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key)
    if (value === undefined) return fallback
    if (typeof value === 'boolean') return value
    this.problem(key, `must be true or false, not ${describe(value)}`)
    return fallback
  }

  /** A number from `min` to `max`; whole unless `fraction`. 64-bit integers arrive as texts in ProtoJSON. */
  number(key: string, fallback: number, min: number, max: number, fraction = false): number {
    let value = this.raw(key)
    if (value === undefined) return fallback
    if (typeof value === 'string' && /^-?\d+$/.test(value)) value = Number(value)
    const kind = fraction ? 'a number' : 'a whole number'
    if (typeof value !== 'number' || (!fraction && !Number.isInteger(value))) {
      this.problem(key, `must be ${kind}, not ${describe(value)}`)
    } else if (!(value >= min && value <= max)) {
      this.problem(key, `must be ${kind} from ${min} to ${max}, not ${value}`)
    } else {
      return value
    }
    return fallback
  }

  /** A duration in ms of at least `min`; undefined as `fallback` makes it required, and 0 stands in. */
  duration(key: string, fallback: number | undefined, min = 0): number {
    const value = this.raw(key)
    if (value === undefined || value === '') {
      if (fallback === undefined) this.problem(key, 'is missing')
      return fallback ?? 0
    }
    const ms = value === 0 ? 0 : typeof value === 'string' ? parseDuration(value) : Number.NaN
    if (typeof value === 'string' && isTooLong(value)) {
      this.problem(key, `must be at most ${formatDuration(DURATION_MS_MAX)}, not ${describe(value)}`)
    } else if (Number.isNaN(ms)) {
      const unit = typeof value === 'number' ? '; a number needs a unit' : ''
      this.problem(key, `must be a duration such as 500ms, 5s, 1m, 1h, 1d or 1w, not ${describe(value)}${unit}`)
    } else if (ms < min) {
      this.problem(key, min === 1 ? 'must be longer than zero' : `must not be negative`)
    } else {
      return ms
    }
    return fallback ?? 0
  }

  size(key: string, fallback: number, min: number): number {
    const value = this.raw(key)
    if (value === undefined || value === '') return fallback
    const bytes = typeof value === 'number' || typeof value === 'string' ? parseSize(String(value)) : Number.NaN
    if (Number.isNaN(bytes)) this.problem(key, `must be a size such as 64Mi or 1Gi, not ${describe(value)}`)
    else if (bytes < min) this.problem(key, `must be at least ${min} bytes`)
    else return bytes
    return fallback
  }

  /** An RFC 3339 time as epoch ms. */
  instant(key: string, fallback: number): number {
    const value = this.raw(key)
    if (value === undefined || value === '') return fallback
    const ms = typeof value === 'string' ? parseInstant(value) : Number.NaN
    if (!Number.isNaN(ms)) return ms
    this.problem(key, `must be a time such as 2024-03-01T00:00:00Z, not ${describe(value)}`)
    return fallback
  }

  /** The mapping at `key`; an empty one when absent. */
  mapping(key: string, nullable = false): MappingReader {
    return new MappingReader(this.raw(key), [...this.path, key], this.problems, nullable)
  }

  /** The items at `key`; none when absent. */
  list(key: string): readonly unknown[] {
    const value = this.raw(key)
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value
    this.problem(key, `must be a list, not ${describe(value)}`)
    return []
  }

  /** The texts at `key`; none when absent. */
  texts(key: string): readonly string[] {
    const items = this.list(key)
    items.forEach((item, i) => {
      if (typeof item === 'string' && item !== '') return
      this.problems.push({ path: [...this.path, key, i], message: `must be a text, not ${describe(item)}` })
    })
    return items.filter((item): item is string => typeof item === 'string' && item !== '')
  }

  /** The items at `key` as mappings. */
  mappings(key: string): readonly MappingReader[] {
    return this.list(key).map((item, i) => new MappingReader(item ?? null, [...this.path, key, i], this.problems))
  }

  /** The only one of `keys` that is there; notes a problem and gives undefined for none or several. */
  only<T extends string>(keys: readonly T[], what: string): T | undefined {
    const present = keys.filter((k) => this.has(k))
    if (present.length === 1) return present[0]
    if (present.length === 0) this.problem(null, `needs a ${what}: ${orList(keys)}`, { around: true })
    else this.problem(null, `has ${present.join(' and ')}: only one ${what} is possible`, { around: true })
    return undefined
  }

  /** Notes every key that nothing has asked for. Call it last. */
  finish(): void {
    for (const key of this.keys) {
      if (this.#known.has(key)) continue
      const hint = didYouMean(key, this.#known) || `; known here: ${[...this.#known].sort().join(', ')}`
      this.problem(key, `unknown key${hint}`, { key: true })
    }
  }
}

/** What a value is, in words for people. */
export function describe(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function orList(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}
