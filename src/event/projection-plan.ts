/**
 * The tables that drive a projection: from the paths of a schema to opcodes by field number.
 *
 * Owns: merging paths into one tree, giving each value that is read a slot, laying the tree out in flat typed arrays.
 * Does not own: reading bytes (event/projection.ts), resolving names (event/descriptor.ts). Cold: once per job and thread.
 *
 * A schema is plain data that may come from a hostile descriptor, so nothing here becomes code; numbers index arrays.
 */
import { MillraceError } from '../core/errors.ts'
import {
  KIND_SET,
  OP_BOOL,
  OP_BYTES,
  OP_CODE_SHIFT,
  OP_DOUBLE,
  OP_FIXED32,
  OP_FIXED64,
  OP_FLOAT,
  OP_INT32,
  OP_INT64,
  OP_MAP,
  OP_MARK_SHIFT,
  OP_MESSAGE,
  OP_NO_FIELD,
  OP_ONEOF,
  OP_OPERAND_SHIFT,
  OP_SFIXED32,
  OP_SINT32,
  OP_SINT64,
  OP_TIMESTAMP,
  OP_UINT32,
  PROPERTY_BOOL,
  PROPERTY_DOUBLE,
  PROPERTY_INT,
  PROPERTY_TEXT,
} from './projection-ops.ts'
import type { ColumnEncoding, FieldRef, FieldType, PathStep } from './schema.ts'
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from './wire.ts'

/** Field numbers below this are found in a dense table, others by a search. */
const DENSE_FIELDS = 512
const DEPTH_MAX = 32
const MAP_VALUE = 2

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
}

/** The compiled tables. A node is a message level; node 0 is the event. */
export interface ProjectionTables {
  readonly slots: number
  /** By `nodeBase[node] + field number`, for numbers below `nodeLimit[node]`: the packed op. */
  readonly dense: Int32Array
  readonly nodeBase: Int32Array
  readonly nodeLimit: Int32Array
  /** Fields of higher numbers: positions `sparseFrom[node] .. sparseFrom[node + 1]` of the two arrays behind. */
  readonly sparseFrom: Int32Array
  readonly sparseNumber: Int32Array
  readonly sparseOp: Int32Array
  readonly maps: readonly (readonly MapEntryTable[])[]
  readonly oneofs: readonly OneofTable[]
  /** The slot of each path that was asked for. For a timestamp: presence, then seconds, then nanos. */
  readonly slotOf: (path: FieldRef) => number
  /** A slot that nothing ever sets, for columns without a field. */
  readonly absentSlot: number
}

/** What a member of a oneof does when it arrives. */
export interface OneofTable {
  /** Slots of the other members, which it unsets. */
  readonly unset: Uint16Array
  /** Its own packed op; 0 when nobody reads it. */
  readonly op: number
}

/** One wanted entry of a map field. */
export interface MapEntryTable {
  readonly key: Uint8Array
  /** A node whose only field is the entry's value. */
  readonly node: number
  /** Slots of the value: an entry that comes again replaces the old one, it does not merge. */
  readonly slots: Uint16Array
  /** The value is a scalar: an entry that leaves it out has its default, and is there all the same. */
  readonly scalar: boolean
}

interface Message {
  readonly fields: Map<number, Field>
}

interface Field {
  type: FieldType | 'message' | 'map' | 'none'
  /** -1 when it has none of its own. */
  slot: number
  mark: number
  message: Message | null
  entries: Map<string, Message> | null
  unset: Set<number>
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
  const tables = layOut(root, slots)
  return { ...tables, slotOf: (ref) => slotByPath.get(pathKey(ref))!, absentSlot }
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
  return { type: 'none', slot: -1, mark: KIND_SET, message: null, entries: null, unset: new Set() }
}

function claim(field: Field, type: Field['type'], ref: FieldRef): void {
  if (field.type === 'none') field.type = type
  else if (field.type !== type) throw contradiction(ref, `is read as ${type} and as ${field.type}`)
}

function contradiction(ref: FieldRef, what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `field ${ref.path} ${what}: the schema of the job contradicts itself`)
}

function slotsUnder(message: Message, into: number[] = []): number[] {
  for (const field of message.fields.values()) slotsOfField(field, into)
  return into
}

function slotsOfField(field: Field, into: number[]): number[] {
  if (field.slot >= 0 && !into.includes(field.slot)) into.push(field.slot)
  if (field.type === 'timestamp') into.push(field.slot + 1, field.slot + 2)
  if (field.message !== null) slotsUnder(field.message, into)
  if (field.entries !== null) for (const entry of field.entries.values()) slotsUnder(entry, into)
  return into
}

function layOut(root: Message, slots: number): Omit<ProjectionTables, 'slotOf' | 'absentSlot'> {
  const nodes: { base: number; limit: number; sparse: [number, number][] }[] = []
  const dense: number[] = []
  const maps: MapEntryTable[][] = []
  const oneofs: OneofTable[] = []

  const addNode = (message: Message): number => {
    const numbers = [...message.fields.keys()].sort((a, b) => a - b)
    const limit = Math.max(0, ...numbers.filter((n) => n < DENSE_FIELDS)) + 1
    const node = { base: dense.length, limit, sparse: [] as [number, number][] }
    const index = nodes.push(node) - 1
    dense.push(OP_NO_FIELD)
    for (let i = 1; i < limit; i++) dense.push(0)
    for (const number of numbers) {
      const op = opOf(message, message.fields.get(number)!)
      if (number < DENSE_FIELDS) dense[node.base + number] = op
      else node.sparse.push([number, op])
    }
    return index
  }
  const opOf = (message: Message, field: Field): number => {
    const op = plainOp(field)
    if (field.unset.size === 0) return op
    const unset: number[] = []
    for (const number of field.unset) slotsOfField(message.fields.get(number)!, unset)
    // No tag has wire type 8: the check of types finds a oneof too.
    return pack(OP_ONEOF, 8, 0, oneofs.push({ unset: Uint16Array.from(unset), op }) - 1)
  }
  const plainOp = (field: Field): number => {
    switch (field.type) {
      case 'none':
        return 0
      case 'message':
        return pack(OP_MESSAGE, WIRE_BYTES, 0, addNode(field.message!))
      case 'map': {
        const entries = [...field.entries!].map(([key, value]) => ({
          key: new TextEncoder().encode(key),
          node: addNode(value),
          slots: Uint16Array.from(slotsUnder(value)),
          scalar: (value.fields.get(MAP_VALUE)?.type ?? 'none') in scalarOps,
        }))
        return pack(OP_MAP, WIRE_BYTES, 0, maps.push(entries) - 1)
      }
      case 'timestamp':
        return pack(OP_TIMESTAMP, WIRE_BYTES, KIND_SET, field.slot)
      default: {
        const [code, wire] = scalarOps[field.type as keyof typeof scalarOps]
        return pack(code, wire, field.mark, field.slot)
      }
    }
  }
  addNode(root)

  const sparse = nodes.flatMap((n) => n.sparse)
  const sparseFrom = new Int32Array(nodes.length + 1)
  nodes.forEach((n, i) => {
    sparseFrom[i + 1] = sparseFrom[i]! + n.sparse.length
  })
  return {
    slots,
    dense: Int32Array.from(dense),
    nodeBase: Int32Array.from(nodes, (n) => n.base),
    nodeLimit: Int32Array.from(nodes, (n) => n.limit),
    sparseFrom,
    sparseNumber: Int32Array.from(sparse, (s) => s[0]),
    sparseOp: Int32Array.from(sparse, (s) => s[1]),
    maps,
    oneofs,
  }
}

function pack(code: number, wire: number, mark: number, operand: number): number {
  if (operand > 0xffff) throw new MillraceError('DESCRIPTOR_INVALID', 'the job reads too many fields')
  return wire | (code << OP_CODE_SHIFT) | (mark << OP_MARK_SHIFT) | (operand << OP_OPERAND_SHIFT)
}

const scalarOps = {
  bool: [OP_BOOL, WIRE_VARINT],
  enum: [OP_INT32, WIRE_VARINT],
  int32: [OP_INT32, WIRE_VARINT],
  uint32: [OP_UINT32, WIRE_VARINT],
  sint32: [OP_SINT32, WIRE_VARINT],
  int64: [OP_INT64, WIRE_VARINT],
  uint64: [OP_INT64, WIRE_VARINT],
  sint64: [OP_SINT64, WIRE_VARINT],
  fixed32: [OP_FIXED32, WIRE_FIXED32],
  sfixed32: [OP_SFIXED32, WIRE_FIXED32],
  float: [OP_FLOAT, WIRE_FIXED32],
  fixed64: [OP_FIXED64, WIRE_FIXED64],
  sfixed64: [OP_FIXED64, WIRE_FIXED64],
  double: [OP_DOUBLE, WIRE_FIXED64],
  string: [OP_BYTES, WIRE_BYTES],
  bytes: [OP_BYTES, WIRE_BYTES],
} as const
