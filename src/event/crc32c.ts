/**
 * CRC-32C (Castagnoli), the checksum of record batches and of the embedded log.
 *
 * Long stretches are folded by vector instructions first (event/crc32c-fold), so that a table is read only for what is
 * left of them; short ones go through sixteen tables, sixteen bytes a step, words read through a DataView.
 *
 * Measured on Node 26 over 64 MB that are in no cache, on a shared machine: by tables alone 1.8 to 2.0 GB/s; folded 3.6 at
 * 12 KB, 5.7 at 32 KB, 7.0 from 128 KB on. Of other table loops, single-byte reads took 1.4 times as long, eight tables 1.4
 * to 1.7 times, the WebAssembly build of @platformatic/wasm-utils 1.3 times. `node:zlib`'s crc32 is another polynomial.
 */

import { createFolder, FOLDED_MAX, FOLDED_MIN } from './crc32c-fold.ts'

const POLYNOMIAL = 0x82f63b78

/** Table k (at k * 256) advances a byte's remainder over k more zero bytes. */
const tables = buildTables()

function buildTables(): Int32Array {
  const t = new Int32Array(16 * 256)
  for (let i = 0; i < 256; i++) {
    let c = i
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1
    t[i] = c
  }
  for (let k = 1; k < 16; k++) {
    for (let i = 0; i < 256; i++) {
      const previous = t[(k - 1) * 256 + i]!
      t[k * 256 + i] = (previous >>> 8) ^ t[previous & 255]!
    }
  }
  return t
}

/** Folds long stretches; null where that is not possible. One a thread. */
const folder = createFolder()

/**
 * The CRC-32C of `bytes[start .. end)` as an unsigned 32-bit number. Give the result of an earlier part as `previous`
 * to go on where it ended.
 */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, previous = 0): number {
  let c = ~previous
  let at = start
  if (folder !== null) {
    while (end - at >= FOLDED_MIN) {
      const stop = Math.min(at + FOLDED_MAX, end)
      const left = folder.fold(bytes, at, stop, c)
      c = advance(0, folder.memory, folder.leftAt, folder.leftAt + left)
      at = stop
    }
  }
  return ~advance(c, bytes, at, end) >>> 0
}

/** The register `register` after `bytes[start .. end)`. */
function advance(register: number, bytes: Uint8Array, start: number, end: number): number {
  const t = tables
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let c = register
  let i = start
  const lastBlock = end - 16
  while (i <= lastBlock) {
    const w = c ^ view.getInt32(i, true)
    const x = view.getInt32(i + 4, true)
    const y = view.getInt32(i + 8, true)
    const z = view.getInt32(i + 12, true)
    c =
      t[3840 + (w & 255)]! ^
      t[3584 + ((w >>> 8) & 255)]! ^
      t[3328 + ((w >>> 16) & 255)]! ^
      t[3072 + (w >>> 24)]! ^
      t[2816 + (x & 255)]! ^
      t[2560 + ((x >>> 8) & 255)]! ^
      t[2304 + ((x >>> 16) & 255)]! ^
      t[2048 + (x >>> 24)]! ^
      t[1792 + (y & 255)]! ^
      t[1536 + ((y >>> 8) & 255)]! ^
      t[1280 + ((y >>> 16) & 255)]! ^
      t[1024 + (y >>> 24)]! ^
      t[768 + (z & 255)]! ^
      t[512 + ((z >>> 8) & 255)]! ^
      t[256 + ((z >>> 16) & 255)]! ^
      t[z >>> 24]!
    i += 16
  }
  while (i < end) c = (c >>> 8) ^ t[(c ^ bytes[i++]!) & 255]!
  return c
}
