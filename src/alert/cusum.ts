/**
 * CUSUM (Page 1954): small shifts that last, by adding up what standardised residuals have beyond a drift; and since when.
 *
 * Each residual counts up to RESIDUAL_MAX, so that one wild window is no change. A sum stays at the threshold where it
 * goes beyond: after the change is over it falls by the drift a window, however long it lasted.
 */

/** Both sums, and the start of the window with which each left 0 (null at 0): the estimated change point. */
export interface CusumState {
  up: number
  down: number
  upSinceMs: number | null
  downSinceMs: number | null
}

const RESIDUAL_MAX = 4

/** Sums that have seen nothing. */
export function newCusum(): CusumState {
  return { up: 0, down: 0, upSinceMs: null, downSinceMs: null }
}

/** Adds the residual `z` of a window. Returns the sums before they are held at `threshold`. */
export function accumulate(
  state: CusumState,
  startMs: number,
  z: number,
  drift: number,
  threshold: number,
): { readonly up: number; readonly down: number } {
  const held = Math.min(Math.max(z, -RESIDUAL_MAX), RESIDUAL_MAX)
  const up = Math.max(0, state.up + held - drift)
  const down = Math.max(0, state.down - held - drift)
  state.upSinceMs = up === 0 ? null : state.up === 0 ? startMs : state.upSinceMs
  state.downSinceMs = down === 0 ? null : state.down === 0 ? startMs : state.downSinceMs
  state.up = Math.min(up, threshold)
  state.down = Math.min(down, threshold)
  return { up, down }
}
