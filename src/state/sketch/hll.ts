/**
 * HyperLogLog: how many different values, in a few kilobytes.
 *
 * Owns: cells of this kind. A cell holds the set of coupons of its values while they are few (sparse), then registers
 * (dense). A coupon is 26 bits of the value's 64-bit hash and, in 6 bits, the place of the first 1 behind them; it gives
 * the register and its value at any precision p up to 16, so sparse and dense are two forms of one thing, and which one
 * it is depends on the set only. So union is commutative, associative and idempotent, and equal to the sketch of the union.
 *
 *   u8 version | u8 mode | u8 p | 0     u32 coupons      sparse: u32 slots[2^i]   dense: u8 registers[2^p]   settled: f64
 *
 * Standard error: 1.04 / sqrt(2^p) when dense (estimator of Ertl, arXiv 1702.01284, without tables or thresholds); sparse
 * counts of 2^26 places are exact but for collisions, below 0.001 %. It does not invert.
 */
import type { CellStore, LoadedCell } from '../cell-store.ts'
import { badCell } from './bad-cell.ts'

const VERSION = 1
const SPARSE = 0
const DENSE = 1
/** Only the estimate: nothing is added any more. */
const SETTLED = 2
const BODY = 8
const SLOTS_FIRST = 4
const INDEX_BITS = 26
/** Places of the first 1 behind the index: 1 to 38, and 39 for none. */
const RHO_MAX = 64 - INDEX_BITS + 1

/** Adds a value by its hash (two lanes of 32 bits). Returns the reference from now on; 0 is the empty sketch. */
export function hllAdd(store: CellStore, ref: number, p: number, high: number, low: number): number {
  const rest = high & 63
  const rho = rest !== 0 ? Math.clz32(rest) - 25 : low !== 0 ? 7 + Math.clz32(low) : RHO_MAX
  return addCoupon(store, ref, p, (high & ~63) | rho)
}

/** Adds what `store.loaded` holds. Returns the reference from now on. */
export function hllMerge(store: CellStore, ref: number, p: number): number {
  const { loaded } = store
  if (ref === 0) return store.put()
  let into = ref
  if (loaded.u8[1] === SPARSE) {
    // A copy: growing the target loads it.
    const coupons = loaded.u32.slice(BODY / 4, loaded.length / 4)
    for (const coupon of coupons) if (coupon !== 0) into = addCoupon(store, into, p, coupon)
    return into
  }
  store.open(into)
  if (store.u8[store.at + 1] === SPARSE) {
    // Few coupons into many registers: they are added to a copy of the registers.
    const coupons = store.u32.slice((store.at + BODY) / 4, (store.at + store.length) / 4)
    store.free(into)
    into = store.put()
    for (const coupon of coupons) if (coupon !== 0) setRegister(store.u8, store.at + BODY, p, coupon)
    return into
  }
  const { u8, at } = store
  const from = loaded.u8
  const end = BODY + 2 ** p
  for (let i = BODY; i < end; i++) if (from[i]! > u8[at + i]!) u8[at + i] = from[i]!
  return into
}

/** How many different values, a whole number; 0 of the empty sketch. */
export function hllEstimate(store: CellStore, ref: number): number {
  if (ref === 0) return 0
  store.read(ref)
  const { u8, at } = store
  switch (u8[at + 1]) {
    case SPARSE: {
      const places = 2 ** INDEX_BITS
      return Math.round(-places * Math.log1p(-store.u32[at / 4 + 1]! / places))
    }
    case DENSE:
      return Math.round(estimateDense(u8, at + BODY, u8[at + 2]!))
    default:
      return store.f64[(at + BODY) / 8]!
  }
}

/** A copy in `into` for a closed window: the estimate alone. */
export function hllSettle(store: CellStore, ref: number, into: CellStore): number {
  const estimate = hllEstimate(store, ref)
  const settled = into.allocate(2 * BODY)
  into.u8[into.at] = VERSION
  into.u8[into.at + 1] = SETTLED
  into.f64[(into.at + BODY) / 8] = estimate
  return settled
}

/** Refuses bytes that are no sketch of this precision. Throws STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function hllCheck({ u8, u32, length }: LoadedCell, p: number): void {
  if (length < BODY) badCell('distinct sketch', `${length} bytes`)
  if (u8[0] !== VERSION) badCell('distinct sketch', `version ${u8[0]}`, true)
  const mode = u8[1]
  if (mode === SETTLED && length === 2 * BODY) return
  if (u8[2] !== p) badCell('distinct sketch', `precision ${u8[2]}, not ${p}`)
  if (mode === DENSE && length === BODY + 2 ** p) {
    for (let i = BODY; i < length; i++)
      if (u8[i]! > 64 - p + 1) badCell('distinct sketch', `register ${i - BODY} is ${u8[i]}`)
    return
  }
  const slots = (length - BODY) / 4
  if (mode !== SPARSE || slots < SLOTS_FIRST || slots > slotsMax(p) || (slots & (slots - 1)) !== 0)
    badCell('distinct sketch', `mode ${mode} with ${length} bytes`)
  let coupons = 0
  for (let i = 0; i < slots; i++) {
    const coupon = u32[BODY / 4 + i]!
    if (coupon === 0) continue
    if ((coupon & 63) === 0 || (coupon & 63) > RHO_MAX) badCell('distinct sketch', `coupon ${coupon}`)
    coupons++
  }
  if (coupons !== u32[1] || coupons * 4 > slots * 3) badCell('distinct sketch', `${u32[1]} coupons`)
}

/** A sparse sketch is at most half as large as a dense one. */
function slotsMax(p: number): number {
  return 2 ** p / 8
}

function addCoupon(store: CellStore, ref: number, p: number, coupon: number): number {
  let into = ref
  if (into === 0) {
    into = store.allocate(BODY + SLOTS_FIRST * 4)
    store.u8[store.at] = VERSION
    store.u8[store.at + 2] = p
  } else store.read(into)
  if (store.u8[store.at + 1] === DENSE) {
    if (setRegister(store.u8, store.at + BODY, p, coupon)) store.open(into)
    return into
  }
  for (;;) {
    const slots = (store.length - BODY) / 4
    const base = (store.at + BODY) / 4
    const { u32 } = store
    let place = (coupon >>> 6) & (slots - 1)
    let found = u32[base + place]!
    while (found !== 0 && ((found ^ coupon) & ~63) !== 0) {
      place = (place + 1) & (slots - 1)
      found = u32[base + place]!
    }
    if (found !== 0) {
      if ((coupon & 63) > (found & 63)) {
        store.open(into)
        u32[base + place] = coupon
      }
      return into
    }
    const count = u32[store.at / 4 + 1]!
    if ((count + 1) * 4 <= slots * 3) {
      store.open(into)
      u32[base + place] = coupon
      u32[store.at / 4 + 1] = count + 1
      return into
    }
    into = slots < slotsMax(p) ? widen(store, into, slots * 2) : makeDense(store, into, p)
    if (store.u8[store.at + 1] === DENSE) {
      setRegister(store.u8, store.at + BODY, p, coupon)
      return into
    }
  }
}

function widen(store: CellStore, ref: number, slots: number): number {
  const coupons = store.u32.slice((store.at + BODY) / 4, (store.at + store.length) / 4)
  const into = store.resize(ref, BODY + slots * 4)
  const base = (store.at + BODY) / 4
  const { u32 } = store
  u32.fill(0, base, base + slots)
  for (const coupon of coupons) {
    if (coupon === 0) continue
    let place = (coupon >>> 6) & (slots - 1)
    while (u32[base + place] !== 0) place = (place + 1) & (slots - 1)
    u32[base + place] = coupon
  }
  return into
}

function makeDense(store: CellStore, ref: number, p: number): number {
  const coupons = store.u32.slice((store.at + BODY) / 4, (store.at + store.length) / 4)
  store.free(ref)
  const into = store.allocate(BODY + 2 ** p)
  store.u8[store.at] = VERSION
  store.u8[store.at + 1] = DENSE
  store.u8[store.at + 2] = p
  for (const coupon of coupons) if (coupon !== 0) setRegister(store.u8, store.at + BODY, p, coupon)
  return into
}

/** Raises the register of a coupon; true when that changed it. */
function setRegister(u8: Uint8Array, base: number, p: number, coupon: number): boolean {
  const index = coupon >>> 6
  const bits = INDEX_BITS - p
  const below = index & ((1 << bits) - 1)
  const rho = below !== 0 ? Math.clz32(below) - (32 - bits) + 1 : bits + (coupon & 63)
  const at = base + (index >>> bits)
  if (rho <= u8[at]!) return false
  u8[at] = rho
  return true
}

const counts = new Float64Array(66)

function estimateDense(u8: Uint8Array, base: number, p: number): number {
  const m = 2 ** p
  const q = 64 - p
  counts.fill(0)
  for (let i = 0; i < m; i++) counts[u8[base + i]!]!++
  let z = m * tau(1 - counts[q + 1]! / m)
  for (let k = q; k >= 1; k--) z = 0.5 * (z + counts[k]!)
  z += m * sigma(counts[0]! / m)
  return (m * m) / (2 * Math.LN2 * z)
}

function sigma(share: number): number {
  if (share === 1) return Infinity
  let x = share
  let y = 1
  let z = x
  for (;;) {
    x *= x
    const before = z
    z += x * y
    y += y
    if (z === before) return z
  }
}

function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let x = share
  let y = 1
  let z = 1 - x
  for (;;) {
    x = Math.sqrt(x)
    const before = z
    y *= 0.5
    z -= (1 - x) ** 2 * y
    if (z === before) return z / 3
  }
}
