/**
 * Whether a newer descriptor set still reads what an older one wrote: the rules of `buf breaking` in its category WIRE,
 * as far as they say something about bytes.
 *
 * Owns: these rules, for whole messages (`wireProblems`) and for the fields that a job reads (`readProblems`). Does not
 * own: where descriptors come from, or what a refusal looks like. Pure.
 *
 * Of WIRE are left out: rules on services and packages, and those that keep reserved ranges reserved. A job is stricter
 * than buf in one point: a field that it reads may not go even where its number is reserved afterwards.
 */
import type { Descriptors } from './descriptor.ts'
import { type EnumInfo, type FieldInfo, fieldByNumber, type MessageInfo } from './descriptor-facts.ts'
import type { FieldRef } from './schema.ts'

/** Names of the rules, as buf has them. */
export const evolutionRules = [
  'FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED',
  'FIELD_SAME_DEFAULT',
  'FIELD_SAME_ONEOF',
  'FIELD_WIRE_COMPATIBLE_CARDINALITY',
  'FIELD_WIRE_COMPATIBLE_TYPE',
  'ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED',
  'MESSAGE_SAME_REQUIRED_FIELDS',
] as const

/** The name of a rule. */
export type EvolutionRule = (typeof evolutionRules)[number]

/** A change that makes old bytes unreadable, or read as something else. */
export interface EvolutionProblem {
  readonly rule: EvolutionRule
  /** Full name of message and field, or of the enum; or the path that a job reads. */
  readonly field: string
  /** What has changed, as a sentence without its subject. */
  readonly reason: string
}

const TYPE_STRING = 9
const TYPE_GROUP = 10
const TYPE_MESSAGE = 11
const TYPE_BYTES = 12
const TYPE_ENUM = 14
const PROBLEMS_MAX = 100

const typeNames = [
  '',
  'double',
  'float',
  'int64',
  'uint64',
  'int32',
  'fixed64',
  'fixed32',
  'bool',
  'string',
  'group',
  'message',
  'bytes',
  'uint32',
  'enum',
  'sfixed32',
  'sfixed64',
  'sint32',
  'sint64',
]

/** By FieldDescriptorProto.Type: types of one group have the same bytes for the same value. */
const wireGroups: readonly number[] = [0, 7, 8, 1, 1, 1, 6, 5, 1, 3, 9, 10, 4, 1, 11, 5, 6, 2, 2]

/** Every problem with message `name` and all that it contains, between two versions; at most 100. */
export function wireProblems(before: Descriptors, after: Descriptors, name: string): readonly EvolutionProblem[] {
  const problems: EvolutionProblem[] = []
  const seen = new Set<string>([name])
  for (const message of seen) {
    if (problems.length >= PROBLEMS_MAX) break
    const was = before.message(message)
    const is = after.message(message)
    if (was === undefined || is === undefined) continue
    for (const field of was.fields.values()) {
      if ((field.type === TYPE_MESSAGE || field.type === TYPE_GROUP) && before.message(field.typeName) !== undefined)
        seen.add(field.typeName)
    }
    compareMessages(before, after, was, is, problems)
  }
  return problems.slice(0, PROBLEMS_MAX)
}

/** Every problem with the fields that a job reads, given by path, of a message that may have been renamed. */
export function readProblems(
  before: { readonly descriptors: Descriptors; readonly message: string },
  after: { readonly descriptors: Descriptors; readonly message: string },
  paths: readonly string[],
): readonly EvolutionProblem[] {
  const problems: EvolutionProblem[] = []
  for (const path of paths) {
    const was = before.descriptors.resolve(before.message, path)
    const is = after.descriptors.resolve(after.message, path)
    // A field that is new says nothing about old bytes.
    if (!was.ok) continue
    if (!is.ok) {
      problems.push({
        rule: 'FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED',
        field: path,
        reason: `can be read no more: ${is.problem}`,
      })
      continue
    }
    const numbers = [numbersOf(was.field), numbersOf(is.field)]
    if (numbers[0] !== numbers[1]) {
      const reason = `had number ${numbers[0]} and now has number ${numbers[1]}: what is written already would be read as absent`
      problems.push({ rule: 'FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED', field: path, reason })
      continue
    }
    const old = fieldsAlong(before.descriptors, before.message, was.field)
    const now = fieldsAlong(after.descriptors, after.message, is.field)
    for (const [i, field] of old.entries()) {
      const last = i === old.length - 1
      const found = fieldProblems(before.descriptors, after.descriptors, field, now[i]!, path)
      // Messages on the way may have other names: their fields are compared here.
      problems.push(
        ...found.filter((p) => last || field.type !== TYPE_MESSAGE || p.rule !== 'FIELD_WIRE_COMPATIBLE_TYPE'),
      )
    }
  }
  return problems.slice(0, PROBLEMS_MAX)
}

function compareMessages(
  before: Descriptors,
  after: Descriptors,
  was: MessageInfo,
  is: MessageInfo,
  problems: EvolutionProblem[],
): void {
  for (const field of was.fields.values()) {
    const now = fieldByNumber(is, field.number)
    if (now !== undefined) problems.push(...fieldProblems(before, after, field, now, `${was.name}.${field.name}`))
    else if (!within(is.reserved, field.number)) {
      problems.push({
        rule: 'FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED',
        field: `${was.name}.${field.name}`,
        reason: `is gone and its number ${field.number} is not reserved`,
      })
    }
    if (field.required && now?.required !== true)
      problems.push({
        rule: 'MESSAGE_SAME_REQUIRED_FIELDS',
        field: `${was.name}.${field.name}`,
        reason: 'was required',
      })
  }
  for (const field of is.fields.values()) {
    if (field.required && fieldByNumber(was, field.number)?.required !== true)
      problems.push({
        rule: 'MESSAGE_SAME_REQUIRED_FIELDS',
        field: `${is.name}.${field.name}`,
        reason: 'is now required',
      })
  }
}

function fieldProblems(
  before: Descriptors,
  after: Descriptors,
  was: FieldInfo,
  is: FieldInfo,
  field: string,
): readonly EvolutionProblem[] {
  const problems: EvolutionProblem[] = []
  const report = (rule: EvolutionRule, reason: string): void => {
    problems.push({ rule, field, reason })
  }
  if (cardinality(was) !== cardinality(is))
    report('FIELD_WIRE_COMPATIBLE_CARDINALITY', `was ${cardinality(was)} and is now ${cardinality(is)}`)
  const type = typeProblem(was, is)
  if (type !== null) report('FIELD_WIRE_COMPATIBLE_TYPE', type)
  else if (was.type === TYPE_ENUM) problems.push(...enumProblems(before, after, was, is, field))
  if (was.oneofName !== is.oneofName) {
    const place = (name: string): string => (name === '' ? 'in no oneof' : `in oneof ${name}`)
    report('FIELD_SAME_ONEOF', `was ${place(was.oneofName)} and is now ${place(is.oneofName)}`)
  }
  if (was.defaultText !== is.defaultText && type === null)
    report('FIELD_SAME_DEFAULT', `had default "${was.defaultText}" and now has "${is.defaultText}"`)
  return problems
}

function typeProblem(was: FieldInfo, is: FieldInfo): string | null {
  const groups = [wireGroups[was.type] ?? 0, wireGroups[is.type] ?? 0]
  const toBytes = was.type === TYPE_STRING && is.type === TYPE_BYTES
  if ((groups[0] !== groups[1] && !toBytes) || was.delimited !== is.delimited)
    return `was ${describe(was)} and is now ${describe(is)}`
  const isMessage = was.type === TYPE_MESSAGE || was.type === TYPE_GROUP
  if (isMessage && was.typeName !== is.typeName) return `was ${was.typeName} and is now ${is.typeName}`
  return null
}

function enumProblems(
  before: Descriptors,
  after: Descriptors,
  was: FieldInfo,
  is: FieldInfo,
  field: string,
): readonly EvolutionProblem[] {
  const old = before.enumeration(was.typeName)
  const now = after.enumeration(is.typeName)
  if (old === undefined || now === undefined) return []
  if (was.typeName !== is.typeName) {
    const sameName = was.typeName.split('.').at(-1) === is.typeName.split('.').at(-1)
    if (sameName && [...old.values].every(([name, number]) => now.values.get(name) === number)) return []
    return [{ rule: 'FIELD_WIRE_COMPATIBLE_TYPE', field, reason: `was ${was.typeName} and is now ${is.typeName}` }]
  }
  return goneValues(old, now).map((number) => ({
    rule: 'ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED' as const,
    field: old.name,
    reason: `value ${old.names[number]} is gone and its number ${number} is not reserved`,
  }))
}

function goneValues(old: EnumInfo, now: EnumInfo): readonly number[] {
  const numbers = new Set(now.values.values())
  return [...new Set(old.values.values())].filter((n) => !numbers.has(n) && !within(now.reserved, n))
}

/** A map is repeated on the wire. */
function cardinality(field: FieldInfo): string {
  if (field.repeated) return 'repeated'
  return field.required ? 'required' : 'single'
}

function describe(field: FieldInfo): string {
  return field.typeName === '' ? (typeNames[field.type] ?? 'of no type') : field.typeName
}

function within(ranges: readonly (readonly [number, number])[], number: number): boolean {
  return ranges.some(([from, to]) => number >= from && number <= to)
}

function numbersOf(field: FieldRef): string {
  return field.steps.map((step) => (step.kind === 'field' ? step.number : `${step.number}["${step.key}"]`)).join('.')
}

/** The fields that a resolved path goes through; of a map entry, its value. */
function fieldsAlong(descriptors: Descriptors, message: string, ref: FieldRef): readonly FieldInfo[] {
  const fields: FieldInfo[] = []
  let at = descriptors.message(message)
  for (const step of ref.steps) {
    let field = at === undefined ? undefined : fieldByNumber(at, step.number)
    if (field === undefined) break
    if (step.kind === 'entry') field = descriptors.message(field.typeName)?.fields.get('value')
    if (field === undefined) break
    fields.push(field)
    at = descriptors.message(field.typeName)
  }
  return fields
}
