/**
 * Combines the watermarks of several channels into one that never regresses (Flink's StatusWatermarkValve).
 *
 * Owns: per channel the last watermark, whether it is idle, and whether it is aligned (counts towards the minimum).
 *
 * Rules
 * - V1 The output is the minimum over aligned channels, given out only when it rises.
 * - V2 A watermark that does not rise is ignored, but for V3: its channel's next one moves the output.
 * - V3 An idle channel leaves the minimum, which may advance it. A watermark ends idleness (Millrace's senders say
 *   `active` by sending one).
 * - V4 A channel that returns behind the output stays out of the minimum until it has caught up: the output neither
 *   regresses nor stalls on it.
 * - V5 Channels start at MIN and aligned: nothing is given out before every active channel has spoken.
 * - V6 When all channels were idle and one speaks, the output is given out again even if it has not risen: it is what
 *   tells those behind that this input is active.
 * - V7 When all channels are idle, first the largest watermark of all is given out, then idleness: what comes out does
 *   not depend on the order in which channels fell idle.
 */
import { MIN_WATERMARK } from '../core/time.ts'

/**
 * What changed: nothing, the watermark (it rose, or idleness ended), idleness, or both (the watermark first). Read the
 * fields for values.
 */
export type ValveChange = 'none' | 'watermark' | 'idle' | 'watermarkThenIdle'

/** Merges watermarks of channels 0 .. n-1. */
export class WatermarkValve {
  /** Last watermark given out. */
  watermarkMs: number
  /** True while all channels are idle. */
  idle = false
  readonly #watermarks: Float64Array
  readonly #idle: Uint8Array
  readonly #aligned: Uint8Array

  /** `restoredMs` is the last output before a restart: lateness after it is judged as before it. */
  constructor(channels: number, restoredMs: number = MIN_WATERMARK) {
    this.watermarkMs = restoredMs
    this.#watermarks = new Float64Array(channels).fill(MIN_WATERMARK)
    this.#idle = new Uint8Array(channels)
    this.#aligned = new Uint8Array(channels).fill(1)
  }

  /** A channel's watermark arrived. */
  onWatermark(channel: number, watermarkMs: number): ValveChange {
    const wasIdle = this.idle
    this.#idle[channel] = 0
    this.idle = false
    const rose = watermarkMs > this.#watermarks[channel]!
    if (rose) this.#watermarks[channel] = watermarkMs
    // A channel that was out of the minimum comes back only when it no longer holds the output back.
    if (this.#aligned[channel] === 0 && this.#watermarks[channel]! >= this.watermarkMs) this.#aligned[channel] = 1
    return (rose && this.#advance()) || wasIdle ? 'watermark' : 'none'
  }

  /** A channel fell idle. */
  onIdle(channel: number): ValveChange {
    if (this.#idle[channel] === 1) return 'none'
    this.#idle[channel] = 1
    this.#aligned[channel] = 0
    if (this.#idle.every((idle) => idle === 1)) {
      this.idle = true
      const largest = this.#watermarks.reduce((a, b) => Math.max(a, b), MIN_WATERMARK)
      if (largest <= this.watermarkMs) return 'idle'
      this.watermarkMs = largest
      return 'watermarkThenIdle'
    }
    return this.#advance() ? 'watermark' : 'none'
  }

  #advance(): boolean {
    let minimum = Number.POSITIVE_INFINITY
    let any = false
    for (let i = 0; i < this.#aligned.length; i++) {
      if (this.#aligned[i] === 0) continue
      any = true
      if (this.#watermarks[i]! < minimum) minimum = this.#watermarks[i]!
    }
    if (!any || minimum <= this.watermarkMs) return false
    this.watermarkMs = minimum
    return true
  }
}
