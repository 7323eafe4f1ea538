/**
 * The instructions of a projection, as its compiler (event/projection-plan.ts) writes and its scanner
 * (event/projection-scan.ts) reads them.
 */

/**
 * What to do with a field once its number has been found, packed into 31 bits: wire type in bits 0 to 3 (8 and above for
 * ops that fit none), code in bits 4 to 8, mark (what the slot's kind becomes) in bits 9 to 12, operand (a slot, a node,
 * a map or a oneof) from bit 13. 0 skips the field.
 */
export const OP_WIRE_MASK = 15
/** Where the code begins. */
export const OP_CODE_SHIFT = 4
/** Mask of the code after the shift. */
export const OP_CODE_MASK = 31
/** Where the mark begins. */
export const OP_MARK_SHIFT = 9
/** Mask of the mark after the shift. */
export const OP_MARK_MASK = 15
/** Where the operand begins. */
export const OP_OPERAND_SHIFT = 13

/** Varint to 0 or 1. */
export const OP_BOOL = 1
/** Varint, its low 32 bits signed. */
export const OP_INT32 = 2
/** Varint, its low 32 bits unsigned. */
export const OP_UINT32 = 3
/** Zigzag varint of 32 bits. */
export const OP_SINT32 = 4
/** Varint of 64 bits, kept in two halves. */
export const OP_INT64 = 5
/** Zigzag varint of 64 bits, kept in two halves. */
export const OP_SINT64 = 6
/** Four bytes, signed. */
export const OP_SFIXED32 = 7
/** Four bytes, unsigned. */
export const OP_FIXED32 = 8
/** Four bytes, a float. */
export const OP_FLOAT = 9
/** Eight bytes, kept in two halves. */
export const OP_FIXED64 = 10
/** Eight bytes, a double. */
export const OP_DOUBLE = 11
/** A range of bytes: string or bytes. */
export const OP_BYTES = 12
/** A google.protobuf.Timestamp: presence, seconds and nanos in three slots. */
export const OP_TIMESTAMP = 13
/** A message: the operand is its node. */
export const OP_MESSAGE = 14
/** A map field: the operand is an index into `maps`. */
export const OP_MAP = 15
/** Anything in a oneof: the operand is an index into `oneofs`, which says what to unset and what to do then. */
export const OP_ONEOF = 16
/** A message whose presence is wanted: the operand is an index into `presents`. */
export const OP_PRESENT = 17

/** Where a field number 0 leads, which no message has. Its wire type is none, so the check of types finds it. */
export const OP_NO_FIELD = 8

/** Kind of a slot that holds a value; 0 is nothing. */
export const KIND_SET = 1
/** Kind of a property's slot that holds a text. */
export const PROPERTY_TEXT = 1
/** Kind of a property's slot that holds a double. */
export const PROPERTY_DOUBLE = 2
/** Kind of a property's slot that holds an integer, in two halves. */
export const PROPERTY_INT = 3
/** Kind of a property's slot that holds 0 or 1. */
export const PROPERTY_BOOL = 4
