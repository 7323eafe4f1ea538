import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  block,
  br,
  brTable,
  type Code,
  F64,
  f64,
  get,
  I32,
  I64,
  i32,
  i64,
  Locals,
  label,
  ret,
  WasmModule,
} from '../../src/event/wasm-code.ts'

declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (
    module: object,
  ) => { readonly exports: Readonly<Record<string, (...args: unknown[]) => unknown>> }
}

function compiled(params: number[], result: number, body: Code): (...args: unknown[]) => unknown {
  const module = new WasmModule(1)
  module.add('f', new Locals(...params), result, body)
  return new WebAssembly.Instance(new WebAssembly.Module(module.bytes())).exports.f!
}

describe('the assembler', () => {
  it('writes constants of any size', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.double(),
        (word, long, real) => {
          expect(compiled([], I32, i32.of(word))()).toBe(word)
          expect(compiled([], I64, i64.of(long))()).toBe(long)
          expect(compiled([], F64, f64.of(real))()).toBe(real)
        },
      ),
    )
    for (const word of [63, 64, -64, -65, 127, 128, 2 ** 31 - 1, -(2 ** 31)])
      expect(compiled([], I32, i32.of(word))()).toBe(word)
  })

  it('finds the depth of what a branch leads to', () => {
    const labels = Array.from({ length: 5 }, (_, i) => label(`${i}`))
    // From within outwards: the end of block i gives i.
    let body: Code = brTable(get(0), labels)
    labels.forEach((to, i) => {
      body = [block(to, body), ret(i32.of(i))]
    })
    const choose = compiled([I32], I32, [body, i32.of(-1)])
    expect([0, 1, 2, 3, 4, 9].map((i) => choose(i))).toEqual([0, 1, 2, 3, 4, 4])
  })

  it('refuses a branch to a block that it is not in', () => {
    const elsewhere = label('elsewhere')
    expect(() => compiled([], I32, [block(elsewhere), br(elsewhere), i32.of(1)])).toThrow('a branch to elsewhere')
  })
})
