/**
 * Whether a job can go on from its state with another schema: the fields that it reads must still be where they were, and
 * the values of an enum that are in its state by name must still have their names.
 *
 * Owns: which fields those are. Does not own: the rules (event/evolution.ts), when they are asked (the job's manager).
 * Pure.
 */
import type { Violation } from '../core/errors.ts'
import { MillraceError } from '../core/errors.ts'
import type { Descriptors } from '../event/descriptor.ts'
import { readProblems } from '../event/evolution.ts'
import type { FieldRef } from '../event/schema.ts'
import type { JobDefinition } from './definition.ts'
import { EVENT_TYPE_FIELD, EventScope, type ScopedType } from './event-scope.ts'
import type { JobPlan } from './plan.ts'

/** A definition with the descriptors that it was, or is, to be read by. */
export interface SchemaVersion {
  readonly definition: JobDefinition
  readonly descriptors: Descriptors
}

/**
 * Throws SCHEMA_INCOMPATIBLE, with a violation for each field, when `after` cannot read what was written for `before`.
 * `plan` is that of `after`: it knows what the job reads. Types of event are compared by their names; new ones are free.
 */
export function checkSchemaEvolution(before: SchemaVersion, after: SchemaVersion, plan: JobPlan): void {
  const was = new EventScope(before.definition.event, before.descriptors)
  const is = new EventScope(after.definition.event, after.descriptors)
  const columns = plan.schema.columns.map(({ field }) => field.path).filter((path) => path !== EVENT_TYPE_FIELD)
  const violations: Violation[] = []
  for (const type of is.types) {
    const old = is.types.length === 1 && was.types.length === 1 ? was.types[0]! : find(was.types, type.type)
    if (old === undefined) continue
    for (const part of ['time', 'key'] as const) {
      if (old[part] === type[part]) continue
      const message = `was ${old[part]} and is now ${type[part]}: state is by what it was`
      violations.push({ field: `${type.type}: ${part}`, message, line: 0, column: 0 })
    }
    const paths = new Set([type.time, type.key, ...columns].map((path) => inMessage(path, old, before.descriptors)))
    const problems = readProblems(
      { descriptors: before.descriptors, message: old.message },
      { descriptors: after.descriptors, message: type.message },
      [...paths],
    )
    for (const { field, reason, rule } of problems) {
      violations.push({ field: `${type.message}: ${field}`, message: `${reason} (${rule})`, line: 0, column: 0 })
    }
  }
  for (const { field, encoding } of plan.schema.columns) {
    // A condition compares numbers. Groups, different values and top lists are texts.
    if (encoding !== 'text') continue
    const old = was.resolve(field.path)
    const changed = old.ok ? textChanges(old.field, field) : []
    for (const message of changed) violations.push({ field: field.path, message, line: 0, column: 0 })
  }
  if (violations.length === 0) return
  const { field, message } = violations[0]!
  const more = violations.length === 1 ? '' : `, and ${violations.length - 1} more`
  throw new MillraceError(
    'SCHEMA_INCOMPATIBLE',
    `job ${after.definition.name} cannot go on with this schema: ${field} ${message}${more}. ` +
      'Leave what it reads as it was, or give the field a new number, or cancel the job to begin afresh',
    { violations },
  )
}

/**
 * Why the same bytes have other texts now. An enum value that had no name was shown as its number: it may get one, as it is
 * usual to name what is on its way already.
 */
function textChanges(was: FieldRef, is: FieldRef): string[] {
  if (was.type !== is.type && (was.type === 'bool' || is.type === 'bool'))
    return [`was ${was.type} and is now ${is.type}: state is by its text`]
  return Object.entries(was.enumNames ?? {}).flatMap(([number, name]) => {
    const now = is.enumNames?.[Number(number)] ?? name
    return now === name
      ? []
      : [`value ${number} was ${name} and is now ${now}: state is by name (ENUM_VALUE_SAME_NAME)`]
  })
}

function find(types: readonly ScopedType[], name: string): ScopedType | undefined {
  return types.find(({ type }) => type === name)
}

/** The path as it is in the message itself: in an envelope, below the type's own field if that has it. */
function inMessage(path: string, type: ScopedType, descriptors: Descriptors): string {
  const test = type.definition?.when
  if (test?.kind !== 'field') return path
  const inner = `${test.field}.${path}`
  return descriptors.resolve(type.message, inner).ok ? inner : path
}
