/**
 * A process function beside broadcast state: rules, say, that change while events come.
 *
 * Every subtask is sent every broadcast record, and must make the same of it: `onBroadcast` sees no key and no state by
 * key, and should depend on nothing but the record and the broadcast state. Between the two streams there is no order.
 */
import { MillraceError } from '../core/errors.ts'
import { refuseAsync, usedOutside } from './code-failure.ts'
import type { MapKey } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'
import { Context, type DueTimer, type ProcessContext } from './process-operator.ts'
import type { StateSpecs } from './state.ts'

/** Broadcast state as records by key see it. */
export interface BroadcastView<V> {
  get(key: MapKey): V | undefined
  entries(): Iterable<[MapKey, V]>
}

/** Broadcast state as broadcast records may change it; an object that it gave out may be changed in place, too. */
export interface BroadcastState<V> extends BroadcastView<V> {
  set(key: MapKey, value: V): void
  delete(key: MapKey): void
}

/** A process function with broadcast state. */
export interface BroadcastFunction<K, In, B, V, Out, S extends StateSpecs> {
  /** Names the operator in checkpoints. */
  readonly id: string
  readonly state?: S
  /** Called for each broadcast record, in every subtask. */
  onBroadcast(record: B, broadcast: BroadcastState<V>): void
  /** Called for each record by key. */
  onEvent(event: In, context: ProcessContext<K, Out, S> & { readonly broadcast: BroadcastView<V> }): void
  onTimer?(timer: DueTimer, context: ProcessContext<K, Out, S> & { readonly broadcast: BroadcastView<V> }): void
}

class BroadcastContext extends Context<StateSpecs> {
  readonly broadcast: BroadcastView<unknown>

  constructor(specs: StateSpecs, runtime: OperatorRuntime) {
    super(specs, runtime)
    const store = runtime.broadcast
    this.broadcast = { get: (key) => store.get(key), entries: () => store.entries.entries() }
  }
}

/** Runs a broadcast function in one subtask. */
export function openBroadcast(
  fn: BroadcastFunction<unknown, unknown, unknown, unknown, unknown, StateSpecs>,
  runtime: OperatorRuntime,
): KeyedOperator {
  const context = new BroadcastContext(fn.state ?? {}, runtime)
  const store = runtime.broadcast
  let handling = false
  const check = (): void => {
    if (!handling) throw usedOutside('broadcast state')
  }
  const writable: BroadcastState<unknown> = {
    get(key) {
      const value = store.get(key)
      // It may be changed in place by whoever gets it.
      if (typeof value === 'object' && value !== null) store.changed = true
      return value
    },
    entries() {
      store.changed = true
      return store.entries.entries()
    },
    set(key, value) {
      check()
      if (value === undefined) throw new MillraceError('JOB_CODE_FAILED', `${fn.id} sets broadcast state to undefined`)
      store.set(key, value)
    },
    delete(key) {
      check()
      store.delete(key)
    },
  }
  return {
    onRecord(_input, value, timestampMs, entry) {
      if (entry === null) {
        handling = true
        refuseAsync(fn.onBroadcast(value, writable), fn.id, 'onBroadcast')
        handling = false
        return
      }
      context.use(entry, timestampMs)
      refuseAsync(fn.onEvent(value, context), fn.id, 'onEvent')
      context.leave()
    },
    onTimer(entry, domain, timeMs) {
      context.use(entry, timeMs)
      refuseAsync(fn.onTimer?.({ domain, timeMs }, context), fn.id, 'onTimer')
      context.leave()
    },
  }
}
