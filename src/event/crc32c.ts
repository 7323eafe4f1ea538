/**
 * CRC-32C (Castagnoli), the checksum of record batches and of the embedded log.
 *
 * Sixteen tables, sixteen bytes a step, words read through a DataView. Measured on Node 26 over 4 KB to 1 MB of random
 * bytes: this 2.4 to 2.5 GB/s, the same with single-byte reads 1.75, eight tables 1.4 to 1.75, the WebAssembly build of
 * @platformatic/wasm-utils 1.85 (it copies its input first). So ours; `node:zlib`'s crc32 is another polynomial.
 */

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

/**
 * The CRC-32C of `bytes[start .. end)` as an unsigned 32-bit number. Give the result of an earlier part as `previous`
 * to go on where it ended.
 */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, previous = 0): number {
  const t = tables
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let c = ~previous
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
  return ~c >>> 0
}
