/**
 * What the decoders of snappy and lz4 share: copying a match within the output, and how they say that it cannot be done.
 */

/** The input ends early or contradicts itself. */
export const OUT_OF_INPUT = -1

/** The output would be larger than the buffer it is meant for. */
export const OUT_OF_ROOM = -2

/**
 * Copies `length` bytes from `distance` before `to` to `to`, where the ranges may overlap (then the bytes repeat). The
 * caller has checked that both lie in `out`; `view` is over the same bytes. May write up to 3 bytes past the match
 * where `out` has room for them: whatever comes next overwrites these.
 */
export function copyMatch(out: Uint8Array, view: DataView, to: number, distance: number, length: number): void {
  const stop = to + length
  let from = to - distance
  let o = to
  if (distance >= 4 && stop + 4 <= out.length) {
    do {
      view.setInt32(o, view.getInt32(from))
      o += 4
      from += 4
    } while (o < stop)
  } else {
    while (o < stop) out[o++] = out[from++]!
  }
}
