/**
 * The first or the last text by event time.
 *
 * Owns: cells of this kind. Of texts at the same time, the lesser one (by bytes) is first and the greater one is last:
 * an order of its own, since the order in which partitions arrive is nobody's promise. So merging is commutative,
 * associative and idempotent. It does not invert.
 *
 *   u8 version | 0…   f64 time, epoch ms | u8 text[n]
 */
import type { CellStore, LoadedCell } from '../cell-store.ts'
import { badCell } from './bad-cell.ts'

const VERSION = 1
const BODY = 16

/** Takes a text if it is earlier (`last` false) or later (`last` true) than what is there; returns the reference. */
export function textTake(
  store: CellStore,
  ref: number,
  last: boolean,
  timeMs: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  if (ref !== 0) {
    store.read(ref)
    const { u8, f64, at, length } = store
    const known = f64[at / 8 + 1]!
    const order = timeMs !== known ? timeMs - known : compare(bytes, start, end, u8, at + BODY, at + length)
    if (last ? order <= 0 : order >= 0) return ref
  }
  const into = ref === 0 ? store.allocate(BODY + end - start) : store.resize(ref, BODY + end - start)
  const { u8, at } = store
  u8[at] = VERSION
  store.f64[at / 8 + 1] = timeMs
  for (let i = start; i < end; i++) u8[at + BODY + i - start] = bytes[i]!
  return into
}

/** Takes what `store.loaded` holds. Returns the reference from now on. */
export function textMerge(store: CellStore, ref: number, last: boolean): number {
  if (ref === 0) return store.put()
  const { loaded } = store
  store.read(ref)
  const known = store.f64[store.at / 8 + 1]!
  const time = loaded.f64[1]!
  const order =
    time !== known
      ? time - known
      : compare(loaded.u8, BODY, loaded.length, store.u8, store.at + BODY, store.at + store.length)
  if (last ? order <= 0 : order >= 0) return ref
  store.free(ref)
  return store.put()
}

/** The text; null of none. */
export function textOf(store: CellStore, ref: number): Uint8Array | null {
  if (ref === 0) return null
  store.read(ref)
  return store.u8.slice(store.at + BODY, store.at + store.length)
}

/** A copy in `into`. */
export function textSettle(store: CellStore, ref: number, into: CellStore): number {
  const { u8, length } = store.load(ref)
  into.loaded.set(u8, 0, length)
  return into.put()
}

/** Refuses bytes that are no such cell. Throws STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function textCheck({ u8, f64, length }: LoadedCell): void {
  if (length < BODY) badCell('first or last text', `${length} bytes`)
  if (u8[0] !== VERSION) badCell('first or last text', `version ${u8[0]}`, true)
  if (!Number.isFinite(f64[1]!)) badCell('first or last text', `time ${f64[1]}`)
}

function compare(a: Uint8Array, aStart: number, aEnd: number, b: Uint8Array, bStart: number, bEnd: number): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart)
  for (let i = 0; i < length; i++) {
    const order = a[aStart + i]! - b[bStart + i]!
    if (order !== 0) return order
  }
  return aEnd - aStart - (bEnd - bStart)
}
