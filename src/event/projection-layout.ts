/**
 * The tables that drive a projection: opcodes by field number, in flat typed arrays.
 *
 * Owns: laying a tree of fields out. Does not own: making the tree (event/projection-plan.ts), reading by the tables
 * (event/projection-scan.ts). Cold: once per job and thread.
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
  OP_PRESENT,
  OP_SFIXED32,
  OP_SINT32,
  OP_SINT64,
  OP_TIMESTAMP,
  OP_UINT32,
} from './projection-ops.ts'
import type { FieldRef, FieldType } from './schema.ts'
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from './wire.ts'

/** Field numbers below this are found in a dense table, others by a search. */
const DENSE_FIELDS = 512

/** Number of the value's field in the entry of a map. */
export const MAP_VALUE = 2

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
  readonly presents: readonly PresentTable[]
  /** The slot of each path that was asked for. For a timestamp: presence, then seconds, then nanos. */
  readonly slotOf: (path: FieldRef) => number
  /** A slot that nothing ever sets, for columns without a field. */
  readonly absentSlot: number
  /** By column, the slot that tells whether an absent number is 0 or none: set for 0. -1 where it is always 0. */
  readonly presenceSlots: Int32Array
}

/** A message whose presence is wanted. */
export interface PresentTable {
  /** Set when the message is there. */
  readonly slot: number
  readonly node: number
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
  /** Slot of the presence of a value that is a message, which an entry without one has too; -1 when nobody asks. */
  readonly present: number
}

/** A message level of the tree of what is read. */
export interface Message {
  readonly fields: Map<number, Field>
}

/** A field of the tree. */
export interface Field {
  type: FieldType | 'message' | 'map' | 'none'
  /** -1 when it has none of its own. */
  slot: number
  mark: number
  message: Message | null
  /** Slot of the presence of its message; -1 when nobody asks. */
  presence: number
  entries: Map<string, Message> | null
  unset: Set<number>
}

function slotsUnder(message: Message, into: number[] = []): number[] {
  for (const field of message.fields.values()) slotsOfField(field, into)
  return into
}

function slotsOfField(field: Field, into: number[]): number[] {
  if (field.slot >= 0 && !into.includes(field.slot)) into.push(field.slot)
  if (field.presence >= 0) into.push(field.presence)
  if (field.type === 'timestamp') into.push(field.slot + 1, field.slot + 2)
  if (field.message !== null) slotsUnder(field.message, into)
  if (field.entries !== null) for (const entry of field.entries.values()) slotsUnder(entry, into)
  return into
}

/** Lays a tree out whose values have `slots` slots. Throws DESCRIPTOR_INVALID where it is too large. */
export function layOut(
  root: Message,
  slots: number,
): Omit<ProjectionTables, 'slotOf' | 'absentSlot' | 'presenceSlots'> {
  const nodes: { base: number; limit: number; sparse: [number, number][] }[] = []
  const dense: number[] = []
  const maps: MapEntryTable[][] = []
  const oneofs: OneofTable[] = []
  const presents: PresentTable[] = []

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
      case 'message': {
        const node = addNode(field.message!)
        if (field.presence < 0) return pack(OP_MESSAGE, WIRE_BYTES, 0, node)
        return pack(OP_PRESENT, WIRE_BYTES, 0, presents.push({ slot: field.presence, node }) - 1)
      }
      case 'map': {
        const entries = [...field.entries!].map(([key, value]) => ({
          key: new TextEncoder().encode(key),
          node: addNode(value),
          slots: Uint16Array.from(slotsUnder(value)),
          scalar: (value.fields.get(MAP_VALUE)?.type ?? 'none') in scalarOps,
          present: value.fields.get(MAP_VALUE)?.presence ?? -1,
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
    presents,
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
