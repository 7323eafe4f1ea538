/**
 * Streams as authors write with them: typed, fluent, and only that. Each call adds a node to the graph.
 *
 * Does not own: what nodes do.
 */
import { MillraceError } from '../core/errors.ts'
import type { Delivery } from '../job/definition.ts'
import { defaultDelivery } from '../job/delivery.ts'
import { type BroadcastFunction, openBroadcast } from './broadcast-operator.ts'
import { accumulatorOf, refuseAsync } from './code-failure.ts'
import type { KeyedInput, KeyedNode, OutputRef } from './graph.ts'
import type { GraphBuilder } from './graph-builder.ts'
import { boundsOf, type IntervalJoin, openIntervalJoin } from './join-operator.ts'
import { jsonBytes } from './json-value.ts'
import type { Key } from './keys.ts'
import { checkLookup, type Lookup, openLookup } from './lookup-operator.ts'
import { PANE_SLOTS, PaneWindowOperator } from './pane-window-operator.ts'
import { type ConnectFunction, openProcess, type ProcessFunction, type SideOutput } from './process-operator.ts'
import { type SinkTarget, targetOf } from './settings.ts'
import { type Aggregate, durationMs, expiringSlots, type StateSpecs, slotNames } from './state.ts'
import type { Trigger } from './triggers.ts'
import { WindowOperator, type WindowResult } from './window-operator.ts'
import { type Duration, planWindows, type WindowSpec } from './windows.ts'

/** Where records leave the job. */
export interface SinkSpec<T> {
  /** Names the sink. */
  readonly id: string
  readonly to: SinkTarget
  /**
   * `exactly-once`: records are part of the checkpoint and applied when it exists; `at-least-once`: they are written at
   * once, and again after a failure. The first unless given, for every kind of output that can.
   */
  readonly delivery?: Delivery
  /** The record's value: bytes, or something with `finish()` as Protobuf encoders give. JSON unless given (json-value.ts). */
  readonly encode?: (value: T) => Uint8Array | { finish(): Uint8Array }
  /** The record's key; none unless given. */
  readonly key?: (value: T) => string | Uint8Array | null
}

/** A windowed aggregation. */
export interface WindowAggregation<In, Acc, R> {
  /** Names the operator in checkpoints: keep it when you change the rest. */
  readonly id: string
  readonly aggregate: Aggregate<In, Acc, R>
  /** Records this late still correct their window; none unless given. */
  readonly allowedLateness?: Duration
  /** Where records go that came after their window was closed; they are always counted. */
  readonly late?: SideOutput<In>
  /** When the window fires, instead of at its end. */
  readonly trigger?: Trigger<In>
}

/** Records of one type, in no particular distribution. */
export class Stream<T> {
  protected readonly builder: GraphBuilder
  /** Outputs that it is made of. */
  readonly refs: readonly OutputRef[]

  constructor(builder: GraphBuilder, refs: readonly OutputRef[]) {
    this.builder = builder
    this.refs = refs
  }

  /** Keeps the records that `keep` says yes to. It must not change them. */
  filter<U extends T>(keep: (value: T) => value is U): Stream<U>
  filter(keep: (value: T) => boolean): Stream<T>
  filter(keep: (value: T) => boolean): Stream<T> {
    return new Stream<T>(this.builder, [this.builder.addStateless('filter', this.refs, keep)])
  }

  /** Makes another record of each. */
  map<U>(make: (value: T) => U): Stream<U> {
    return new Stream<U>(this.builder, [this.builder.addStateless('map', this.refs, make)])
  }

  /** Makes any number of records of each. */
  flatMap<U>(make: (value: T) => Iterable<U>): Stream<U> {
    return new Stream<U>(this.builder, [this.builder.addStateless('flatMap', this.refs, make)])
  }

  /** The records of this stream and of others, in no particular order between them. */
  union(...others: readonly Stream<T>[]): Stream<T> {
    return new Stream<T>(this.builder, [...this.refs, ...others.flatMap((other) => other.refs)])
  }

  /** Brings records of the same key together: what follows has state by key. */
  keyBy<K extends Key>(keyOf: (value: T) => K): KeyedStream<K, T> {
    return new KeyedStream<K, T>(this.builder, { from: this.refs, keyOf: keyOf as (value: unknown) => Key })
  }

  /** Writes records out, by the sink's `delivery`. */
  sinkTo(sink: SinkSpec<T>): void {
    const { id, to, delivery, key, encode } = sink
    const output = targetOf(to)
    this.builder.add({
      kind: 'sink',
      id,
      inputs: this.refs,
      output,
      ...(output.kind === 'discard' ? {} : { delivery: delivery ?? defaultDelivery(output.kind) }),
      keyOf: (key ?? null) as ((value: unknown) => string | Uint8Array | null) | null,
      encode: (value) => (encode === undefined ? jsonBytes(value) : bytesOf(encode(value as T), id)),
    })
  }
}

/** What an operator with side outputs gives. */
export class OperatorStream<T> extends Stream<T> {
  /** Records that the operator sent to `side`. */
  side<U>(side: SideOutput<U>): Stream<U> {
    return new Stream<U>(this.builder, [{ node: this.refs[0]!.node, side: side.id }])
  }
}

/** Records by key. */
export class KeyedStream<K, T> {
  readonly #builder: GraphBuilder
  /** The input that operators on it have. */
  readonly input: KeyedInput

  constructor(builder: GraphBuilder, input: KeyedInput) {
    this.#builder = builder
    this.input = input
  }

  /** Runs a process function: code per record and timer, with state by key. */
  process<Out, S extends StateSpecs = Record<never, never>>(fn: ProcessFunction<K, T, Out, S>): OperatorStream<Out> {
    return this.#operator('process', fn.id, fn.state ?? {}, '', [this.input], (runtime) =>
      openProcess(fn as unknown as ProcessFunction<unknown, unknown, unknown, StateSpecs>, runtime),
    )
  }

  /** Runs code per record of this stream and of another with the same keys: both see the same state. */
  connect<U, Out, S extends StateSpecs = Record<never, never>>(
    other: KeyedStream<K, U>,
    fn: ConnectFunction<K, T, U, Out, S>,
  ): OperatorStream<Out> {
    const inputs = [this.input, other.input]
    return this.#operator('process', fn.id, fn.state ?? {}, '', inputs, (runtime) =>
      openProcess(fn as unknown as ConnectFunction<unknown, unknown, unknown, unknown, StateSpecs>, runtime),
    )
  }

  /** Puts records into windows; `aggregate` follows. JOB_INVALID for windows that are none. */
  window(windows: WindowSpec): WindowedStream<K, T> {
    return new WindowedStream<K, T>(windows, (id, detail, slots, create) =>
      this.#operator('window', id, slots, detail, [this.input], create),
    )
  }

  /** Emits the running result of each key with each of its records. */
  aggregate<Acc, R>(spec: {
    readonly id: string
    readonly aggregate: Aggregate<T, Acc, R>
  }): OperatorStream<{
    readonly key: K
    readonly value: R
  }> {
    const { id, aggregate } = spec
    return this.#operator('aggregate', id, ['accumulator:aggregating'], '', [this.input], (runtime) => ({
      onRecord(_input, value, timestampMs, entry) {
        const before = entry!.slots[0]
        const after = accumulatorOf(
          aggregate.add(before === undefined ? aggregate.create() : (before as Acc), value as T),
          id,
        )
        entry!.slots[0] = after
        runtime.touch(entry!)
        runtime.emit({ key: entry!.key, value: aggregate.result(after) }, timestampMs)
      },
    }))
  }

  /** Joins records of two streams with the same key whose times are within bounds of each other. JOB_INVALID. */
  intervalJoin<U, Out>(right: KeyedStream<K, U>, join: IntervalJoin<T, U, Out>): OperatorStream<Out> {
    boundsOf(join)
    return this.#operator(
      'intervalJoin',
      join.id,
      ['left:list', 'right:list'],
      '',
      [this.input, right.input],
      (runtime) => openIntervalJoin(join as unknown as IntervalJoin<unknown, unknown, unknown>, runtime),
    )
  }

  /** Runs code per record beside state that every record of `broadcast` reaches, whatever its key. */
  withBroadcast<B, V, Out, S extends StateSpecs = Record<never, never>>(
    broadcast: Stream<B>,
    fn: BroadcastFunction<K, T, B, V, Out, S>,
  ): OperatorStream<Out> {
    const inputs = [this.input, { from: broadcast.refs, keyOf: null }]
    return this.#operator('broadcast', fn.id, fn.state ?? {}, '', inputs, (runtime) =>
      openBroadcast(
        fn as unknown as BroadcastFunction<unknown, unknown, unknown, unknown, unknown, StateSpecs>,
        runtime,
      ),
    )
  }

  /** Asks something outside for each record, several at a time; results keep the order of the records. JOB_INVALID. */
  lookup<R, Out>(lookup: Lookup<T, R, Out>): OperatorStream<Out> {
    checkLookup(lookup)
    return this.#operator('lookup', lookup.id, [], '', [this.input], (runtime) =>
      openLookup(lookup as unknown as Lookup<unknown, unknown, unknown>, runtime),
    )
  }

  #operator<Out>(
    kind: 'process' | 'window' | 'aggregate' | 'intervalJoin' | 'broadcast' | 'lookup',
    id: string,
    state: readonly string[] | StateSpecs,
    detail: string,
    inputs: readonly KeyedInput[],
    create: KeyedNode['create'],
  ): OperatorStream<Out> {
    const slots = isSlots(state) ? { slots: state } : { slots: slotNames(state), expires: expiringSlots(state) }
    return new OperatorStream<Out>(this.#builder, [this.#builder.add({ kind, id, ...slots, detail, inputs, create })])
  }
}

type AddWindow = <Out>(
  id: string,
  detail: string,
  slots: readonly string[],
  create: KeyedNode['create'],
) => OperatorStream<Out>

/** Slots of an operator's own, which have no time to live; an author's state otherwise. */
function isSlots(state: readonly string[] | StateSpecs): state is readonly string[] {
  return Array.isArray(state)
}

/** Records by key and window. */
export class WindowedStream<K, T> {
  readonly #windows: WindowSpec
  readonly #add: AddWindow

  constructor(windows: WindowSpec, add: AddWindow) {
    this.#windows = windows
    this.#add = add
  }

  /** Emits a result for each key and window when the window fires. JOB_INVALID for what does not fit together. */
  aggregate<Acc, R>(spec: WindowAggregation<T, Acc, R>): OperatorStream<WindowResult<K, R>> {
    const { id, trigger = null, late = null, allowedLateness } = spec
    const plan = planWindows(this.#windows, id)
    const aggregate = spec.aggregate as Aggregate<unknown, unknown, unknown>
    if (plan.merging && aggregate.merge === undefined)
      throw new MillraceError('JOB_INVALID', `session windows of ${id} need an aggregate with merge`)
    if (plan.merging && trigger !== null && trigger.merge === undefined)
      throw new MillraceError('JOB_INVALID', `session windows of ${id} need a trigger with merge`)
    if (plan.domain === 'processing' && allowedLateness !== undefined && allowedLateness !== 0)
      throw new MillraceError(
        'JOB_INVALID',
        `allowedLateness of ${id} has no meaning: nothing is late in windows of processing time`,
      )
    if (plan.global && trigger === null)
      throw new MillraceError(
        'JOB_INVALID',
        `the global window of ${id} never ends: give it a trigger, as countTrigger(100)`,
      )
    const allowedLatenessMs =
      allowedLateness === undefined || allowedLateness === 0
        ? 0
        : durationMs(allowedLateness, `allowedLateness of ${id}`)
    const fn = { id, plan, aggregate, trigger: trigger as Trigger<unknown> | null, allowedLatenessMs, late }
    const { panes } = plan
    if (panes !== null && trigger === null && aggregate.merge !== undefined)
      return this.#add(id, plan.text, PANE_SLOTS, (runtime) => new PaneWindowOperator(fn, panes, runtime))
    return this.#add(id, plan.text, ['windows:window'], (runtime) => new WindowOperator(fn, runtime))
  }
}

function bytesOf(encoded: Uint8Array | { finish(): Uint8Array }, id: string): Uint8Array {
  if (encoded instanceof Uint8Array) return encoded
  refuseAsync(encoded, id, 'encode')
  return encoded.finish()
}
