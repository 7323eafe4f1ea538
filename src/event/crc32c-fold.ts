/**
 * Shortens long stretches of bytes to a few kilobytes of the same CRC-32C, by vector instructions of WebAssembly.
 *
 * Owns: the folding and its memory, one a thread. Does not own: the CRC of what is left (event/crc32c).
 *
 * A CRC is linear: a block of 16 bytes may be taken out if blocks behind it are changed to make up for it. For this
 * polynomial, x^(128 * 209) is the sum of 1, x^(128 * 14), x^(128 * 39), x^(128 * 54) and x^(128 * 144), so adding (xor) a
 * block to those that stand 209, 195, 170, 155 and 65 behind it does. These are the nearest five that exist; that they are
 * right follows from the tests, which compare with another implementation. No table is read, and nothing waits for the
 * block before, as it does in a loop over a table.
 *
 *   memory: 209 blocks of zeros | the piece, folded in place | zeros | what is left
 */
import { brIf, bump, type Code, get, I32, i32, Locals, label, loop, v128, WasmModule } from './wasm-code.ts'

const BLOCK = 16
/** How far behind a block those stand that it is added to, in blocks. */
const DISTANCES = [209, 195, 170, 155, 65]
const REACH = 209
/** Blocks a step of the loop takes; below the smallest distance. */
const STEP = 4
const PIECE_AT = REACH * BLOCK
/** Longest stretch that is folded at once, bytes. */
export const FOLDED_MAX = 128 * 1024
/** Shortest stretch that is worth it, bytes. */
export const FOLDED_MIN = 12 * 1024
/** Bytes that one pass over what is left works on: a multiple of STEP blocks, REACH at least. */
const LEFT_BYTES = Math.ceil(REACH / STEP) * STEP * BLOCK
const LEFT_AT = PIECE_AT + FOLDED_MAX + LEFT_BYTES
/** What of the engine's WebAssembly is used here; the compiler's library for servers does not declare it. */
declare const WebAssembly: {
  validate(code: Uint8Array): boolean
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: FoldingExports }
}

interface FoldingExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly add: (from: number, to: number, end: number) => void
}

/** A folder of bytes, and what is left of the last ones in `memory[leftAt .. leftAt + length)`. */
export interface Folder {
  readonly memory: Uint8Array
  readonly leftAt: number
  /**
   * Takes `bytes[start .. end)`, FOLDED_MIN to FOLDED_MAX of them; returns the length of what is left. Its CRC register,
   * from 0 on, is that of the bytes from `register` on.
   */
  fold(bytes: Uint8Array, start: number, end: number, register: number): number
}

/** Null where the processor has no vectors. */
export function createFolder(): Folder | null {
  const code = assemble()
  if (!WebAssembly.validate(code)) return null
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code))
  const { buffer } = exports.memory
  const { add } = exports
  const memory = new Uint8Array(buffer)
  const words = new Int32Array(buffer)
  return {
    memory,
    leftAt: LEFT_AT,
    fold(bytes, start, end, register) {
      const steps = Math.floor((end - start - REACH * BLOCK) / (STEP * BLOCK))
      const folded = steps * STEP * BLOCK
      memory.set(bytes.subarray(start, start + folded), PIECE_AT)
      memory.fill(0, PIECE_AT + folded, PIECE_AT + folded + LEFT_BYTES)
      memory.set(bytes.subarray(start + folded, end), LEFT_AT)
      words[PIECE_AT / 4]! ^= register
      add(0, PIECE_AT, PIECE_AT + folded)
      add(folded, LEFT_AT, LEFT_AT + LEFT_BYTES)
      return end - start - folded
    },
  }
}

/**
 * The module. Its function `add`(from, to, end) adds to each block from `to` up to `end` those that stand at `from` and the
 * same distances as DISTANCES behind it, four blocks a step.
 */
function assemble(): Uint8Array {
  const [from, to, end] = [0, 1, 2] as const
  const next = label('blocks')
  const sum = (i: number): Code =>
    DISTANCES.reduce<Code>(
      (code, distance) => v128.xor(code, v128.load(get(from), (REACH - distance + i) * BLOCK)),
      v128.load(get(to), i * BLOCK),
    )
  const module = new WasmModule(LEFT_AT + 2 * LEFT_BYTES)
  module.add('add', new Locals(I32, I32, I32), null, [
    loop(
      next,
      Array.from({ length: STEP }, (_, i) => v128.store(get(to), sum(i), i * BLOCK)),
      bump(from, STEP * BLOCK),
      bump(to, STEP * BLOCK),
      brIf(next, i32.lessU(get(to), get(end))),
    ),
  ])
  return module.bytes()
}
