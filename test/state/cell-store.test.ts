import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CellStore } from '../../src/state/cell-store.ts'
import { PagePool } from '../../src/state/page-pool.ts'

const content = (store: CellStore, ref: number) => {
  store.read(ref)
  return Array.from(store.u8.subarray(store.at, store.at + store.length))
}

const operation = fc.oneof(
  fc.record({ kind: fc.constant('allocate' as const), bytes: fc.integer({ min: 1, max: 300 }) }),
  fc.record({ kind: fc.constant('resize' as const), of: fc.nat(20), bytes: fc.integer({ min: 1, max: 3000 }) }),
  fc.record({ kind: fc.constant('free' as const), of: fc.nat(20) }),
  fc.record({ kind: fc.constant('write' as const), of: fc.nat(20), at: fc.nat(3000), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('restore' as const) }),
)

/** The store that reads the pages of another one's snapshot. */
function restored(store: CellStore, pool: PagePool): CellStore {
  const pages = new Map<string, { units: number; bytes: Uint8Array; location: null }[]>()
  store.visit((name, _number, units, byteLength, page) => {
    const stored = { units, bytes: page.u8.slice(0, byteLength), location: null }
    pages.set(name, [...(pages.get(name) ?? []), stored])
  })
  const next = new CellStore(pool)
  next.restore((name) => pages.get(name) ?? [])
  return next
}

describe('cells', () => {
  it('keep what is written to them, whatever happens to others, and over a snapshot', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let pool = new PagePool()
        let store = new CellStore(pool)
        const model: { ref: number; bytes: number[] }[] = []
        for (const op of operations) {
          const cell = 'of' in op ? model[op.of % Math.max(1, model.length)] : undefined
          if (op.kind === 'allocate')
            model.push({ ref: store.allocate(op.bytes), bytes: new Array(op.bytes).fill(0) as number[] })
          else if (op.kind === 'restore') {
            const next = new PagePool()
            const again = restored(store, next)
            store.release()
            expect(pool.bytesInUse).toBe(0)
            store = again
            pool = next
          } else if (cell === undefined) continue
          else if (op.kind === 'resize') {
            cell.ref = store.resize(cell.ref, op.bytes)
            cell.bytes = Array.from({ length: op.bytes }, (_, i) => cell.bytes[i] ?? 0)
            expect(store.length).toBe(op.bytes)
          } else if (op.kind === 'free') {
            store.free(cell.ref)
            model.splice(model.indexOf(cell), 1)
          } else {
            store.open(cell.ref)
            const at = op.at % store.length
            store.u8[store.at + at] = op.value
            cell.bytes[at] = op.value
          }
          expect(new Set(model.map(({ ref }) => ref)).size).toBe(model.length)
          for (const { ref, bytes } of model) expect(content(store, ref)).toEqual(bytes)
          expect(store.count).toBe(model.length)
        }
        for (const { ref } of model) store.free(ref)
        expect(pool.bytesInUse).toBe(0)
      }),
      { numRuns: 150 },
    )
  })

  it('are told from what was never handed out', () => {
    const store = new CellStore(new PagePool())
    const ref = store.allocate(10)
    expect(store.has(ref)).toBe(true)
    for (const wrong of [0, 1, -5, ref + 1, ref + 32, 1e15, Number.NaN, 0.5]) expect(store.has(wrong)).toBe(false)
    store.free(ref)
    expect(store.has(ref)).toBe(false)
  })
})
