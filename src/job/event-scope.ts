/**
 * What the names in a job mean: paths of fields in the job's event, be it one message or one of several.
 *
 * Owns: the fields of several types taken together, and where each type has them. Does not own: resolving in one message
 * (event/descriptor.ts), telling types apart (event/event-decoder.ts), whether the section makes sense
 * (job/validate-event.ts).
 *
 * Of several types, a path means the field of each type that has it; in the others it reads as absent. All that have it
 * must agree on its kind. `event_type` is the name of the type. In an envelope, a path is looked up in the type's own
 * field first, then in the envelope.
 */
import { invariant } from '../core/errors.ts'
import type { Descriptors, FieldResolution } from '../event/descriptor.ts'
import type { Column, EventFormat, EventTypeLayout, FieldRef, FieldType, TypeTest } from '../event/schema.ts'
import type { EventDefinition, EventTypeDefinition } from './event-definition.ts'

/** The virtual field that holds the name of an event's type. */
export const EVENT_TYPE_FIELD = 'event_type'

/** Milliseconds of each unit of time. */
export const timeUnitMs = { s: 1000, ms: 1, us: 0.001, ns: 0.000_001 } as const

/** One type of event as it is read. */
export interface ScopedType {
  readonly type: string
  readonly message: string
  /** Paths of its time and key. */
  readonly time: string
  readonly key: string
  readonly definition: EventTypeDefinition | null
}

type Part = FieldRef | null | { readonly constant: string }

/** Names in a job. */
export class EventScope {
  /** The types; one where the job has no `oneOf`. */
  readonly types: readonly ScopedType[]
  readonly #event: EventDefinition
  readonly #descriptors: Descriptors
  readonly #resolved = new Map<string, FieldResolution>()
  /** For each field that was resolved: where each type has it. */
  readonly #parts = new Map<FieldRef, readonly Part[]>()

  constructor(event: EventDefinition, descriptors: Descriptors) {
    this.#event = event
    this.#descriptors = descriptors
    const types = event.types ?? []
    this.types = types.map((definition) => ({
      type: definition.type,
      message: definition.when?.kind === 'field' ? event.message : definition.message,
      time: definition.time || event.time,
      key: definition.key || event.key,
      definition,
    }))
    if (types.length === 0) {
      const { message, time, key } = event
      this.types = [{ type: message, message, time, key, definition: null }]
    }
  }

  /** The field at a path, for expressions, dimensions and aggregates. The same path gives the same object. */
  resolve(path: string | readonly string[]): FieldResolution {
    const segments = typeof path === 'string' ? path.split('.') : path
    const key = JSON.stringify(segments)
    let resolution = this.#resolved.get(key)
    if (resolution === undefined) {
      resolution = this.#event.types === undefined ? this.resolveIn(this.types[0]!, path) : this.#resolveAll(segments)
      this.#resolved.set(key, resolution)
    }
    return resolution
  }

  /** Whether an event can be without a field: one of some types only, one with presence, one inside of a message. */
  mayBeAbsent(field: FieldRef): boolean {
    const parts = this.#parts.get(field) ?? [field]
    return parts.some((part, i) => {
      if (part === null) return true
      if ('constant' in part) return false
      // Without its own field, an event of an envelope would not be of this type.
      const own = this.#ownField(this.types[i]!)
      const inOwn = own !== undefined && own === part.steps[0]?.number
      return part.explicit === true || part.steps.length > (inOwn ? 2 : 1)
    })
  }

  /** The number of an enum value by its full name. */
  enumValue(name: string): number | undefined {
    return this.#descriptors.enumValue(name)
  }

  /** The field of one type. */
  resolveIn(type: ScopedType, path: string | readonly string[]): FieldResolution {
    const test = type.definition?.when
    if (test?.kind !== 'field') return this.#descriptors.resolve(type.message, path)
    const segments = typeof path === 'string' ? path.split('.') : path
    const inner = this.#descriptors.resolve(type.message, [test.field, ...segments])
    if (!inner.ok) {
      const outer = this.#descriptors.resolve(type.message, segments)
      return outer.ok || !this.#innerHas(type, segments[0]!) ? outer : inner
    }
    return { ...inner, field: { ...inner.field, path: segments.join('.') } }
  }

  /** How records are unwrapped and told apart; null where each is one bare message. */
  format(columns: readonly Column[]): EventFormat | null {
    const registry = this.#event.schema?.kind === 'registry'
    if (this.#event.types === undefined && !registry) return null
    const types = this.types.map((type, i): EventTypeLayout => {
      const time = this.resolveIn(type, type.time)
      const key = this.resolveIn(type, type.key)
      invariant(time.ok && key.ok, 'only a valid event has a format')
      return {
        message: type.message,
        when: this.#test(type),
        time: time.field,
        timeUnitMs: timeUnitMs[this.#event.timeUnit],
        key: key.field,
        columns: columns.map(({ field }) => {
          const parts = this.#parts.get(field)
          return parts === undefined ? field : parts[i]!
        }),
      }
    })
    return { framing: registry ? 'registry' : 'none', types, others: this.#event.others ?? 'filter' }
  }

  #test(type: ScopedType): TypeTest {
    const test = type.definition?.when ?? null
    if (test === null) return { kind: 'always' }
    if (test.kind === 'header') return { kind: 'header', name: test.header, equals: test.equals }
    const fields = this.#descriptors.message(this.#event.message)!.fields
    const field = fields.get(test.field)!
    const named = this.types.flatMap(({ definition }) =>
      definition?.when?.kind === 'field' ? [fields.get(definition.when.field)!.number] : [],
    )
    // The other members of the oneof, named or not: the last one on the wire unsets the others.
    return { kind: 'field', number: field.number, group: [...new Set([...named, ...field.oneof])] }
  }

  #resolveAll(segments: readonly string[]): FieldResolution {
    const written = segments.join('.')
    if (written === EVENT_TYPE_FIELD) {
      const field: FieldRef = { path: written, steps: [], type: 'string' }
      const parts = this.types.map(({ type }) => ({ constant: type }))
      this.#parts.set(field, parts)
      return { ok: true, field, explicitPresence: false }
    }
    const parts: Part[] = []
    let first: Extract<FieldResolution, { ok: true }> | undefined
    let firstType = ''
    let missing = ''
    let explicitPresence = true
    for (const type of this.types) {
      const resolved = this.resolveIn(type, segments)
      if (!resolved.ok) {
        if (this.#has(type, segments[0]!)) return { ok: false, problem: `in type ${type.type}: ${resolved.problem}` }
        missing ||= resolved.problem
        parts.push(null)
        continue
      }
      if (first !== undefined && !sameKind(first.field, resolved.field)) {
        const kinds = `${first.field.type} in type ${firstType} and ${resolved.field.type} in type ${type.type}`
        return { ok: false, problem: `"${written}" is ${kinds}: one name cannot mean both` }
      }
      if (first === undefined) firstType = type.type
      first ??= resolved
      explicitPresence &&= resolved.explicitPresence
      parts.push(resolved.field)
    }
    if (first === undefined) return { ok: false, problem: `no type of event has "${written}": ${missing}` }
    // An object of its own, by which its parts are found: two paths may lead to fields with the same numbers.
    const field: FieldRef = { ...first.field, path: written }
    this.#parts.set(field, parts)
    return { ok: true, field, explicitPresence }
  }

  /** Number of the envelope's field that holds a type. */
  #ownField({ message, definition }: ScopedType): number | undefined {
    const test = definition?.when
    return test?.kind === 'field' ? this.#descriptors.message(message)?.fields.get(test.field)?.number : undefined
  }

  #has(type: ScopedType, name: string): boolean {
    return this.#innerHas(type, name) || this.#descriptors.message(type.message)?.fields.has(name) === true
  }

  #innerHas(type: ScopedType, name: string): boolean {
    const test = type.definition?.when
    if (test?.kind !== 'field') return false
    const field = this.#descriptors.message(type.message)?.fields.get(test.field)
    return field !== undefined && this.#descriptors.message(field.typeName)?.fields.has(name) === true
  }
}

const signed: ReadonlySet<FieldType> = new Set(['int32', 'sint32', 'sfixed32', 'int64', 'sint64', 'sfixed64'])
const unsigned: ReadonlySet<FieldType> = new Set(['uint32', 'fixed32', 'uint64', 'fixed64'])
const floating: ReadonlySet<FieldType> = new Set(['float', 'double'])

function sameKind(a: FieldRef, b: FieldRef): boolean {
  if (a.type === b.type) return JSON.stringify(a.enumNames) === JSON.stringify(b.enumNames)
  return [signed, unsigned, floating].some((kind) => kind.has(a.type) && kind.has(b.type))
}
