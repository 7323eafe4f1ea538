/**
 * Events at one instant against the steps that come next: how many steps, in a row, have an event of their own.
 *
 * Owns: the matching. Either order of events at one instant counts, and an event is one step at most; so it is a matching
 * of steps and events (Kuhn's algorithm), not a walk. Nearly always there is one event, and callers do not come here.
 *
 * Of all ways to match as many steps, the first is taken: the earliest step gets the first row that leaves the others
 * theirs. So which event is which step does not depend on the order of arrival.
 */
import type { Timeline } from './timeline.ts'

/** Matches steps with the events of one instant. */
export class TieMatcher {
  /** How many more copies of each row of the tie may be taken. */
  #room = new Float64Array(16)
  /** Steps that each row has, as bits. */
  #taken = new Uint32Array(16)
  #visited = new Uint32Array(16)
  #visit = 0
  #timeline: Timeline | null = null
  #start = 0
  #end = 0

  /**
   * The depth that is reached from `depth` by the events of rows [start, end), all of one time, without one copy of row
   * `used` (-1 for none): steps are bits 0 .. `steps` - 1, and `depth` is the bit of the next one. `rowOf[d]` gets the
   * row of each step that is reached; its number is `d` + 1.
   */
  extend(
    timeline: Timeline,
    start: number,
    end: number,
    used: number,
    depth: number,
    steps: number,
    rowOf: Int32Array,
  ): number {
    this.#timeline = timeline
    this.#start = start
    this.#end = end
    this.#prepare(used)
    let reached = depth
    while (reached < steps && this.#place(reached)) reached++
    if (reached > depth) this.#settle(depth, reached, used, rowOf)
    return reached
  }

  #prepare(used: number): void {
    const rows = this.#end - this.#start
    if (this.#room.length < rows) {
      this.#room = new Float64Array(rows * 2)
      this.#taken = new Uint32Array(rows * 2)
      this.#visited = new Uint32Array(rows * 2)
    }
    for (let i = 0; i < rows; i++) this.#room[i] = this.#timeline!.copies[this.#start + i]!
    if (used >= 0) this.#room[used - this.#start]! -= 1
    this.#taken.fill(0, 0, rows)
  }

  /** Gives step `step` an event, moving others where that helps. */
  #place(step: number): boolean {
    if (++this.#visit > 0xffff_0000) {
      this.#visited.fill(0)
      this.#visit = 1
    }
    return this.#augment(step)
  }

  #augment(step: number): boolean {
    const bit = 1 << step
    for (let i = 0; i < this.#end - this.#start; i++) {
      if ((this.#timeline!.bits[this.#start + i]! & bit) === 0 || this.#visited[i] === this.#visit) continue
      this.#visited[i] = this.#visit
      if (this.#room[i]! > 0) {
        this.#room[i]! -= 1
        this.#taken[i]! |= bit
        return true
      }
      let others = this.#taken[i]!
      while (others !== 0) {
        const other = 31 - Math.clz32(others)
        others &= ~(1 << other)
        if (!this.#augment(other)) continue
        this.#taken[i] = (this.#taken[i]! & ~(1 << other)) | bit
        return true
      }
    }
    return false
  }

  /** Finds the first of all ways to match steps `from` .. `to` - 1, which can be matched. */
  #settle(from: number, to: number, used: number, rowOf: Int32Array): void {
    const fixed: number[] = []
    for (let step = from; step < to; step++) {
      const bit = 1 << step
      for (let i = 0; i < this.#end - this.#start; i++) {
        if ((this.#timeline!.bits[this.#start + i]! & bit) === 0) continue
        this.#prepare(used)
        for (const row of fixed) this.#room[row]! -= 1
        if (this.#room[i]! <= 0) continue
        this.#room[i]! -= 1
        let rest = step + 1
        while (rest < to && this.#place(rest)) rest++
        if (rest < to) continue
        fixed.push(i)
        rowOf[step] = this.#start + i
        break
      }
    }
  }
}
