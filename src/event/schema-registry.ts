/**
 * A schema registry by the HTTP API that Confluent and Redpanda share: schemas by id and by subject, as descriptor sets.
 *
 * Owns: what is asked, following references, bounds, the cache. Does not own: HTTP (event/schema-registry-http.ts),
 * compiling texts (event/descriptor-text.ts), who asks (the coordinator; worker threads never do).
 *
 * A schema of an id never changes, so it is kept; that an id is unknown is kept for a while only. Nothing of an answer is
 * trusted: texts, counts, depths and sizes are bounded.
 */
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { clip } from './descriptor-index.ts'
import { compileTexts, type SchemaText } from './descriptor-text.ts'

/** One GET; a path as `/schemas/ids/7`. Rejects SCHEMA_REGISTRY_UNREACHABLE and SCHEMA_REGISTRY_ERROR. */
export type RegistryGet = (path: string) => Promise<RegistryResponse>

/** What the registry answered: the JSON of its body, whatever the status. */
export interface RegistryResponse {
  readonly status: number
  readonly body: unknown
}

const REFERENCES_MAX = 64
const REFERENCE_DEPTH_MAX = 16
const CHARACTERS_MAX = 2 * 1024 * 1024
const NAME_MAX = 1024
const CACHE_MAX = 500
const SUBJECTS_MAX = 32
const UNKNOWN_MS = 30_000
/** "Schema not found", "Subject not found", "Version not found". */
const unknownCodes: ReadonlySet<unknown> = new Set([40401, 40402, 40403])
/** Bad request, unprocessable: what a registry says of an id, not of itself. A retry gives the same. */
const refusals: ReadonlySet<number> = new Set([400, 422])

interface RawSchema {
  readonly schema: string
  readonly references: readonly Reference[]
}

interface Reference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A text with the version that it is. */
interface ReferredText extends SchemaText {
  readonly from: string
}

/** Schemas of one registry. */
export class SchemaRegistry {
  readonly #get: RegistryGet
  readonly #clock: Clock
  readonly #byId = new Map<number, Promise<Uint8Array>>()
  readonly #unknown = new Map<number, number>()

  constructor(get: RegistryGet, clock: Clock) {
    this.#get = get
    this.#clock = clock
  }

  /**
   * The descriptor set of a schema id; null where the registry has none of it. Rejects DESCRIPTOR_INVALID for a schema
   * that is no Protobuf or cannot be used, SCHEMA_REGISTRY_UNREACHABLE, SCHEMA_REGISTRY_ERROR.
   */
  async byId(id: number): Promise<Uint8Array | null> {
    const nowMs = this.#clock.monotonicMs()
    if ((this.#unknown.get(id) ?? Number.NEGATIVE_INFINITY) > nowMs - UNKNOWN_MS) return null
    let schema = this.#byId.get(id)
    if (schema === undefined) {
      if (this.#byId.size >= CACHE_MAX) this.#byId.delete(this.#byId.keys().next().value!)
      schema = this.#compile([{ path: `/schemas/ids/${id}`, what: `schema ${id}`, name: `schema-${id}.proto` }])
      this.#byId.set(id, schema)
    }
    try {
      return await schema
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      // What is wrong with a schema stays wrong; all else may be better the next time.
      if (error.code !== 'DESCRIPTOR_INVALID') this.#byId.delete(id)
      if (error.code !== 'SCHEMA_NOT_FOUND') throw error
      if (this.#unknown.size >= CACHE_MAX) this.#unknown.clear()
      this.#unknown.set(id, nowMs)
      return null
    }
  }

  /**
   * The latest schemas of subjects as one descriptor set, with all that they refer to. Rejects as `byId` does, and
   * SCHEMA_NOT_FOUND.
   */
  async latest(subjects: readonly string[]): Promise<Uint8Array> {
    if (subjects.length > SUBJECTS_MAX) throw invalid(`a job takes at most ${SUBJECTS_MAX} subjects`)
    return this.#compile(
      subjects.map((subject) => ({
        path: `/subjects/${encodeURIComponent(subject)}/versions/latest`,
        what: `subject "${clip(subject)}"`,
        name: `${subject}.proto`,
      })),
    )
  }

  async #compile(wanted: readonly { path: string; what: string; name: string }[]): Promise<Uint8Array> {
    const texts = new Map<string, ReferredText>()
    const own: SchemaText[] = []
    let characters = 0
    for (const { path, what, name } of wanted) {
      const { schema, references } = readSchema(await this.#ask(path, what), what)
      characters = await this.#follow(references, texts, characters + schema.length, 0)
      own.push({ name, text: schema })
    }
    // What is registered as a subject and imported by another is one file.
    const imported = new Set([...texts.values()].map(({ text }) => text))
    return compileTexts([...texts.values(), ...own.filter(({ text }) => wanted.length === 1 || !imported.has(text))])
  }

  /** Adds the texts of references, depth first: what is imported comes before what imports it. */
  async #follow(
    references: readonly Reference[],
    texts: Map<string, ReferredText>,
    characters: number,
    depth: number,
  ): Promise<number> {
    if (depth > REFERENCE_DEPTH_MAX) throw invalid(`its references go deeper than ${REFERENCE_DEPTH_MAX}`)
    let total = characters
    for (const { name, subject, version } of references) {
      const from = `${subject} ${version}`
      const known = texts.get(name)
      if (known !== undefined && known.from !== from) throw invalid(`it refers to two versions of "${clip(name)}"`)
      if (known !== undefined) continue
      if (texts.size >= REFERENCES_MAX) throw invalid(`it refers to more than ${REFERENCES_MAX} others`)
      // A place in the order is taken before its own references: a circle ends here.
      texts.set(name, { name, text: '', from })
      const what = `version ${version} of subject "${clip(subject)}"`
      const body = await this.#ask(`/subjects/${encodeURIComponent(subject)}/versions/${version}`, what)
      const inner = readSchema(body, what)
      total = await this.#follow(inner.references, texts, total + inner.schema.length, depth + 1)
      if (total > CHARACTERS_MAX) throw invalid(`with its references it has more than ${CHARACTERS_MAX} characters`)
      texts.set(name, { name, text: inner.schema, from })
    }
    return total
  }

  async #ask(path: string, what: string): Promise<object> {
    const { status, body } = await this.#get(path)
    const object = typeof body === 'object' && body !== null ? body : {}
    if (status === 200) return object
    const { error_code: code, message } = object as { readonly error_code?: unknown; readonly message?: unknown }
    // A 404 without its code may come from anything that is no registry: an address that is wrong.
    if ((status === 404 && unknownCodes.has(code)) || (refusals.has(status) && typeof code === 'number')) {
      throw new MillraceError('SCHEMA_NOT_FOUND', `the schema registry has no ${what}`)
    }
    const said = typeof message === 'string' ? `: ${clip(message)}` : ''
    throw new MillraceError('SCHEMA_REGISTRY_ERROR', `the schema registry answered ${status} for ${what}${said}`)
  }
}

function readSchema(body: object, what: string): RawSchema {
  const { schema, schemaType, references } = body as Readonly<Record<string, unknown>>
  // Absent means Avro, the registry's oldest type.
  if (schemaType !== 'PROTOBUF') throw invalid(`${what} is ${clip(String(schemaType ?? 'AVRO'))}, not PROTOBUF`)
  if (typeof schema !== 'string') throw misunderstood(`it gave ${what} without a text`)
  const list = Array.isArray(references) ? references : []
  return { schema, references: list.map((reference) => readReference(reference, what)) }
}

function readReference(value: unknown, what: string): Reference {
  const { name, subject, version } = (value ?? {}) as Readonly<Record<string, unknown>>
  if (
    typeof name !== 'string' ||
    typeof subject !== 'string' ||
    !Number.isSafeInteger(version) ||
    name.length > NAME_MAX ||
    subject.length > NAME_MAX
  ) {
    throw misunderstood(`a reference of ${what} has no name, subject and version`)
  }
  return { name, subject, version: version as number }
}

function invalid(what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `the registered schema cannot be used: ${what}`)
}

function misunderstood(what: string): MillraceError {
  return new MillraceError('SCHEMA_REGISTRY_ERROR', `the schema registry was not understood: ${what}`)
}
