/**
 * The locals of a kernel's function: where it stands, and the slots of one record.
 *
 * Owns: which locals there are. Does not own: the code over them (event/kernel-code.ts, kernel-fields.ts, kernel-row.ts).
 */
import type { KernelField, KernelPlan } from './kernel-plan.ts'
import { OP_BYTES, OP_FIXED64, OP_INT64, OP_SINT64, OP_TIMESTAMP } from './projection-ops.ts'
import { type Code, F64, f64, I32, I64, i32, i64, type Label, Locals, label, set } from './wasm-code.ts'

/** What a slot of a projection is in a kernel: locals. `present` is 0 where there is no value. */
export type KernelSlot =
  /** A range of bytes; of length 0 where there is none. */
  | { readonly kind: 'bytes'; readonly from: number; readonly length: number }
  /** An integer of 64 bits. */
  | { readonly kind: 'whole'; readonly value: number; readonly present: number }
  /** Any other number. */
  | { readonly kind: 'number'; readonly value: number; readonly present: number }
  | { readonly kind: 'time'; readonly seconds: number; readonly nanos: number; readonly present: number }
  /** A property: `member` as the kinds of event/projection-ops.ts, 0 for none. */
  | {
      readonly kind: 'property'
      readonly member: number
      readonly from: number
      readonly length: number
      readonly value: number
    }
  /** Whether a message is there. */
  | { readonly kind: 'presence'; readonly present: number }

/** The locals of `run`, and the labels that its parts share. */
export class KernelFrame {
  readonly locals = new Locals(I32, I32, I32, I32, I32, I32, I32, I32, F64, F64, I32)
  // The parameters.
  readonly at = 0
  readonly end = 1
  readonly sectionEnd = 2
  readonly left = 3
  readonly row = 4
  readonly key = 5
  readonly minDelta = 6
  readonly maxDelta = 7
  readonly latestMs = 8
  readonly baseOffset = 9
  readonly batch = 10
  /** Begin and end of the record, its offset, and that of the newest row. */
  readonly recordAt = this.locals.add(I32)
  readonly recordEnd = this.locals.add(I32)
  readonly offsetDelta = this.locals.add(I32)
  readonly rowDelta = this.locals.add(I32)
  /** Where the next field is, and where the fields end. */
  readonly p = this.locals.add(I32)
  readonly valueEnd = this.locals.add(I32)
  readonly time = this.locals.add(F64)
  readonly maxTime = this.locals.add(F64)
  readonly nextKey = this.locals.add(I32)
  // Nothing stays in these for longer than a few steps.
  readonly raw = this.locals.add(I32)
  readonly byte = this.locals.add(I32)
  readonly q = this.locals.add(I32)
  readonly word = this.locals.add(I64)
  readonly mark = this.locals.add(I64)
  readonly from = this.locals.add(I32)
  readonly length = this.locals.add(I32)
  /** By slot of the projection. */
  readonly slots: ReadonlyMap<number, KernelSlot>
  /** Leaves the record to others. */
  readonly unusual: Label = label('unusual')
  /** Goes on with the next record. */
  readonly records: Label = label('records')

  constructor(plan: KernelPlan) {
    const slots = new Map<number, KernelSlot>()
    this.#addSlots(plan.fields, slots)
    this.slots = slots
  }

  /** A slot that the plan names. */
  slot(index: number): KernelSlot {
    const slot = this.slots.get(index)
    if (slot === undefined) throw new RangeError(`a kernel without slot ${index}`)
    return slot
  }

  /** Makes slots of the projection empty, all of them unless told which. Those that are parts of others are passed over. */
  clear(indexes: Iterable<number> = this.slots.keys()): Code {
    const empty: Code[] = []
    for (const index of indexes) {
      const slot = this.slots.get(index)
      if (slot === undefined) continue
      if (slot.kind === 'property') empty.push(set(slot.member, i32.of(0)))
      if (slot.kind === 'bytes' || slot.kind === 'property') empty.push(set(slot.length, i32.of(0)))
      else empty.push(set(slot.present, i32.of(0)))
      if (slot.kind === 'whole') empty.push(set(slot.value, i64.of(0n)))
      if (slot.kind === 'number' || slot.kind === 'property') empty.push(set(slot.value, f64.of(0)))
      if (slot.kind === 'time') empty.push(set(slot.seconds, i64.of(0n)), set(slot.nanos, i32.of(0)))
    }
    return empty
  }

  #addSlots(fields: readonly KernelField[], slots: Map<number, KernelSlot>): void {
    for (const field of fields) {
      if (field.kind === 'value') slots.set(field.slot, this.#valueSlot(field.code))
      else if (field.kind === 'properties') for (const { slot } of field.wanted) slots.set(slot, this.#propertySlot())
      else if (field.kind === 'message') {
        if (field.presence >= 0) slots.set(field.presence, { kind: 'presence', present: this.locals.add(I32) })
        this.#addSlots(field.fields, slots)
      }
    }
  }

  #valueSlot(code: number): KernelSlot {
    const { locals } = this
    if (code === OP_BYTES) return { kind: 'bytes', from: locals.add(I32), length: locals.add(I32) }
    const present = locals.add(I32)
    if (code === OP_TIMESTAMP) return { kind: 'time', seconds: locals.add(I64), nanos: locals.add(I32), present }
    const whole = code === OP_INT64 || code === OP_SINT64 || code === OP_FIXED64
    return whole
      ? { kind: 'whole', value: locals.add(I64), present }
      : { kind: 'number', value: locals.add(F64), present }
  }

  #propertySlot(): KernelSlot {
    const { locals } = this
    return {
      kind: 'property',
      member: locals.add(I32),
      from: locals.add(I32),
      length: locals.add(I32),
      value: locals.add(F64),
    }
  }
}
