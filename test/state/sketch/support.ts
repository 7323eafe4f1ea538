/** Sketches for tests: a store of their own each, and merging by way of bytes, as tables do. */
import { CellStore } from '../../../src/state/cell-store.ts'
import { PagePool } from '../../../src/state/page-pool.ts'

/** One sketch. */
export interface Sketch {
  readonly store: CellStore
  ref: number
}

export const empty = (): Sketch => ({ store: new CellStore(new PagePool()), ref: 0 })

/** A copy of the sketch's bytes; none of the empty one. */
export function bytesOf({ store, ref }: Sketch): Uint8Array {
  if (ref === 0) return new Uint8Array(0)
  const { u8, length } = store.load(ref)
  return u8.slice(0, length)
}

/** Merges `from` into `into` with the sketch's own merge function. */
export function mergeWith(into: Sketch, from: Sketch, merge: (store: CellStore, ref: number) => number): Sketch {
  const bytes = bytesOf(from)
  if (bytes.length === 0) return into
  into.store.loaded.set(bytes, 0, bytes.length)
  into.ref = merge(into.store, into.ref)
  return into
}

/** A generator of numbers in [0, 1): the same for a seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
