/**
 * Funnels: how far persons come, by the window in which they enter.
 *
 * Owns: what an attempt is, how deep it goes, when it is excluded, and which attempt of a window counts. The definition,
 * with its sources and edge cases, is in docs/metrics.md. Pure; does not own timelines, windows' life, or adding up.
 *
 * An attempt begins with an event that meets step 1 (in any order: any step) and looks `within` ahead, in elapsed time,
 * both ends included. A person counts once in each window that an attempt begins in: with the deepest attempt, and of
 * equally deep ones the first. So what a window gets depends on nothing but the events from its start to its end plus
 * `within`.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import { FunnelReach } from './funnel-reach.ts'
import { TieMatcher } from './tie-matcher.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline, VisitEvent } from './timeline.ts'

/** In which order steps must come. */
export type FunnelOrder = 'sequential' | 'strict' | 'any'

/** What a funnel is made of. Bit i of a row is step i + 1; then come the exclusions; strict ones have a bit for every event. */
export interface FunnelShape {
  readonly steps: number
  readonly order: FunnelOrder
  /** How long after its first event an attempt may go on, ms. */
  readonly withinMs: number
  /** Steps between which the exclusion of that place may not happen, counted from 1. */
  readonly exclude: readonly { readonly from: number; readonly to: number }[]
  /** Whose texts the person is counted under: those of the first event, of the last step reached, or of that step. */
  readonly attribution: 'first' | 'last' | number
  /** Bounds of the histogram of times to convert, ms, ascending. */
  readonly bucketsMs: readonly number[]
}

// Columns of a step's row.
/** Persons who entered. */
export const FUNNEL_ENTERED = 0
/** Persons who reached the step before. */
export const FUNNEL_PREVIOUS = 1
/** Persons who reached the step. */
export const FUNNEL_PERSONS = 2
/** Their times from the first step to this one, ms, added up. */
export const FUNNEL_TIME = 3
/** The first bucket of the histogram of times. */
export const FUNNEL_BUCKETS = 4

/** A funnel as a function of timelines. `texts` is the number of dimensions that events have. */
export class Funnel implements PersonFunction {
  readonly width: number
  /** The depth, and how long after the first event each step was reached. */
  readonly entryWidth: number
  readonly labels: readonly string[]
  readonly copiesMatter = true
  readonly onlyLatestBefore = false
  readonly #shape: FunnelShape
  readonly #windows: WindowAssigner
  readonly #texts: number
  readonly #ties = new TieMatcher()
  readonly #reach: FunnelReach
  readonly #visitReach: VisitEvent
  /** Of `#isRepeated`: when the attempt begins, and whether one before it was met. */
  #startMs = Number.NaN
  #repeat = 0
  readonly #visitRepeat: VisitEvent
  /** By bit: the first row at or after each that has it; the number of rows where there is none. */
  readonly #next: Int32Array[]
  readonly #startBits: number
  /** Of the attempt at hand, by depth - 1: when each step was reached, and with which row. */
  readonly #timeMs: Float64Array
  readonly #rowOf: Int32Array
  readonly #bestTimeMs: Float64Array
  readonly #bestRowOf: Int32Array
  /** Any order: the row that each step has, and steps seen on the way. */
  readonly #ownerOf: Int32Array
  #visited = 0

  constructor(shape: FunnelShape, windows: WindowAssigner, texts: number) {
    const { steps, exclude, bucketsMs, order } = shape
    this.#shape = shape
    this.#windows = windows
    this.#texts = texts
    this.width = FUNNEL_BUCKETS + bucketsMs.length + 1
    this.entryWidth = 1 + steps
    this.labels = Array.from({ length: steps }, (_, step) => String(step + 1))
    this.#next = Array.from({ length: steps + exclude.length }, () => new Int32Array(65))
    this.#startBits = order === 'any' ? 2 ** steps - 1 : 1
    this.#timeMs = new Float64Array(steps)
    this.#rowOf = new Int32Array(steps)
    this.#bestTimeMs = new Float64Array(steps)
    this.#bestRowOf = new Int32Array(steps)
    this.#ownerOf = new Int32Array(steps)
    const reach = new FunnelReach(steps)
    this.#reach = reach
    this.#visitReach = (timeMs, bits) => reach.visit(timeMs, bits)
    this.#visitRepeat = (timeMs, bits) => this.#seeRepeat(timeMs, bits)
  }

  keptTimeMs(timeMs: number): number {
    return timeMs
  }

  keepFromMs(openFromMs: number): number {
    return openFromMs
  }

  changesFromMs(timeMs: number, bits: number, before: EventsBefore | null): number {
    const { order, steps, withinMs } = this.#shape
    let fromMs = timeMs - withinMs
    const step = 31 - Math.clz32(bits)
    // One step alone, and no exclusion, where others may lie between: few attempts can take it.
    if (order === 'sequential' && bits === 1 << step && step < steps) {
      if (step === 0) {
        if (before !== null && this.#isRepeated(timeMs, before)) return Infinity
        fromMs = timeMs
      } else if (before !== null) {
        this.#reach.begin(timeMs, step)
        before(fromMs, timeMs, this.#visitReach)
        fromMs = this.#reach.end()
        if (fromMs === Infinity) return Infinity
      }
    }
    this.#windows.assign(fromMs)
    return this.#windows.startMs
  }

  /**
   * Whether an attempt that begins at `timeMs` counts for nothing: it comes to no second step, and another one began before
   * it in the same window. That one is as deep and the first, unless an exclusion may undo it.
   */
  #isRepeated(timeMs: number, events: EventsBefore): boolean {
    const { exclude, steps, withinMs } = this.#shape
    if (exclude.length > 0 || steps === 1) return false
    this.#windows.assign(timeMs)
    this.#repeat = 0
    this.#startMs = timeMs
    events(this.#windows.startMs, timeMs + withinMs, this.#visitRepeat)
    return this.#repeat > 0
  }

  #seeRepeat(timeMs: number, bits: number): boolean {
    if (timeMs >= this.#startMs) return (bits & 2) === 0
    this.#repeat = bits & 1
    return this.#repeat === 0
  }

  changesToMs(timeMs: number): number {
    this.#windows.assign(timeMs)
    return this.#windows.endMs
  }

  looksToMs(toMs: number): number {
    return toMs + this.#shape.withinMs
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { timeMs, bits, count } = timeline
    this.#findNext(timeline)
    let row = timeline.firstFrom(fromMs)
    while (row < count && timeMs[row]! < toMs) {
      if ((bits[row]! & this.#startBits) === 0) {
        row++
        continue
      }
      this.#windows.assign(timeMs[row]!)
      const { startMs, endMs } = this.#windows
      let best = 0
      for (; row < count && timeMs[row]! < endMs; row++) {
        // Nothing is better than a whole funnel, and of those the first counts.
        if (best === this.#shape.steps || (bits[row]! & this.#startBits) === 0) continue
        const depth = this.#attempt(timeline, row)
        if (depth <= best) continue
        best = depth
        this.#bestTimeMs.set(this.#timeMs)
        this.#bestRowOf.set(this.#rowOf)
      }
      if (best > 0) this.#give(timeline, startMs, endMs, best, into)
    }
  }

  #findNext({ bits, count }: Timeline): void {
    for (let bit = 0; bit < this.#next.length; bit++) {
      let next = this.#next[bit]!
      if (next.length <= count) next = this.#next[bit] = new Int32Array(count * 2 + 1)
      const mask = 1 << bit
      next[count] = count
      for (let row = count - 1; row >= 0; row--) next[row] = (bits[row]! & mask) === 0 ? next[row + 1]! : row
    }
  }

  /** How deep the attempt goes that begins with an event of `row`; 0 when it is excluded. */
  #attempt(timeline: Timeline, row: number): number {
    const limitMs = timeline.timeMs[row]! + this.#shape.withinMs
    const { order } = this.#shape
    this.#timeMs[0] = timeline.timeMs[row]!
    this.#rowOf[0] = row
    const depth =
      order === 'sequential'
        ? this.#sequential(timeline, row, limitMs)
        : order === 'strict'
          ? this.#strict(timeline, row, limitMs)
          : this.#anyOrder(timeline, row, limitMs)
    return this.#excluded(timeline, depth, limitMs) ? 0 : depth
  }

  /** Each step is the first event after the one before; other events may lie between. */
  #sequential(timeline: Timeline, start: number, limitMs: number): number {
    const { steps } = this.#shape
    let depth = this.#throughTie(timeline, timeline.tieStart(start), start, 1)
    let at = timeline.tieEnd(start)
    while (depth < steps) {
      const row = this.#next[depth]![at]!
      if (row === timeline.count || timeline.timeMs[row]! > limitMs) break
      depth = this.#throughTie(timeline, timeline.tieStart(row), -1, depth)
      at = timeline.tieEnd(row)
    }
    return depth
  }

  /** No event lies between steps. Those at the instant of the start that are no step of it came before it. */
  #strict(timeline: Timeline, start: number, limitMs: number): number {
    const { steps } = this.#shape
    const tieStart = timeline.tieStart(start)
    const most = this.#throughTie(timeline, tieStart, start, 1)
    let best = this.#strictFrom(timeline, timeline.tieEnd(start), most, limitMs)
    // It may be better to leave a step of that instant to a later event: then it came before, too.
    for (let depth = most - 1; depth >= 1 && best < steps; depth--) {
      const timeMs = this.#timeMs.slice()
      const rowOf = this.#rowOf.slice()
      this.#rowOf[0] = start
      this.#throughTie(timeline, tieStart, start, 1, depth)
      const reached = this.#strictFrom(timeline, timeline.tieEnd(start), depth, limitMs)
      if (reached > best) best = reached
      else {
        this.#timeMs.set(timeMs)
        this.#rowOf.set(rowOf)
      }
    }
    return best
  }

  #strictFrom(timeline: Timeline, from: number, depth: number, limitMs: number): number {
    let reached = depth
    let at = from
    while (reached < this.#shape.steps && at < timeline.count && timeline.timeMs[at]! <= limitMs) {
      const end = timeline.tieEnd(at)
      let events = 0
      for (let row = at; row < end; row++) events += timeline.copies[row]!
      const before = reached
      reached = this.#throughTie(timeline, at, -1, reached)
      if (reached - before < events) break
      at = end
    }
    return reached
  }

  /** As many steps as there are different events for, in whatever order. */
  #anyOrder(timeline: Timeline, start: number, limitMs: number): number {
    const { steps } = this.#shape
    const { count, timeMs, bits, copies } = timeline
    this.#ownerOf.fill(-1)
    this.#visited = 0
    this.#own(timeline, start)
    let depth = 1
    for (let row = timeline.tieStart(start); row < count && depth < steps && timeMs[row]! <= limitMs; row++) {
      if ((bits[row]! & this.#startBits) === 0) continue
      for (let copy = row === start ? 1 : 0; copy < copies[row]! && depth < steps; copy++) {
        this.#visited = 0
        if (!this.#own(timeline, row)) break
        this.#timeMs[depth] = timeMs[row]!
        this.#rowOf[depth++] = row
      }
    }
    return depth
  }

  /** Gives an event of `row` a step of its own, moving others where that helps. */
  #own(timeline: Timeline, row: number): boolean {
    for (let step = 0; step < this.#shape.steps; step++) {
      const bit = 1 << step
      if ((timeline.bits[row]! & bit) === 0 || (this.#visited & bit) !== 0) continue
      this.#visited |= bit
      const owner = this.#ownerOf[step]!
      if (owner >= 0 && !this.#own(timeline, owner)) continue
      this.#ownerOf[step] = row
      return true
    }
    return false
  }

  /** The depth reached from `depth` by the events of one instant, without the one that an attempt begins with. */
  #throughTie(timeline: Timeline, tieStart: number, used: number, depth: number, most = this.#shape.steps): number {
    const end = timeline.tieEnd(tieStart)
    let reached = depth
    if (end === tieStart + 1 && timeline.copies[tieStart] === 1) {
      if (used < 0 && depth < most && (timeline.bits[tieStart]! & (1 << depth)) !== 0) {
        this.#rowOf[depth] = tieStart
        reached++
      }
    } else reached = this.#ties.extend(timeline, tieStart, end, used, depth, most, this.#rowOf)
    for (let step = depth; step < reached; step++) this.#timeMs[step] = timeline.timeMs[tieStart]!
    return reached
  }

  /** Whether an exclusion happened between its steps; where the later one was not reached, up to the attempt's end. */
  #excluded(timeline: Timeline, depth: number, limitMs: number): boolean {
    const { exclude, steps } = this.#shape
    for (let i = 0; i < exclude.length; i++) {
      const { from, to } = exclude[i]!
      if (depth < from) continue
      const after = timeline.tieEnd(timeline.firstFrom(this.#timeMs[from - 1]!))
      const row = this.#next[steps + i]![after]!
      if (row === timeline.count) continue
      const timeMs = timeline.timeMs[row]!
      if (depth >= to ? timeMs < this.#timeMs[to - 1]! : timeMs <= limitMs) return true
    }
    return false
  }

  #give(timeline: Timeline, startMs: number, endMs: number, depth: number, into: Contributions): void {
    const { attribution } = this.#shape
    const step = attribution === 'first' ? 1 : attribution === 'last' ? depth : attribution
    const row = step <= depth ? this.#bestRowOf[step - 1]! : -1
    const at = into.add(startMs, endMs, timeline, row, this.#texts)
    const { values } = into
    values[at] = depth
    for (let i = 0; i < this.#shape.steps; i++) {
      values[at + 1 + i] = i < depth ? this.#bestTimeMs[i]! - this.#bestTimeMs[0]! : 0
    }
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const { steps, bucketsMs } = this.#shape
    const at = entry * this.entryWidth
    const depth = from.values[at]!
    for (let i = 0; i < steps; i++) {
      const row = into.add(i)
      into.values[row + FUNNEL_ENTERED] = 1
      into.values[row + FUNNEL_PREVIOUS] = depth >= i ? 1 : 0
      if (depth <= i) continue
      const timeMs = from.values[at + 1 + i]!
      let bucket = 0
      while (bucket < bucketsMs.length && timeMs >= bucketsMs[bucket]!) bucket++
      into.values[row + FUNNEL_PERSONS] = 1
      into.values[row + FUNNEL_TIME] = timeMs
      into.values[row + FUNNEL_BUCKETS + bucket] = 1
    }
  }
}
