/**
 * The tables that drive a projection: from the paths of a schema to opcodes by field number.
 *
 * Owns: merging paths into one tree, giving each value that is read a slot, laying the tree out in flat typed arrays.
 * Does not own: reading bytes (event/projection.ts), resolving names (event/descriptor.ts). Cold: once per job and thread.
 *
 * A schema is plain data that may come from a hostile descriptor, so nothing here becomes code; numbers index arrays.
 */
import { MillraceError } from '../core/errors.ts'
import type { EventSchema, FieldRef, FieldType, PathStep } from './schema.ts'
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from './wire.ts'

/** What to do with a field whose number has been found. 0 skips. */
export const OP_BOOL = 1
export const OP_INT32 = 2
export const OP_UINT32 = 3
export const OP_SINT32 = 4
export const OP_INT64 = 5
export const OP_SINT64 = 6
export const OP_FLOAT = 7
export const OP_DOUBLE = 8
export const OP_BYTES = 9
export const OP_MESSAGE = 10
export const OP_MAP = 11
/** Field of a oneof whose arrival only unsets its siblings. */
export const OP_UNSET = 12

/** What a slot holds: 0 is nothing; for a property, which member of its oneof. */
export const KIND_SET = 1
export const PROPERTY_TEXT = 1
export const PROPERTY_DOUBLE = 2
export const PROPERTY_INT = 3
export const PROPERTY_BOOL = 4

/** Field numbers below this are found in a dense table, others by a search. */
const DENSE_FIELDS = 512
const DEPTH_MAX = 32
const TIMESTAMP_SECONDS = 1
const TIMESTAMP_NANOS = 2
const MAP_VALUE = 2

/** The compiled tables. `op` arrays are indexed by opcode position (0 unused), `node` arrays by message level (0 is the event). */
export interface ProjectionTables {
  readonly slots: number
  readonly dense: Uint16Array
  readonly nodeBase: Int32Array
  readonly nodeLimit: Int32Array
  /** Sparse fields of a node: positions `sparseFrom[node] .. sparseFrom[node + 1]` of the two arrays behind. */
  readonly sparseFrom: Int32Array
  readonly sparseNumber: Int32Array
  readonly sparseOp: Uint16Array
  readonly opCode: Uint8Array
  readonly opWire: Uint8Array
  readonly opSlot: Int32Array
  readonly opMark: Uint8Array
  /** For OP_MESSAGE the node, for OP_MAP the first of its entries in `entries`. */
  readonly opChild: Int32Array
  readonly opChildEnd: Int32Array
  /** Slots to unset before the op runs. */
  readonly opUnset: readonly (Uint16Array | null)[]
  readonly entries: readonly MapEntryTable[]
  /** The slot of each path, in the order asked for. For a timestamp: presence, then seconds, then nanos. */
  readonly slotOf: (path: FieldRef) => number
}

/** One wanted entry of a map field. */
export interface MapEntryTable {
  readonly key: Uint8Array
  /** A node whose only field is the entry's value. */
  readonly node: number
  /** Slots of the value: an entry that comes again replaces the old one, it does not merge. */
  readonly slots: Uint16Array
}

interface Message {
  readonly fields: Map<number, Field>
}

interface Field {
  type: FieldType | 'message' | 'map' | 'unset'
  /** -1 when it has none of its own. */
  slot: number
  mark: number
  message: Message | null
  entries: Map<string, Message> | null
  unset: Set<number>
}

/** Lays out what `schema` needs. Throws DESCRIPTOR_INVALID when two paths contradict each other. */
export function planProjection(schema: EventSchema): ProjectionTables {
  const root: Message = { fields: new Map() }
  const slotByPath = new Map<string, number>()
  let slots = 0
  const newSlot = () => slots++

  for (const ref of [schema.time, schema.key, ...schema.columns.map((c) => c.field)]) {
    const name = pathKey(ref)
    if (slotByPath.has(name)) continue
    slotByPath.set(name, addPath(root, ref, newSlot))
  }
  const tables = layOut(root, slots)
  return { ...tables, slotOf: (ref) => slotByPath.get(pathKey(ref))! }
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
  if (ref.type === 'timestamp' || ref.type === 'property') {
    claim(field, 'message', ref)
    field.message ??= { fields: new Map() }
    if (ref.type === 'property') return addProperty(field.message, ref, newSlot)
    if (field.slot < 0) {
      field.slot = newSlot()
      const seconds = newSlot()
      const nanos = newSlot()
      setLeaf(field.message, TIMESTAMP_SECONDS, 'int64', seconds, 1, ref)
      setLeaf(field.message, TIMESTAMP_NANOS, 'int32', nanos, 1, ref)
    }
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
  return { type: 'unset', slot: -1, mark: KIND_SET, message: null, entries: null, unset: new Set() }
}

function claim(field: Field, type: Field['type'], ref: FieldRef): void {
  if (field.type === 'unset') field.type = type
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
  if (field.message !== null) slotsUnder(field.message, into)
  if (field.entries !== null) for (const entry of field.entries.values()) slotsUnder(entry, into)
  return into
}

function layOut(root: Message, slots: number): Omit<ProjectionTables, 'slotOf'> {
  const nodes: { base: number; limit: number; sparse: [number, number][] }[] = []
  const dense: number[] = []
  const ops = [{ code: 0, wire: 0, slot: -1, mark: 0, child: 0, childEnd: 0, unset: null as Uint16Array | null }]
  const entries: MapEntryTable[] = []

  const addNode = (message: Message): number => {
    const numbers = [...message.fields.keys()].sort((a, b) => a - b)
    const limit = Math.max(0, ...numbers.filter((n) => n < DENSE_FIELDS)) + 1
    const node = { base: dense.length, limit, sparse: [] as [number, number][] }
    const index = nodes.push(node) - 1
    for (let i = 0; i < limit; i++) dense.push(0)
    for (const number of numbers) {
      const op = addOp(message, message.fields.get(number)!)
      if (number < DENSE_FIELDS) dense[node.base + number] = op
      else node.sparse.push([number, op])
    }
    return index
  }
  const addOp = (message: Message, field: Field): number => {
    const unset: number[] = []
    for (const number of field.unset) slotsOfField(message.fields.get(number)!, unset)
    const [code, wire] = opOf(field.type)
    const op = {
      code,
      wire,
      slot: field.slot,
      mark: field.mark,
      child: 0,
      childEnd: 0,
      unset: unset.length > 0 ? Uint16Array.from(unset) : null,
    }
    const index = ops.push(op) - 1
    if (field.type === 'message') op.child = addNode(field.message!)
    if (field.type === 'map') {
      const own = [...field.entries!].map(([key, value]) => ({
        key: new TextEncoder().encode(key),
        node: addNode(value),
        slots: Uint16Array.from(slotsUnder(value)),
      }))
      op.child = entries.length
      op.childEnd = op.child + own.length
      entries.push(...own)
    }
    return index
  }
  addNode(root)
  if (ops.length > 0xffff) throw new MillraceError('DESCRIPTOR_INVALID', 'the job reads too many fields')

  const sparse = nodes.flatMap((n) => n.sparse)
  const sparseFrom = new Int32Array(nodes.length + 1)
  nodes.forEach((n, i) => {
    sparseFrom[i + 1] = sparseFrom[i]! + n.sparse.length
  })
  return {
    slots,
    dense: Uint16Array.from(dense),
    nodeBase: Int32Array.from(nodes, (n) => n.base),
    nodeLimit: Int32Array.from(nodes, (n) => n.limit),
    sparseFrom,
    sparseNumber: Int32Array.from(sparse, (s) => s[0]),
    sparseOp: Uint16Array.from(sparse, (s) => s[1]),
    opCode: Uint8Array.from(ops, (o) => o.code),
    opWire: Uint8Array.from(ops, (o) => o.wire),
    opSlot: Int32Array.from(ops, (o) => o.slot),
    opMark: Uint8Array.from(ops, (o) => o.mark),
    opChild: Int32Array.from(ops, (o) => o.child),
    opChildEnd: Int32Array.from(ops, (o) => o.childEnd),
    opUnset: ops.map((o) => o.unset),
    entries,
  }
}

function opOf(type: Field['type']): readonly [code: number, wire: number] {
  switch (type) {
    case 'bool':
      return [OP_BOOL, WIRE_VARINT]
    case 'enum':
    case 'int32':
      return [OP_INT32, WIRE_VARINT]
    case 'uint32':
      return [OP_UINT32, WIRE_VARINT]
    case 'sint32':
      return [OP_SINT32, WIRE_VARINT]
    case 'int64':
    case 'uint64':
      return [OP_INT64, WIRE_VARINT]
    case 'sint64':
      return [OP_SINT64, WIRE_VARINT]
    case 'fixed32':
      return [OP_UINT32, WIRE_FIXED32]
    case 'sfixed32':
      return [OP_INT32, WIRE_FIXED32]
    case 'float':
      return [OP_FLOAT, WIRE_FIXED32]
    case 'fixed64':
    case 'sfixed64':
      return [OP_INT64, WIRE_FIXED64]
    case 'double':
      return [OP_DOUBLE, WIRE_FIXED64]
    case 'string':
    case 'bytes':
      return [OP_BYTES, WIRE_BYTES]
    case 'map':
      return [OP_MAP, WIRE_BYTES]
    case 'message':
    case 'timestamp':
    case 'property':
      return [OP_MESSAGE, WIRE_BYTES]
    case 'unset':
      return [OP_UNSET, WIRE_VARINT]
  }
}
