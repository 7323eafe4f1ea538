/**
 * How far back one event of a sequential funnel can matter: the earliest start of an attempt that could take it as a step.
 *
 * Owns: that bound, from a walk over the events before, the latest first, which ends as soon as it is known. Does not own:
 * what attempts come to. Nearly always it is a look at a few events, where a funnel looks back two weeks.
 *
 * An attempt takes the first event that it can for each step. So one that takes the event at hand as step k has its step
 * k - 1 at or after the last event before that could have been its step k; with the earliest such step k - 1 the same goes
 * for step k - 2; and so on down to the start. Where there is no event for a step in such a stretch, no attempt takes the
 * event, and nothing changes.
 */

/** The walk for one event that meets one step. Steps are bits. */
export class FunnelReach {
  /** By bit: the earliest time seen so far. */
  readonly #seenMs: Float64Array
  /** The step whose stretch is looked for; 0 when it is the first, and all is known, -1 where nothing takes the event. */
  #step = 0
  /** The earliest time at which that step can be the attempt's. */
  #stepMs = Number.NaN
  /** At the time at hand there is an event that could have been the step, before: the stretch ends here. */
  #ends = false
  #timeMs = Number.NaN

  constructor(steps: number) {
    this.#seenMs = new Float64Array(steps)
  }

  /** Begins with an event that meets the step of bit `step`, above 0. */
  begin(timeMs: number, step: number): void {
    this.#step = step
    this.#stepMs = timeMs
    this.#timeMs = timeMs
    this.#ends = false
    this.#seenMs.fill(Infinity)
  }

  /** Takes the next event, not later than the one before; false when no other one matters. */
  visit(timeMs: number, bits: number): boolean {
    if (timeMs < this.#timeMs) {
      if (this.#ends) this.#settle()
      if (this.#step <= 0) return false
      this.#timeMs = timeMs
    }
    if (timeMs < this.#stepMs && (bits & (1 << this.#step)) !== 0) this.#ends = true
    const seenMs = this.#seenMs
    for (let bit = 0; bit < seenMs.length; bit++) if ((bits & (1 << bit)) !== 0) seenMs[bit] = timeMs
    return true
  }

  /** The earliest start of an attempt that takes the event; Infinity where there is none. */
  end(): number {
    while (this.#step > 0) this.#settle()
    return this.#step < 0 ? Infinity : this.#stepMs
  }

  /** The stretch is known: the step before lies in what was seen, or nowhere. */
  #settle(): void {
    this.#ends = false
    const before = this.#step - 1
    this.#stepMs = this.#seenMs[before]!
    this.#step = this.#stepMs === Infinity ? -1 : before
  }
}
