/**
 * A small assembler for WebAssembly: functions as trees of instructions, a module of them with one memory that never grows.
 *
 * Owns: encoding, labels, locals. Does not own: what functions do (event/crc32c-fold.ts, event/kernel-*.ts). Cold: once per
 * job and thread.
 *
 * Code is a tree of bytes: an expression is its operands followed by its opcode. Branches name their block by a label, and
 * become depths when the tree is written out.
 */

/** Type of 32 bits. */
export const I32 = 0x7f
/** Type of 64 bits. */
export const I64 = 0x7e
/** Type of doubles. */
export const F64 = 0x7c

/** Instructions, nested at will. */
export type Code = number | readonly Code[] | Structure | Branch

/** What a branch leads to: the end of a block, the begin of a loop. */
export interface Label {
  readonly name: string
}

interface Structure {
  readonly opcode: number
  readonly label: Label | null
  readonly body: Code
  readonly otherwise?: Code
}

interface Branch {
  readonly branch: number
  readonly to: readonly Label[]
}

const EMPTY = 0x40
const ELSE = 0x05
const END = 0x0b

/** A new label. The name is for errors. */
export const label = (name: string): Label => ({ name })
/** Code that a branch to `at` leaves. */
export const block = (at: Label, ...body: Code[]): Code => ({ opcode: 0x02, label: at, body })
/** Code that a branch to `at` begins again; without one it ends. */
export const loop = (at: Label, ...body: Code[]): Code => ({ opcode: 0x03, label: at, body })
/** `then` where the condition is not 0, else `otherwise`. */
export const when = (condition: Code, then: Code, otherwise?: Code): Code => [
  condition,
  otherwise === undefined
    ? { opcode: 0x04, label: null, body: then }
    : { opcode: 0x04, label: null, body: then, otherwise },
]
/** Goes to a label. */
export const br = (to: Label): Code => ({ branch: 0x0c, to: [to] })
/** Goes to a label where the condition is not 0. */
export const brIf = (to: Label, condition: Code): Code => [condition, { branch: 0x0d, to: [to] }]
/** Goes to the label that `index` chooses, or to the last one. */
export const brTable = (index: Code, to: readonly Label[]): Code => [index, { branch: 0x0e, to }]
/** Ends the function with a result. */
export const ret = (value: Code): Code => [value, 0x0f]
/** Calls function `index`. */
export const call = (index: number, ...args: Code[]): Code => [args, 0x10, leb(index)]

/** The value of a local. */
export const get = (local: number): Code => [0x20, leb(local)]
/** Gives a local a value. */
export const set = (local: number, value: Code): Code => [value, 0x21, leb(local)]
/** The same, and the value stays. */
export const tee = (local: number, value: Code): Code => [value, 0x22, leb(local)]
/** Adds a constant to a local of 32 bits. */
export const bump = (local: number, by: number): Code => set(local, i32.add(get(local), i32.of(by)))
/** `a` where the condition is not 0, else `b`. Both are worked out. */
export const choose = (condition: Code, a: Code, b: Code): Code => [a, b, condition, 0x1b]
/** Copies `length` bytes of the memory. */
export const copy = (to: Code, from: Code, length: Code): Code => [to, from, length, 0xfc, 0x0a, 0, 0]

type Unary = (a: Code) => Code
type Binary = (a: Code, b: Code) => Code
type Load = (at: Code, offset?: number) => Code
type Store = (at: Code, value: Code, offset?: number) => Code

const unary =
  (...opcode: number[]): Unary =>
  (a) => [a, opcode]
const binary =
  (opcode: number): Binary =>
  (a, b) => [a, b, opcode]
/** Reads memory at an address plus a constant. Nothing needs to be aligned. */
const load =
  (...opcode: number[]): Load =>
  (at, offset = 0) => [at, opcode[0]!, 0, leb(offset), opcode.slice(1)]
const store =
  (opcode: number): Store =>
  (at, value, offset = 0) => [at, value, opcode, 0, leb(offset)]

/** Of 32 bits: `U` is unsigned, `S` signed. What compares gives 1 or 0. */
export const i32 = {
  of: (value: number): Code => [0x41, sleb(BigInt(value | 0))],
  isZero: unary(0x45),
  equal: binary(0x46),
  differ: binary(0x47),
  lessS: binary(0x48),
  lessU: binary(0x49),
  greaterU: binary(0x4b),
  atLeastU: binary(0x4f),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  divU: binary(0x6e),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrU: binary(0x76),
  rotl: binary(0x77),
  /** The low half of 64 bits. */
  wrap: unary(0xa7),
  load: load(0x28),
  load8: load(0x2d),
  load16: load(0x2f),
  store: store(0x36),
  store8: store(0x3a),
  store16: store(0x3b),
}

/** Of 64 bits, likewise. What compares gives 1 or 0 of 32 bits. */
export const i64 = {
  of: (value: bigint): Code => [0x42, sleb(BigInt.asIntN(64, value))],
  isZero: unary(0x50),
  differ: binary(0x52),
  lessS: binary(0x53),
  greaterU: binary(0x56),
  /** Zeros below the lowest bit that is set. */
  ctz: unary(0x7a),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  divU: binary(0x80),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrU: binary(0x88),
  rotl: binary(0x89),
  extendU: unary(0xad),
  /** A double without its fraction; the nearest there is where it is not of 64 bits, 0 for no number. */
  fromF64: unary(0xfc, 0x06),
  load: load(0x29),
  store: store(0x37),
}

/** Doubles. */
export const f64 = {
  of: (value: number): Code => [0x44, ...new Uint8Array(Float64Array.of(value).buffer)],
  differ: binary(0x62),
  atMost: binary(0x65),
  add: binary(0xa0),
  mul: binary(0xa2),
  max: binary(0xa5),
  fromI32: unary(0xb7),
  fromU32: unary(0xb8),
  fromI64: unary(0xb9),
  load: load(0x2b),
  /** A float of four bytes as a double. */
  loadF32: load(0x2a, 0xbb),
  store: store(0x39),
}

/** Vectors of 16 bytes. */
export const v128 = {
  xor: (a: Code, b: Code): Code => [a, b, 0xfd, 0x51],
  load: (at: Code, offset = 0): Code => [at, 0xfd, 0x00, 0, leb(offset)],
  store: (at: Code, value: Code, offset = 0): Code => [at, value, 0xfd, 0x0b, 0, leb(offset)],
}

/** The locals of a function, its parameters first. */
export class Locals {
  readonly params: readonly number[]
  readonly types: number[] = []

  constructor(...params: number[]) {
    this.params = params
  }

  /** A new local; returns its index. It is 0 at first. */
  add(type: number): number {
    return this.params.length + this.types.push(type) - 1
  }
}

/** A module of functions over one memory, exported as `memory`. */
export class WasmModule {
  readonly #memoryPages: number
  readonly #functions: { type: Code; body: number[]; name: string }[] = []

  constructor(memoryBytes: number) {
    this.#memoryPages = Math.ceil(memoryBytes / 65_536)
  }

  /** Adds a function, exported by its name; returns its index. `result` is null where it has none. */
  add(name: string, locals: Locals, result: number | null, body: Code): number {
    const type = [0x60, vector(locals.params), vector(result === null ? [] : [result])]
    const declared = [leb(locals.types.length), locals.types.map((each) => [1, each])]
    return this.#functions.push({ type, body: write([declared, body, END]), name }) - 1
  }

  bytes(): Uint8Array {
    const pages = leb(this.#memoryPages)
    const functions = this.#functions
    const exported = functions.map(({ name }, i) => [text(name), 0, leb(i)])
    return Uint8Array.from(
      write([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, vector(functions.map(({ type }) => type))),
        section(3, vector(functions.map((_, i) => leb(i)))),
        section(5, [1, 1, pages, pages]),
        section(7, vector([...exported, [text('memory'), 2, 0]])),
        section(10, vector(functions.map(({ body }) => [leb(body.length), body]))),
      ]),
    )
  }
}

function section(id: number, content: Code): Code {
  const bytes = write(content)
  return [id, leb(bytes.length), bytes]
}

function vector(items: readonly Code[]): Code {
  return [leb(items.length), items]
}

function text(value: string): Code {
  return vector([...new TextEncoder().encode(value)])
}

/** The bytes of a tree. */
function write(code: Code, labels: (Label | null)[] = [], into: number[] = []): number[] {
  if (typeof code === 'number') {
    into.push(code)
  } else if ('branch' in code) {
    into.push(code.branch)
    if (code.branch === 0x0e) into.push(...leb(code.to.length - 1))
    for (const to of code.to) into.push(...leb(depthOf(to, labels)))
  } else if ('opcode' in code) {
    into.push(code.opcode, EMPTY)
    labels.push(code.label)
    write(code.body, labels, into)
    if (code.otherwise !== undefined) {
      into.push(ELSE)
      write(code.otherwise, labels, into)
    }
    labels.pop()
    into.push(END)
  } else {
    for (const each of code) write(each, labels, into)
  }
  return into
}

function depthOf(to: Label, labels: readonly (Label | null)[]): number {
  const at = labels.lastIndexOf(to)
  if (at < 0) throw new RangeError(`a branch to ${to.name} from outside of it`)
  return labels.length - 1 - at
}

/** LEB128 of a whole number that is not negative. */
function leb(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return bytes
}

/** Signed LEB128. */
function sleb(value: bigint): number[] {
  const bytes: number[] = []
  let rest = value
  for (;;) {
    const byte = Number(rest & 0x7fn)
    rest >>= 7n
    const last = (rest === 0n && byte < 0x40) || (rest === -1n && byte >= 0x40)
    bytes.push(last ? byte : byte | 0x80)
    if (last) return bytes
  }
}
