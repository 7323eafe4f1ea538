/**
 * Windows over a keyed stream, in one subtask.
 *
 * Owns: which windows a key has, merging of sessions, lateness, firing, corrections and clean-up. The rules are those of
 * docs/specs/windows.md. Does not own: assigning (program/windows.ts), aggregates, what triggers decide.
 *
 * The windows of a key are one slot: plain objects in order of their ends. A timer of a key stands for whatever of its
 * windows is due then, so one time is one timer.
 */
import { MillraceError } from '../core/errors.ts'
import { isClosed, isDue } from '../window/lateness.ts'
import { accumulatorOf, refuseAsync } from './code-failure.ts'
import type { Entry } from './keyed-store.ts'
import type { TimeDomain } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'
import type { SideOutput } from './process-operator.ts'
import type { Aggregate } from './state.ts'
import type { Trigger, TriggerAnswer, TriggerContext } from './triggers.ts'
import type { WindowBounds, WindowPlan } from './windows.ts'

/** One result of a window. */
export interface WindowResult<K, R> {
  readonly key: K
  readonly startMs: number
  readonly endMs: number
  readonly value: R
  /** 1 for the first result of the window; later ones correct it. */
  readonly revision: number
}

/** A windowed aggregation, checked. */
export interface WindowFunction {
  readonly id: string
  readonly plan: WindowPlan
  readonly aggregate: Aggregate<unknown, unknown, unknown>
  readonly trigger: Trigger<unknown> | null
  readonly allowedLatenessMs: number
  readonly late: SideOutput<unknown> | null
}

/** A window as it is stored. */
interface Pane {
  s: number
  e: number
  /** Accumulator; undefined when it holds nothing. */
  a: unknown
  /** Firings so far. */
  r: number
  /** What the trigger keeps. */
  t?: unknown
  /** Times for which the trigger has set timers. */
  x?: number[]
}

/** Runs windows in one subtask. */
export class WindowOperator implements KeyedOperator {
  readonly #fn: WindowFunction
  readonly #runtime: OperatorRuntime
  readonly #domain: TimeDomain
  readonly #context: PaneContext
  #entry: Entry | null = null
  #value: unknown
  #timestampMs = 0
  #taken = false
  #assigned = false
  readonly #take = (startMs: number, endMs: number): void => {
    this.#assigned = true
    if (this.#fn.plan.merging) this.#addToSession(startMs, endMs)
    else this.#addToPane(startMs, endMs)
  }

  constructor(fn: WindowFunction, runtime: OperatorRuntime) {
    this.#fn = fn
    this.#runtime = runtime
    this.#domain = fn.plan.domain
    this.#context = new PaneContext(runtime)
    if (fn.plan.merging && fn.aggregate.merge === undefined) {
      throw new MillraceError('JOB_INVALID', `session windows of ${fn.id} need an aggregate with merge`)
    }
  }

  /** The end of a bounded input ends windows of processing time. When triggers fire is theirs to say. */
  get firesAtEnd(): boolean {
    return this.#domain === 'processing' && this.#fn.trigger === null
  }

  onRecord(_input: number, value: unknown, timestampMs: number, entry: Entry | null): void {
    this.#entry = entry!
    this.#value = value
    this.#timestampMs = timestampMs
    this.#taken = false
    this.#assigned = false
    const timeMs = this.#domain === 'event' ? timestampMs : this.#runtime.nowMs()
    this.#fn.plan.assign(timeMs, this.#take)
    if (this.#taken || !this.#assigned || this.#domain !== 'event') return
    if (timestampMs + this.#fn.allowedLatenessMs > this.#runtime.watermarkMs) return
    this.#runtime.countLate()
    if (this.#fn.late !== null) this.#runtime.emitSide(this.#fn.late.id, value, timestampMs)
  }

  onTimer(entry: Entry, domain: TimeDomain, timeMs: number): void {
    const panes = panesOf(entry)
    const { trigger, allowedLatenessMs } = this.#fn
    let closed = false
    for (const pane of panes) {
      if (trigger === null) {
        if (domain === this.#domain && pane.e - 1 === timeMs) this.#fire(entry, pane, timeMs)
      } else if (pane.x?.includes(timeMs) === true) {
        pane.x = pane.x.filter((time) => time !== timeMs)
        this.#answer(entry, pane, this.#asked(entry, pane, domain, timeMs), timeMs)
      }
      const cleanupMs = this.#domain === 'event' ? pane.e - 1 + allowedLatenessMs : pane.e - 1
      if (domain === this.#domain && cleanupMs <= timeMs) {
        pane.e = Number.NaN
        closed = true
      }
    }
    if (closed)
      setPanes(
        entry,
        panes.filter((pane) => !Number.isNaN(pane.e)),
      )
    this.#runtime.touch(entry)
  }

  #addToPane(startMs: number, endMs: number): void {
    if (this.#isClosed(endMs)) return
    const entry = this.#entry!
    const panes = panesOf(entry)
    let at = panes.length - 1
    while (at >= 0 && panes[at]!.e > endMs) at--
    while (at >= 0 && panes[at]!.e === endMs && panes[at]!.s !== startMs) at--
    let pane = at >= 0 && panes[at]!.e === endMs ? panes[at]! : undefined
    if (pane === undefined) {
      pane = { s: startMs, e: endMs, a: undefined, r: 0 }
      panes.splice(at + 1, 0, pane)
      setPanes(entry, panes)
    }
    this.#add(entry, pane)
  }

  #addToSession(startMs: number, endMs: number): void {
    const entry = this.#entry!
    const panes = panesOf(entry)
    // Touching merges: events exactly a gap apart are of one session.
    const joined = panes.filter((pane) => pane.s <= endMs && pane.e >= startMs)
    const s = joined.reduce((least, pane) => Math.min(least, pane.s), startMs)
    const e = joined.reduce((most, pane) => Math.max(most, pane.e), endMs)
    // Late is what is late after merging: an old record that joins a live session is not.
    if (this.#isClosed(e)) return
    const pane = joined.length === 1 ? joined[0]! : this.#merge(joined, s, e)
    pane.s = s
    pane.e = e
    const others = panes.filter((other) => other !== pane && !joined.includes(other))
    others.push(pane)
    setPanes(
      entry,
      others.sort((a, b) => a.e - b.e),
    )
    this.#add(entry, pane)
  }

  #merge(joined: readonly Pane[], s: number, e: number): Pane {
    const { aggregate, trigger } = this.#fn
    const merged: Pane = { s, e, a: undefined, r: 0 }
    if (joined.length === 0) return merged
    const timers = new Set<number>()
    for (const { a, r, x = [] } of joined) {
      for (const timeMs of x) timers.add(timeMs)
      if (a !== undefined) merged.a = merged.a === undefined ? a : aggregate.merge!(merged.a, a)
      merged.r = Math.max(merged.r, r)
    }
    if (timers.size > 0) merged.x = [...timers]
    if (trigger?.merge !== undefined) {
      merged.t = trigger.merge(
        joined.map((pane) => pane.t),
        { startMs: s, endMs: e },
      )
    }
    return merged
  }

  #add(entry: Entry, pane: Pane): void {
    const { aggregate, trigger, allowedLatenessMs } = this.#fn
    this.#taken = true
    pane.a = accumulatorOf(aggregate.add(pane.a === undefined ? aggregate.create() : pane.a, this.#value), this.#fn.id)
    this.#runtime.touch(entry)
    if (pane.e !== Number.POSITIVE_INFINITY) {
      const lastMs = pane.e - 1
      const due = this.#domain === 'event' && isDue(pane.e, this.#runtime.watermarkMs)
      if (!due) this.#runtime.addTimer(entry, this.#domain, lastMs)
      else if (trigger === null) this.#fire(entry, pane, this.#timestampMs)
      if (this.#domain === 'event' && (due || allowedLatenessMs > 0))
        this.#runtime.addTimer(entry, 'event', lastMs + allowedLatenessMs)
    }
    if (trigger !== null) {
      const context = this.#context.use(entry, pane)
      const answer = trigger.onRecord(this.#value, this.#timestampMs, boundsOf(pane), context)
      this.#answer(entry, pane, answer, this.#timestampMs)
    }
  }

  #asked(entry: Entry, pane: Pane, _domain: TimeDomain, timeMs: number): TriggerAnswer {
    return this.#fn.trigger?.onTimer?.(timeMs, boundsOf(pane), this.#context.use(entry, pane)) ?? 'continue'
  }

  #answer(entry: Entry, pane: Pane, answer: TriggerAnswer, timeMs: number): void {
    refuseAsync(answer, this.#fn.id, 'the trigger')
    if (answer === 'fire' || answer === 'fireAndPurge') this.#fire(entry, pane, timeMs)
    if (answer === 'purge' || answer === 'fireAndPurge') pane.a = undefined
  }

  #fire(entry: Entry, pane: Pane, timeMs: number): void {
    if (pane.a === undefined) return
    pane.r++
    const result: WindowResult<unknown, unknown> = {
      key: entry.key,
      startMs: pane.s,
      endMs: pane.e,
      value: this.#fn.aggregate.result(pane.a),
      revision: pane.r,
    }
    // A window without end has no last instant: its results are of the moment.
    this.#runtime.emit(result, pane.e === Number.POSITIVE_INFINITY ? timeMs : pane.e - 1)
  }

  #isClosed(endMs: number): boolean {
    return this.#domain === 'event' && isClosed(endMs, this.#fn.allowedLatenessMs, this.#runtime.watermarkMs)
  }
}

/** What a trigger is handed, on one pane at a time. */
class PaneContext implements TriggerContext {
  readonly #runtime: OperatorRuntime
  #entry: Entry | null = null
  #pane: Pane | null = null

  constructor(runtime: OperatorRuntime) {
    this.#runtime = runtime
  }

  use(entry: Entry, pane: Pane): this {
    this.#entry = entry
    this.#pane = pane
    return this
  }

  get watermarkMs(): number {
    return this.#runtime.watermarkMs
  }

  get nowMs(): number {
    return this.#runtime.nowMs()
  }

  get state(): unknown {
    return this.#pane!.t
  }

  set state(state: unknown) {
    this.#pane!.t = state
  }

  setEventTimer(timeMs: number): void {
    this.#set('event', timeMs)
  }

  setProcessingTimer(timeMs: number): void {
    this.#set('processing', timeMs)
  }

  #set(domain: TimeDomain, timeMs: number): void {
    const pane = this.#pane!
    // As timers are kept, so that this one is known again.
    const wholeMs = Math.ceil(timeMs)
    if (pane.x?.includes(wholeMs) !== true) pane.x = [...(pane.x ?? []), wholeMs]
    this.#runtime.addTimer(this.#entry!, domain, wholeMs)
  }
}

function boundsOf(pane: Pane): WindowBounds {
  return { startMs: pane.s, endMs: pane.e }
}

function panesOf(entry: Entry): Pane[] {
  return (entry.slots[0] as Pane[] | undefined) ?? []
}

function setPanes(entry: Entry, panes: Pane[]): void {
  entry.slots[0] = panes.length === 0 ? undefined : panes
}
