/**
 * Keyed state as authors see it: kinds of state to declare, and handles on the state of the current key.
 *
 * Owns: what each kind means, and time to live. Does not own: where it is kept (program/keyed-store.ts).
 *
 * A handle always speaks of the key whose record or timer is being handled; keeping one for later is pointless. An
 * object that a handle gave out may be changed in place while the record is handled: reading it marks the key as changed.
 *
 * Time to live goes by the wall clock, from the last write. State that has expired is never given out; keys that are not
 * asked for again are swept a few at a time.
 */
import { MillraceError } from '../core/errors.ts'
import { parseDuration } from '../job/duration.ts'
import { isPromise, usedOutside } from './code-failure.ts'
import type { Entry, KeyedStore } from './keyed-store.ts'
import type { OperatorRuntime } from './operator.ts'

/** How a value is made up of many: for windows, running aggregates and aggregating state. */
export interface Aggregate<In, Acc, Out> {
  /** The accumulator of nothing, a fresh one each time. */
  create(): Acc
  /** The accumulator with one more value; may change and return `accumulator`. */
  add(accumulator: Acc, value: In): Acc
  /**
   * Both accumulators as one; may change and return `a`, and keep parts of `b` or return it, but does not change `b`.
   * Needed for session windows.
   */
  merge?(a: Acc, b: Acc): Acc
  /**
   * Undoes `merge(a, b)`; may change and return `a`, leaves `b` alone. Sliding windows are cheaper with it: what leaves a
   * window is taken out, instead of adding up anew what stays. It must be exact: leave it out where rounding adds up.
   */
  inverse?(a: Acc, b: Acc): Acc
  /** What it comes to. Must not change the accumulator. */
  result(accumulator: Acc): Out
}

/** Options of any kind of state. */
export interface StateOptions {
  /** Forgotten this long after the last write, as `30m` or ms. */
  readonly ttl?: string | number
}

/** One value. */
export interface ValueState<T> {
  get(): T | undefined
  set(value: T): void
  clear(): void
}

/** Values in the order in which they were added. */
export interface ListState<T> {
  get(): readonly T[]
  add(value: T): void
  /** Replaces all values. */
  set(values: readonly T[]): void
  clear(): void
}

/** Values by a second key. */
export interface MapState<K, V> {
  readonly size: number
  get(key: K): V | undefined
  has(key: K): boolean
  set(key: K, value: V): void
  delete(key: K): void
  entries(): Iterable<[K, V]>
  keys(): Iterable<K>
  values(): Iterable<V>
  clear(): void
}

/** Values made one by a function of two. */
export interface ReducingState<T> {
  get(): T | undefined
  add(value: T): void
  clear(): void
}

/** Values made one by an aggregate. */
export interface AggregatingState<In, Out> {
  get(): Out | undefined
  add(value: In): void
  clear(): void
}

/** The slot of the current key that a handle works on. */
interface Slot {
  /** Undefined where there is none, or it has expired. */
  get(): unknown
  /** `undefined` clears. */
  set(value: unknown): void
}

/** A declared piece of state. `Handle` is how it is used. */
export interface StateSpec<Handle> {
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating'
  /** 0 for none. */
  readonly ttlMs: number
  /** Made once an operator instance. */
  readonly open: (slot: Slot) => Handle
}

/** Declared state by name. */
export type StateSpecs = Readonly<Record<string, StateSpec<unknown>>>

/** The handles of declared state. */
export type Handles<S extends StateSpecs> = {
  readonly [K in keyof S]: S[K] extends StateSpec<infer Handle> ? Handle : never
}

/** Declares one value a key. */
export function value<T>(options: StateOptions = {}): StateSpec<ValueState<T>> {
  return spec('value', options, (slot) => ({
    get: () => slot.get() as T | undefined,
    set: (next) => slot.set(next),
    clear: () => slot.set(undefined),
  }))
}

/** Declares a list of values a key. */
export function list<T>(options: StateOptions = {}): StateSpec<ListState<T>> {
  return spec('list', options, (slot) => {
    const current = (): T[] => (slot.get() as T[] | undefined) ?? []
    return {
      get: current,
      add(item) {
        const items = current()
        items.push(item)
        slot.set(items)
      },
      set: (items) => slot.set(items.length === 0 ? undefined : [...items]),
      clear: () => slot.set(undefined),
    }
  })
}

/** Declares values by a second key, for each key. */
export function map<K, V>(options: StateOptions = {}): StateSpec<MapState<K, V>> {
  return spec('map', options, (slot) => {
    const current = (): Map<K, V> => (slot.get() as Map<K, V> | undefined) ?? new Map()
    return {
      get size() {
        return current().size
      },
      get: (key) => current().get(key),
      has: (key) => current().has(key),
      set(key, item) {
        slot.set(current().set(key, item))
      },
      delete(key) {
        const items = current()
        if (items.delete(key)) slot.set(items.size === 0 ? undefined : items)
      },
      entries: () => current().entries(),
      keys: () => current().keys(),
      values: () => current().values(),
      clear: () => slot.set(undefined),
    }
  })
}

/** Declares values that are made one by `reduce`, a key. */
export function reducing<T>(reduce: (a: T, b: T) => T, options: StateOptions = {}): StateSpec<ReducingState<T>> {
  return spec('reducing', options, (slot) => ({
    get: () => slot.get() as T | undefined,
    add(item) {
      const before = slot.get() as T | undefined
      slot.set(before === undefined ? item : reduce(before, item))
    },
    clear: () => slot.set(undefined),
  }))
}

/** Declares values that are made one by an aggregate, a key. */
export function aggregating<In, Acc, Out>(
  aggregate: Aggregate<In, Acc, Out>,
  options: StateOptions = {},
): StateSpec<AggregatingState<In, Out>> {
  return spec('aggregating', options, (slot) => ({
    get() {
      const accumulator = slot.get()
      return accumulator === undefined ? undefined : aggregate.result(accumulator as Acc)
    },
    add(item) {
      const before = slot.get() as Acc | undefined
      slot.set(aggregate.add(before === undefined ? aggregate.create() : before, item))
    },
    clear: () => slot.set(undefined),
  }))
}

function spec<Handle>(
  kind: StateSpec<unknown>['kind'],
  options: StateOptions,
  open: (slot: Slot) => Handle,
): StateSpec<Handle> {
  return { kind, ttlMs: options.ttl === undefined ? 0 : durationMs(options.ttl, 'ttl'), open }
}

/** Milliseconds of `5s`, or of a number of them. JOB_INVALID, naming `what`, for what is no duration above zero. */
export function durationMs(text: string | number, what: string): number {
  const ms = typeof text === 'number' ? text : parseDuration(text)
  if (Number.isSafeInteger(ms) && ms > 0) return ms
  throw new MillraceError(
    'JOB_INVALID',
    `${what} is ${JSON.stringify(text)}: write a time above zero, as '30s' or 30000`,
  )
}

/** Names and kinds of declared state, as stored state is found by them. */
export function slotNames(specs: StateSpecs): string[] {
  return Object.entries(specs).map(([name, { kind }]) => `${name}:${kind}`)
}

/** Which of them have a time to live. */
export function expiringSlots(specs: StateSpecs): boolean[] {
  return Object.values(specs).map(({ ttlMs }) => ttlMs > 0)
}

/** The handles of one operator instance, on the entry that `use` was last called with. */
export class StateScope<S extends StateSpecs> {
  readonly handles: Handles<S>
  readonly #runtime: OperatorRuntime
  readonly #ttlMs: readonly number[]
  #entry: Entry | null = null

  constructor(specs: S, runtime: OperatorRuntime) {
    this.#runtime = runtime
    const list = Object.entries(specs)
    this.#ttlMs = list.map(([, { ttlMs }]) => ttlMs)
    this.handles = Object.fromEntries(
      list.map(([name, { open }], index) => [
        name,
        open({
          get: () => this.#get(index),
          set: (item) => {
            if (!isPromise(item)) return this.#set(index, item)
            throw new MillraceError('JOB_CODE_FAILED', `state '${name}' is given a promise: code of a job is not async`)
          },
        }),
      ]),
    ) as Handles<S>
  }

  /** Everything is about this entry from now on; null for none. */
  use(entry: Entry | null): void {
    this.#entry = entry
  }

  #get(index: number): unknown {
    const entry = this.#current()
    const item = entry.slots[index]
    if (item === undefined) return undefined
    if (isExpired(entry, index, this.#runtime)) {
      this.#set(index, undefined)
      return undefined
    }
    // It may be changed in place by whoever gets it.
    if (typeof item === 'object' && item !== null) this.#runtime.touch(entry)
    return item
  }

  #set(index: number, item: unknown): void {
    const entry = this.#current()
    entry.slots[index] = item
    const ttlMs = this.#ttlMs[index]!
    if (ttlMs > 0) {
      entry.expiry ??= new Array(entry.slots.length).fill(undefined)
      entry.expiry[index] = item === undefined ? undefined : this.#runtime.nowMs() + ttlMs
    }
    this.#runtime.touch(entry)
  }

  #current(): Entry {
    if (this.#entry !== null) return this.#entry
    throw usedOutside('state by key')
  }
}

function isExpired(entry: Entry, index: number, runtime: Pick<OperatorRuntime, 'nowMs'>): boolean {
  const expiresMs = entry.expiry?.[index]
  return expiresMs !== undefined && runtime.nowMs() >= expiresMs
}

/** Drops state that has expired from a few entries of `store` at a time. */
export class ExpirySweep {
  readonly #store: KeyedStore
  readonly #entries: Iterator<Entry | undefined>

  constructor(store: KeyedStore) {
    this.#store = store
    this.#entries = round(store)
  }

  /** Looks at the next `count` entries. */
  sweep(count: number, nowMs: number): void {
    const looked = Math.min(count, this.#store.size)
    for (let i = 0; i < looked; i++) {
      const entry = this.#entries.next().value as Entry | undefined
      if (entry?.expiry === undefined || !entry.live) continue
      for (let slot = 0; slot < entry.slots.length; slot++) {
        const expiresMs = entry.expiry[slot]
        if (expiresMs === undefined || nowMs < expiresMs) continue
        entry.slots[slot] = undefined
        entry.expiry[slot] = undefined
        this.#store.touch(entry)
      }
      this.#store.settle(entry)
    }
  }
}

/** All entries, again and again. Yields undefined between rounds, so that an empty store ends nobody's loop. */
function* round(store: KeyedStore): Generator<Entry | undefined, void> {
  for (;;) {
    for (const group of store.groups) yield* group.entries.values()
    yield undefined
  }
}
