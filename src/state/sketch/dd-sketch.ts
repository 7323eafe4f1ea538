/**
 * DDSketch (Masson, Rim, Lee, VLDB 2019): quantiles with a relative error that is guaranteed.
 *
 * Owns: cells of this kind. A value x counts in the bin ceil(log_g |x|), g = (1 + e) / (1 - e), of its sign; all of a bin
 * are within e of the bin's middle. Bins of both signs and of zero are one row of keys, so that order is the order of
 * values: negative ones descending in size, 0, positive ones. |x| up to 1e-9 is zero.
 *
 * At most `binsMax(e)` keys below the greatest one are told apart (a ratio of 1e43 among values of one sign, sizes up to
 * 5e12 among values of both); lower ones count in the lowest. A value's bin depends on the greatest key only, so merging is commutative and associative,
 * exactly; it inverts: weights may be negative, and subtracting a sketch that was merged gives what was before.
 *
 *   u8 version | u8 width (0: u8, 2: u32, 3: f64 a bin) | 0 | 0   u32 bins   i32 first key   i32 greatest key
 *   f64 error | f64 values in all | bins[n]
 */
import type { CellStore, LoadedCell } from '../cell-store.ts'
import { badCell } from './bad-cell.ts'

const VERSION = 1
const BODY = 32
const ZERO_MAX = 1e-9
const WIDTH_U32 = 2
const WIDTH_F64 = 3
const ROOM_MIN = 4

/** Bins that are told apart at relative error `error`. */
export function binsMax(error: number): number {
  return Math.ceil(50 / error)
}

/** The key of a finite value. */
export function ddKey(error: number, value: number): number {
  const size = Math.abs(value)
  if (size <= ZERO_MAX) return 0
  const logGamma = Math.log((1 + error) / (1 - error))
  const key = Math.ceil(Math.log(size) / logGamma) - Math.ceil(Math.log(ZERO_MAX) / logGamma) + 1
  return value < 0 ? -key : key
}

/** The value that stands for a key: within `error` of each of its values. */
export function ddValue(error: number, key: number): number {
  if (key === 0) return 0
  const gamma = (1 + error) / (1 - error)
  const logGamma = Math.log(gamma)
  const index = Math.abs(key) - 1 + Math.ceil(Math.log(ZERO_MAX) / logGamma)
  const size = Math.min(Number.MAX_VALUE, Math.exp(index * logGamma + Math.log(2 / (gamma + 1))))
  return key < 0 ? -size : size
}

/** Adds a finite value `weight` times; returns the reference from now on. 0 is the empty sketch. */
export function ddAdd(store: CellStore, ref: number, error: number, value: number, weight: number): number {
  return addKey(store, ref, error, ddKey(error, value), weight)
}

/** Adds `sign` (1 or -1) times what `store.loaded` holds. Returns the reference from now on. */
export function ddMerge(store: CellStore, ref: number, error: number, sign: number): number {
  if (ref === 0 && sign > 0) return store.put()
  const { loaded } = store
  // `loaded` changes when the target grows: bins are read out first. A batch of partials has few sketches.
  const keys: number[] = []
  const weights: number[] = []
  const bins = loaded.u32[1]!
  const first = loaded.u32[2]! | 0
  for (let i = 0; i < bins; i++) {
    const count = getBin(loaded.u8, loaded.u32, loaded.f64, 0, loaded.u8[1]!, i)
    if (count === 0) continue
    keys.push(first + i)
    weights.push(count * sign)
  }
  let into = ref
  // The greatest key first: then the target grows once. It may be above the greatest bin that is not empty any more.
  const greatest = loaded.u32[3]! | 0
  into = addKey(store, into, error, greatest, 0)
  for (let i = keys.length - 1; i >= 0; i--) into = addKey(store, into, error, keys[i]!, weights[i]!)
  return into
}

/**
 * The value of quantile `q`, 0 to 1: within the relative error of the one at place floor(q (n - 1)) of the n values in
 * order, counted from 0. NaN of the empty sketch.
 */
export function ddQuantile(store: CellStore, ref: number, q: number): number {
  if (ref === 0) return Number.NaN
  store.read(ref)
  const { u8, u32, f64, at } = store
  const count = f64[at / 8 + 3]!
  if (count <= 0) return Number.NaN
  const rank = Math.floor(q * (count - 1))
  const bins = u32[at / 4 + 1]!
  let below = 0
  for (let i = 0; i < bins; i++) {
    below += getBin(u8, u32, f64, at, u8[at + 1]!, i)
    if (below > rank) return ddValue(f64[at / 8 + 2]!, (u32[at / 4 + 2]! | 0) + i)
  }
  return ddValue(f64[at / 8 + 2]!, u32[at / 4 + 3]! | 0)
}

/** Values in the sketch. */
export function ddCount(store: CellStore, ref: number): number {
  if (ref === 0) return 0
  store.read(ref)
  return store.f64[store.at / 8 + 3]!
}

/** A copy in `into` for a closed window, without room to grow. */
export function ddSettle(store: CellStore, ref: number, into: CellStore): number {
  const { u8, u32, f64, length } = store.load(ref)
  const width = u8[1]!
  let low = 0
  let high = u32[1]! - 1
  while (low < high && getBin(u8, u32, f64, 0, width, low) === 0) low++
  while (high > low && getBin(u8, u32, f64, 0, width, high) === 0) high--
  const bytes = 1 << width
  const settled = into.allocate(BODY + (high - low + 1) * bytes)
  for (let i = 0; i < BODY; i++) into.u8[into.at + i] = u8[i]!
  const from = BODY + low * bytes
  for (let i = from; i < Math.min(length, BODY + (high + 1) * bytes); i++) into.u8[into.at + BODY + i - from] = u8[i]!
  into.u32[into.at / 4 + 1] = high - low + 1
  into.u32[into.at / 4 + 2] = (u32[2]! | 0) + low
  return settled
}

/** Refuses bytes that are no sketch of this error. Throws STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function ddCheck(cell: LoadedCell, error: number): void {
  const { u8, u32, f64, length } = cell
  if (length < BODY) badCell('quantile sketch', `${length} bytes`)
  if (u8[0] !== VERSION) badCell('quantile sketch', `version ${u8[0]}`, true)
  const width = u8[1]!
  const bins = u32[1]!
  const first = u32[2]! | 0
  const greatest = u32[3]! | 0
  if (f64[2] !== error) badCell('quantile sketch', `error ${f64[2]}, not ${error}`)
  if ((width !== 0 && width !== WIDTH_U32 && width !== WIDTH_F64) || length !== BODY + bins * (1 << width))
    badCell('quantile sketch', `${bins} bins in ${length} bytes`)
  const keyMax = ddKey(error, Number.MAX_VALUE)
  if (bins === 0 || bins > binsMax(error) + 1 || Math.abs(first) > 2 * keyMax || Math.abs(greatest) > keyMax)
    badCell('quantile sketch', `${bins} bins from ${first} to ${greatest}`)
  let total = 0
  for (let i = 0; i < bins; i++) {
    const count = getBin(u8, u32, f64, 0, width, i)
    if (!Number.isSafeInteger(count)) badCell('quantile sketch', `bin ${i} holds ${count}`)
    if (count !== 0 && first + i > greatest) badCell('quantile sketch', `bin ${first + i} is above ${greatest}`)
    total += count
  }
  if (total !== f64[3]) badCell('quantile sketch', `${f64[3]} values, ${total} in its bins`)
}

function addKey(store: CellStore, ref: number, error: number, wanted: number, weight: number): number {
  let into = ref
  if (into === 0) {
    into = store.allocate(BODY + ROOM_MIN)
    const { u8, u32, f64, at } = store
    u8[at] = VERSION
    u32[at / 4 + 1] = ROOM_MIN
    u32[at / 4 + 2] = wanted
    u32[at / 4 + 3] = wanted
    f64[at / 8 + 2] = error
  } else store.open(into)
  const { u32, at } = store
  const greatest = u32[at / 4 + 3]! | 0
  const max = Math.max(greatest, wanted)
  const key = Math.max(wanted, max - binsMax(error) + 1)
  const first = u32[at / 4 + 2]! | 0
  const bins = u32[at / 4 + 1]!
  if (key < first || key >= first + bins || max - first >= binsMax(error))
    into = reach(store, into, error, key, max, store.u8[at + 1]!)
  else if (max !== greatest) u32[at / 4 + 3] = max
  if (weight === 0) return into
  into = bump(store, into, error, key, weight)
  store.f64[store.at / 8 + 3]! += weight
  return into
}

/** Adds to a bin that is there. */
function bump(store: CellStore, ref: number, error: number, key: number, weight: number): number {
  let into = ref
  const i = key - (store.u32[store.at / 4 + 2]! | 0)
  const width = store.u8[store.at + 1]!
  const count = getBin(store.u8, store.u32, store.f64, store.at, width, i) + weight
  const needs = widthOf(count)
  if (needs > width) into = reach(store, into, error, key, store.u32[store.at / 4 + 3]! | 0, needs)
  setBin(store, key - (store.u32[store.at / 4 + 2]! | 0), count)
  return into
}

/** Lays the cell out anew so that `key` has a bin, `max` is the greatest key, and bins are at least `wide`. */
function reach(store: CellStore, ref: number, error: number, key: number, max: number, wide: number): number {
  const old = store.load(ref)
  const limit = binsMax(error)
  const lowest = max - limit + 1
  const oldFirst = old.u32[2]! | 0
  const oldBins = old.u32[1]!
  const oldWidth = old.u8[1]!
  let first = oldFirst
  let end = oldFirst + oldBins
  if (key < first) first = key - Math.max(ROOM_MIN, (end - key) >> 2)
  if (key >= end) end = key + 1 + Math.max(ROOM_MIN, (key - first) >> 2)
  if (first < lowest) first = lowest
  if (end > first + limit) end = Math.max(max + 1, first + limit)
  const bins = end - first
  let folded = 0
  for (let i = 0; i < oldBins && oldFirst + i <= lowest; i++) folded += getBin(old.u8, old.u32, old.f64, 0, oldWidth, i)
  const width = Math.max(wide, widthOf(folded))
  const into = store.resize(ref, BODY + bins * (1 << width))
  const { u8, u32, at } = store
  u8.fill(0, at + BODY, at + BODY + bins * (1 << width))
  u8[at + 1] = width
  u32[at / 4 + 1] = bins
  u32[at / 4 + 2] = first
  u32[at / 4 + 3] = max
  // `resize` may have loaded the cell itself: it is the same content.
  for (let i = 0; i < oldBins; i++) {
    const count = getBin(old.u8, old.u32, old.f64, 0, oldWidth, i)
    if (count === 0) continue
    const bin = Math.max(oldFirst + i, lowest) - first
    setBin(store, bin, count + getBin(store.u8, store.u32, store.f64, store.at, width, bin))
  }
  return into
}

/** The least width of bins that holds a count. */
function widthOf(count: number): number {
  return count < 0 || count > 0xffffffff ? WIDTH_F64 : count > 255 ? WIDTH_U32 : 0
}

function getBin(u8: Uint8Array, u32: Uint32Array, f64: Float64Array, at: number, width: number, i: number): number {
  if (width === 0) return u8[at + BODY + i]!
  return width === WIDTH_U32 ? u32[(at + BODY) / 4 + i]! : f64[(at + BODY) / 8 + i]!
}

function setBin(store: CellStore, i: number, count: number): void {
  const { at } = store
  const width = store.u8[at + 1]
  if (width === 0) store.u8[at + BODY + i] = count
  else if (width === WIDTH_U32) store.u32[(at + BODY) / 4 + i] = count
  else store.f64[(at + BODY) / 8 + i] = count
}
