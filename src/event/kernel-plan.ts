/**
 * Which projections a kernel can be made of, and what it does with each field of the event.
 *
 * Owns: that choice. Does not own: the code (event/kernel-*.ts), what a record means (event/projection.ts, which reads all
 * that a kernel does not).
 */
import type { ProjectionTables } from './projection-layout.ts'
import {
  OP_CODE_MASK,
  OP_CODE_SHIFT,
  OP_DOUBLE,
  OP_FLOAT,
  OP_MESSAGE,
  OP_ONEOF,
  OP_OPERAND_SHIFT,
  OP_PRESENT,
  OP_TIMESTAMP,
  OP_WIRE_MASK,
} from './projection-ops.ts'
import { type ProjectionSchema, planProjection } from './projection-plan.ts'
import {
  columnSource,
  TEXT_BOOL,
  TEXT_BYTES,
  TEXT_CONSTANT,
  TEXT_ENUM,
  TEXT_INT64,
  TEXT_NUMBER,
  TEXT_STRING,
  TEXT_UINT64,
  textSource,
} from './projection-sources.ts'
import type { FieldRef } from './schema.ts'

/** Most fields of a kernel: what bounds its code. */
const FIELDS_MAX = 256
/** Longest key of a property. */
const PROPERTY_KEY_MAX = 64
/** A field of a message. Where nothing is said of it, it is skipped. */
export type KernelField = {
  readonly number: number
  /** Slots of the other members of its oneof, which it unsets. */
  readonly unset: readonly number[]
} & (
  | /** A value that is read by an OP code into a slot. */ {
      readonly kind: 'value'
      readonly wire: number
      readonly code: number
      readonly slot: number
    }
  | /** A message: its fields, and the slot that says that it is there, -1 for none. */ {
      readonly kind: 'message'
      readonly fields: readonly KernelField[]
      readonly presence: number
    }
  | /** A map of properties. */ { readonly kind: 'properties'; readonly wanted: readonly KernelProperty[] }
  | /** A member of a oneof that nobody reads. */ { readonly kind: 'skipped' }
)

/** An entry of a map of properties that is read. */
export interface KernelProperty {
  readonly key: Uint8Array
  readonly slot: number
}

/** What fills a column: a code of event/projection-sources.ts, from a slot. */
export interface KernelColumn {
  readonly source: number
  readonly slot: number
  /** Of a number: the slot which, set, makes an absent one 0; else it is NaN. -1 where it is always 0. */
  readonly presence: number
  /** Texts by number, where they are those of an enum or of a bool. */
  readonly names: Readonly<Record<number, string>> | undefined
}

/** What a kernel does. */
export interface KernelPlan {
  readonly fields: readonly KernelField[]
  readonly timeSlot: number
  readonly timeUnitMs: number
  readonly key: KernelColumn
  readonly columns: readonly KernelColumn[]
}

const keySources = new Set([TEXT_STRING, TEXT_BYTES, TEXT_NUMBER, TEXT_INT64, TEXT_UINT64])

/** The plan of a kernel for `schema`; null where it needs more than a kernel does. */
export function planKernel(schema: ProjectionSchema): KernelPlan | null {
  const tables = planProjection(schema)
  const means = { fields: FIELDS_MAX, enough: true }
  const fields = fieldsOf(tables, 0, means)
  if (!means.enough) return null
  const slots = slotsIn(fields)
  const time = fieldOf(fields, tables.slotOf(schema.time))
  if (time?.kind !== 'value' || time.code === OP_FLOAT || time.code === OP_DOUBLE) return null
  const keySource = textSource(schema.key)
  const key = { source: keySource, slot: tables.slotOf(schema.key), presence: -1, names: undefined }
  if (!keySources.has(keySource) || !slots.has(key.slot)) return null
  const columns: KernelColumn[] = []
  for (const [i, column] of schema.columns.entries()) {
    const source = columnSource(column)
    if (column.field === null || source === TEXT_CONSTANT) return null
    const slot = tables.slotOf(column.field)
    const presence = tables.presenceSlots[i]!
    if (!slots.has(slot) || (presence >= 0 && presence !== tables.absentSlot && !slots.has(presence))) return null
    columns.push({ source, slot, presence, names: namesOf(source, column.field) })
  }
  return { fields, timeSlot: time.slot, timeUnitMs: schema.timeUnitMs, key, columns }
}

function namesOf(source: number, field: FieldRef): Readonly<Record<number, string>> | undefined {
  if (source === TEXT_BOOL) return { 0: 'false', 1: 'true' }
  return source === TEXT_ENUM ? (field.enumNames ?? {}) : undefined
}

/** What is left to be used, and whether a kernel can do all that has been met. */
interface Means {
  fields: number
  enough: boolean
}

function fieldsOf(tables: ProjectionTables, node: number, means: Means): KernelField[] {
  const fields: KernelField[] = []
  const base = tables.nodeBase[node]!
  const add = (number: number, op: number): void => {
    if (op === 0) return
    if (--means.fields < 0) means.enough = false
    if (means.enough) fields.push(fieldFrom(tables, number, op, means))
  }
  for (let number = 1; number < tables.nodeLimit[node]!; number++) add(number, tables.dense[base + number]!)
  for (let i = tables.sparseFrom[node]!; i < tables.sparseFrom[node + 1]!; i++)
    add(tables.sparseNumber[i]!, tables.sparseOp[i]!)
  return fields
}

function fieldFrom(tables: ProjectionTables, number: number, op: number, means: Means): KernelField {
  const code = (op >>> OP_CODE_SHIFT) & OP_CODE_MASK
  const operand = op >>> OP_OPERAND_SHIFT
  const own = { number, unset: [] }
  if (code <= OP_TIMESTAMP) return { ...own, kind: 'value', wire: op & OP_WIRE_MASK, code, slot: operand }
  if (code === OP_MESSAGE) return { ...own, kind: 'message', fields: fieldsOf(tables, operand, means), presence: -1 }
  if (code === OP_PRESENT) {
    const { slot, node } = tables.presents[operand]!
    return { ...own, kind: 'message', fields: fieldsOf(tables, node, means), presence: slot }
  }
  if (code === OP_ONEOF) {
    const oneof = tables.oneofs[operand]!
    const member = oneof.op === 0 ? { ...own, kind: 'skipped' as const } : fieldFrom(tables, number, oneof.op, means)
    return { ...member, unset: [...oneof.unset] }
  }
  const wanted = tables.maps[operand]!.flatMap(({ key, node }) => propertyOf(tables, key, node) ?? [])
  // A map of other values.
  if (wanted.length < tables.maps[operand]!.length) means.enough = false
  return { ...own, kind: 'properties', wanted }
}

/** The property of a map's entry; null where its value is something else. */
function propertyOf(tables: ProjectionTables, key: Uint8Array, node: number): KernelProperty | null {
  const [value, ...others] = fieldsOf(tables, node, { fields: FIELDS_MAX, enough: true })
  if (value?.kind !== 'message' || others.length > 0 || value.presence >= 0 || key.length > PROPERTY_KEY_MAX)
    return null
  // The members of a property have one slot, which nothing else has.
  const slots = value.fields.map((field) => (field.kind === 'value' ? field.slot : -1))
  if (slots.length !== 4 || slots[0]! < 0 || slots.some((slot) => slot !== slots[0])) return null
  return { key, slot: slots[0]! }
}

function slotsIn(fields: readonly KernelField[], into = new Set<number>()): ReadonlySet<number> {
  for (const field of fields) {
    if (field.kind === 'value') into.add(field.slot)
    else if (field.kind === 'properties') for (const { slot } of field.wanted) into.add(slot)
    else if (field.kind === 'message') {
      if (field.presence >= 0) into.add(field.presence)
      slotsIn(field.fields, into)
    }
  }
  return into
}

function fieldOf(fields: readonly KernelField[], slot: number): KernelField | undefined {
  for (const field of fields) {
    if (field.kind === 'value' && field.slot === slot) return field
    const inner = field.kind === 'message' ? fieldOf(field.fields, slot) : undefined
    if (inner !== undefined) return inner
  }
  return undefined
}
