/**
 * Overlapping windows (sliding, cumulating) over a keyed stream, in one subtask: a record is added once, to its pane, and
 * a window is the sum of its panes when it is due.
 *
 * Owns: which panes a key has, when its windows fire, corrections, clean-up, the running sum. Does not own: where panes
 * and windows lie (window/panes.ts). The rules are those of program/window-operator.ts, which does the same for windows
 * that have a state of their own each; it runs overlapping ones too where there is a trigger, or no `merge`.
 *
 * To get from one window of a key to the next, panes that enter are merged in. Panes that leave are taken out by
 * `inverse`; without it, the window is merged anew. The running sum is no state: it is built again from the panes after a
 * restart, and whenever a late record has changed one of them.
 *
 * - P1 A key has one timer for its windows: when the next of them is due, or the next pane has no window left.
 * - P2 A window has a result when it holds a record, whatever else its key has.
 * - P3 Nothing of a pane's accumulator gets into a running sum but as a copy: `merge` may change its first argument, and may
 *   keep parts of the second in it, or return that.
 */
import { invariant } from '../core/errors.ts'
import { isClosed, isDue } from '../window/lateness.ts'
import type { Span } from '../window/panes.ts'
import { accumulatorOf } from './code-failure.ts'
import type { Entry } from './keyed-store.ts'
import type { TimeDomain } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'
import { copyValue } from './value-copy.ts'
import type { WindowFunction, WindowResult } from './window-operator.ts'
import type { PanePlan } from './windows.ts'

/** The slot of the operator. */
export const PANE_SLOTS: readonly string[] = ['panes:panes']

/** A pane as it is stored. */
interface Pane {
  readonly s: number
  /** End of the last window that it is part of. */
  readonly l: number
  a: unknown
}

/** What is kept of a key. */
interface Panes {
  /** In order of their start. */
  p: Pane[]
  /** Results so far of windows that may still be corrected: start, end, revision. */
  f: [number, number, number][]
  /** The timer that is set; -Infinity for none. */
  t: number
}

/** A sum over panes, in order. */
interface Running {
  panes: ReadonlySet<Pane>
  a: unknown
}

/** Runs overlapping windows in one subtask. */
export class PaneWindowOperator implements KeyedOperator {
  readonly #fn: WindowFunction
  readonly #panes: PanePlan
  readonly #runtime: OperatorRuntime
  readonly #domain: TimeDomain
  readonly #latenessMs: number
  readonly #running = new WeakMap<Entry, Running>()

  /** `fn.aggregate` must have `merge`, and there is no trigger. */
  constructor(fn: WindowFunction, panes: PanePlan, runtime: OperatorRuntime) {
    invariant(fn.trigger === null && fn.aggregate.merge !== undefined, `windows of ${fn.id} cannot share panes`)
    this.#fn = fn
    this.#panes = panes
    this.#runtime = runtime
    this.#domain = fn.plan.domain
    this.#latenessMs = fn.allowedLatenessMs
  }

  /** As of WindowOperator. */
  get firesAtEnd(): boolean {
    return this.#domain === 'processing'
  }

  onRecord(_input: number, value: unknown, timestampMs: number, entry: Entry | null): void {
    const { assigner } = this.#panes
    assigner.assign(this.#domain === 'event' ? timestampMs : this.#runtime.nowMs())
    const { startMs, lastEndMs } = assigner
    // Between windows, where they leave gaps.
    if (lastEndMs === Number.NEGATIVE_INFINITY) return
    if (this.#isClosed(lastEndMs)) {
      if (timestampMs + this.#latenessMs > this.#runtime.watermarkMs) return
      this.#runtime.countLate()
      if (this.#fn.late !== null) this.#runtime.emitSide(this.#fn.late.id, value, timestampMs)
      return
    }
    const state = (entry!.slots[0] as Panes | undefined) ?? { p: [], f: [], t: Number.NEGATIVE_INFINITY }
    entry!.slots[0] = state
    const pane = this.#paneOf(state, startMs, lastEndMs)
    const { aggregate } = this.#fn
    pane.a = accumulatorOf(aggregate.add(pane.a === undefined ? aggregate.create() : pane.a, value), this.#fn.id)
    this.#runtime.touch(entry!)
    if (this.#running.get(entry!)?.panes.has(pane) === true) this.#running.delete(entry!)
    for (const window of this.#panes.windowsOf(startMs)) {
      if (!this.#isDue(window.endMs)) {
        this.#setTimer(entry!, state, window.endMs - 1)
        break
      }
      if (!this.#isClosed(window.endMs)) this.#fire(entry!, state, window)
    }
    this.#setTimer(entry!, state, this.#cleanupMs(state.p[0]!.l))
  }

  onTimer(entry: Entry, _domain: TimeDomain, timeMs: number): void {
    const state = entry.slots[0] as Panes | undefined
    if (state === undefined || state.t !== timeMs) return
    state.t = Number.NEGATIVE_INFINITY
    for (const window of this.#windowsDueAt(timeMs)) this.#fire(entry, state, window)
    state.p = state.p.filter((pane) => this.#cleanupMs(pane.l) > timeMs)
    state.f = state.f.filter(([, endMs]) => this.#cleanupMs(endMs) > timeMs)
    if (state.p.length === 0) {
      entry.slots[0] = undefined
      this.#running.delete(entry)
    } else {
      const next = this.#nextDueMs(state, timeMs)
      this.#setTimer(entry, state, Math.min(next, this.#cleanupMs(state.p[0]!.l)))
    }
    this.#runtime.touch(entry)
  }

  /** The pane that starts at `startMs`, made when there is none. Most records are in the last one. */
  #paneOf(state: Panes, startMs: number, lastEndMs: number): Pane {
    const { p } = state
    let at = p.length - 1
    while (at >= 0 && p[at]!.s > startMs) at--
    const found = p[at]
    if (found?.s === startMs) return found
    const pane: Pane = { s: startMs, l: lastEndMs, a: undefined }
    p.splice(at + 1, 0, pane)
    return pane
  }

  /** Windows that end right after `timeMs`: its pane is part of all of them. */
  #windowsDueAt(timeMs: number): readonly Span[] {
    const { assigner, windowsOf } = this.#panes
    assigner.assign(timeMs)
    return windowsOf(assigner.startMs).filter(({ endMs }) => endMs - 1 === timeMs)
  }

  /** When the first window of any pane is due after `timeMs`; Infinity for none. */
  #nextDueMs(state: Panes, timeMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const pane of state.p) {
      if (pane.s > nextMs) break
      nextMs = Math.min(nextMs, firstEndAfter(this.#panes.windowsOf(pane.s), timeMs + 1) - 1)
    }
    return nextMs
  }

  #setTimer(entry: Entry, state: Panes, timeMs: number): void {
    if (timeMs === state.t || (state.t !== Number.NEGATIVE_INFINITY && state.t < timeMs)) return
    if (state.t !== Number.NEGATIVE_INFINITY) this.#runtime.deleteTimer(entry, this.#domain, state.t)
    state.t = timeMs
    this.#runtime.addTimer(entry, this.#domain, timeMs)
  }

  #fire(entry: Entry, state: Panes, { startMs, endMs }: Span): void {
    const panes = state.p.filter((pane) => pane.s >= startMs && pane.s < endMs)
    if (panes.length === 0) return
    const value = this.#fn.aggregate.result(this.#sum(entry, panes))
    let fired = state.f.find((window) => window[0] === startMs && window[1] === endMs)
    if (fired === undefined) {
      fired = [startMs, endMs, 0]
      // Without allowed lateness nothing corrects it.
      if (this.#domain === 'event' && this.#latenessMs > 0) state.f.push(fired)
    }
    const revision = ++fired[2]
    const result: WindowResult<unknown, unknown> = { key: entry.key, startMs, endMs, value, revision }
    this.#runtime.emit(result, endMs - 1)
  }

  /** The sum of `panes`, from that of the window before where it can be had so. */
  #sum(entry: Entry, panes: readonly Pane[]): unknown {
    const { aggregate } = this.#fn
    if (panes.length === 1) return panes[0]!.a
    const wanted = new Set(panes)
    const running = this.#running.get(entry)
    const leaving = running === undefined ? [] : [...running.panes].filter((pane) => !wanted.has(pane))
    // Taking most of it away costs more than beginning anew.
    const again =
      running === undefined ||
      (leaving.length > 0 && (aggregate.inverse === undefined || leaving.length * 2 > panes.length))
    const sum: Running = again ? { panes: new Set(), a: aggregate.create() } : running
    if (!again) for (const pane of leaving) sum.a = accumulatorOf(aggregate.inverse!(sum.a, pane.a), this.#fn.id)
    for (const pane of panes)
      if (!sum.panes.has(pane)) sum.a = accumulatorOf(aggregate.merge!(sum.a, copyValue(pane.a)), this.#fn.id)
    sum.panes = wanted
    this.#running.set(entry, sum)
    return sum.a
  }

  /** When nothing can change a window that ends at `endMs`, or a pane whose last window does. */
  #cleanupMs(endMs: number): number {
    return this.#domain === 'event' ? endMs - 1 + this.#latenessMs : endMs - 1
  }

  #isDue(endMs: number): boolean {
    return this.#domain === 'event' && isDue(endMs, this.#runtime.watermarkMs)
  }

  #isClosed(endMs: number): boolean {
    return this.#domain === 'event' && isClosed(endMs, this.#latenessMs, this.#runtime.watermarkMs)
  }
}

/** The first end after `endMs` among windows in the order of their ends; Infinity for none. */
function firstEndAfter(windows: readonly Span[], endMs: number): number {
  let low = 0
  let high = windows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (windows[middle]!.endMs > endMs) high = middle
    else low = middle + 1
  }
  return windows[low]?.endMs ?? Number.POSITIVE_INFINITY
}
