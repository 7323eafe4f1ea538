/**
 * The plan of a projection: from the paths of a schema to one tree of fields, each value that is read with a slot.
 *
 * Owns: merging paths into the tree, slots. Does not own: the tables made of it (event/projection-layout.ts), reading bytes
 * (event/projection.ts), resolving names (event/descriptor.ts). Cold: once per job and thread.
 *
 * A schema is plain data that may come from a hostile descriptor: numbers index arrays, and nothing of it becomes source text.
 */
import { MillraceError } from '../core/errors.ts'
import { type Field, layOut, MAP_VALUE, type Message, type ProjectionTables } from './projection-layout.ts'
import { KIND_SET, PROPERTY_BOOL, PROPERTY_DOUBLE, PROPERTY_INT, PROPERTY_TEXT } from './projection-ops.ts'
import type { ColumnEncoding, FieldRef, FieldType, PathStep } from './schema.ts'

const DEPTH_MAX = 32

/** What a projection reads: an EventSchema, or one type of event of it. */
export interface ProjectionSchema {
  readonly message: string
  readonly time: FieldRef
  readonly timeUnitMs: number
  readonly key: FieldRef
  readonly columns: readonly ProjectionColumn[]
}

/** A column: the field that fills it; none, which reads as absent; or, a text column, the same text for every row. */
export interface ProjectionColumn {
  readonly field: FieldRef | null
  readonly encoding: ColumnEncoding
  readonly constant?: string
  readonly nullable?: true
}

/** Lays out what `schema` needs. Throws DESCRIPTOR_INVALID when two paths contradict each other. */
export function planProjection(schema: ProjectionSchema): ProjectionTables {
  const root: Message = { fields: new Map() }
  const slotByPath = new Map<string, number>()
  let slots = 0
  const newSlot = () => slots++

  for (const ref of [schema.time, schema.key, ...schema.columns.map((c) => c.field)]) {
    if (ref === null) continue
    const name = pathKey(ref)
    if (slotByPath.has(name)) continue
    slotByPath.set(name, addPath(root, ref, newSlot))
  }
  const absentSlot = newSlot()
  const presenceSlots = Int32Array.from(schema.columns, ({ field, nullable }) => {
    if (nullable !== true) return -1
    if (field === null || field.explicit === true) return absentSlot
    const message = messageOf(root, field)
    if (message === null) return -1
    if (message.presence < 0) message.presence = newSlot()
    return message.presence
  })
  const tables = layOut(root, slots)
  return { ...tables, slotOf: (ref) => slotByPath.get(pathKey(ref))!, absentSlot, presenceSlots }
}

/** The field whose message holds the field that a path leads to; null for one of the event itself. */
function messageOf(root: Message, ref: FieldRef): Field | null {
  let message = root
  let holder: Field | null = null
  for (const step of ref.steps.slice(0, -1)) {
    const field: Field = message.fields.get(step.number)!
    holder = step.kind === 'entry' ? field.entries!.get(step.key)!.fields.get(MAP_VALUE)! : field
    message = holder.message!
  }
  return holder
}

function pathKey(ref: FieldRef): string {
  return JSON.stringify([ref.type, ref.steps.map((s) => (s.kind === 'field' ? s.number : [s.number, s.key]))])
}

function addPath(root: Message, ref: FieldRef, newSlot: () => number): number {
  if (ref.steps.length === 0 || ref.steps.length > DEPTH_MAX) throw contradiction(ref, `has ${ref.steps.length} steps`)
  let message = root
  for (let i = 0; i < ref.steps.length; i++) {
    const step = ref.steps[i]!
    const last = i === ref.steps.length - 1
    if (step.kind === 'entry') {
      const map = fieldOf(message, step, ref)
      claim(map, 'map', ref)
      map.entries ??= new Map()
      let entry = map.entries.get(step.key)
      if (entry === undefined) map.entries.set(step.key, (entry = { fields: new Map() }))
      if (last) return addLeaf(fieldOf(entry, { kind: 'field', number: MAP_VALUE }, ref), ref, newSlot)
      const value = fieldOf(entry, { kind: 'field', number: MAP_VALUE }, ref)
      claim(value, 'message', ref)
      message = value.message ??= { fields: new Map() }
      continue
    }
    const field = fieldOf(message, step, ref)
    if (step.oneof !== undefined) linkOneof(message, step.number, step.oneof)
    if (last) return addLeaf(field, ref, newSlot)
    claim(field, 'message', ref)
    message = field.message ??= { fields: new Map() }
  }
  throw contradiction(ref, 'has no end')
}

/** Every member of a oneof unsets what was read of the others: on the wire, the last member wins. */
function linkOneof(message: Message, number: number, siblings: readonly number[]): void {
  for (const sibling of siblings) {
    if (sibling === number) continue
    let field = message.fields.get(sibling)
    if (field === undefined) message.fields.set(sibling, (field = emptyField()))
    field.unset.add(number)
  }
}

function addLeaf(field: Field, ref: FieldRef, newSlot: () => number): number {
  if (ref.type === 'property') {
    claim(field, 'message', ref)
    field.message ??= { fields: new Map() }
    return addProperty(field.message, ref, newSlot)
  }
  if (ref.type === 'timestamp') {
    claim(field, 'timestamp', ref)
    if (field.slot >= 0) return field.slot
    field.slot = newSlot()
    newSlot()
    newSlot()
    return field.slot
  }
  claim(field, ref.type, ref)
  if (field.slot < 0) field.slot = newSlot()
  return field.slot
}

/** The members of a PropertyValue share one slot, whose kind tells the member: so the last one wins by itself. */
function addProperty(message: Message, ref: FieldRef, newSlot: () => number): number {
  const slot = newSlot()
  setLeaf(message, 1, 'string', slot, PROPERTY_TEXT, ref)
  setLeaf(message, 2, 'double', slot, PROPERTY_DOUBLE, ref)
  setLeaf(message, 3, 'int64', slot, PROPERTY_INT, ref)
  setLeaf(message, 4, 'bool', slot, PROPERTY_BOOL, ref)
  return slot
}

function setLeaf(message: Message, number: number, type: FieldType, slot: number, mark: number, ref: FieldRef): void {
  if (message.fields.has(number)) throw contradiction(ref, 'is read in two ways')
  message.fields.set(number, { ...emptyField(), type, slot, mark })
}

function fieldOf(message: Message, step: PathStep, ref: FieldRef): Field {
  if (!Number.isInteger(step.number) || step.number < 1 || step.number > 0x1fff_ffff) {
    throw contradiction(ref, `has field number ${step.number}`)
  }
  let field = message.fields.get(step.number)
  if (field === undefined) message.fields.set(step.number, (field = emptyField()))
  return field
}

function emptyField(): Field {
  return { type: 'none', slot: -1, mark: KIND_SET, message: null, presence: -1, entries: null, unset: new Set() }
}

function claim(field: Field, type: Field['type'], ref: FieldRef): void {
  if (field.type === 'none') field.type = type
  else if (field.type !== type) throw contradiction(ref, `is read as ${type} and as ${field.type}`)
}

function contradiction(ref: FieldRef, what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `field ${ref.path} ${what}: the schema of the job contradicts itself`)
}
