/**
 * What a job in TypeScript may import: the package `millrace`. Everything else is not for jobs, and may change.
 *
 * See docs/guide/typescript-jobs.md.
 */
export { Event, EventKind } from './gen/millrace/v1/event.ts'
export { average, collect, count, max, min, sum } from './program/aggregates.ts'
export type { BroadcastFunction, BroadcastState, BroadcastView } from './program/broadcast-operator.ts'
export { defineJob, type JobSpec, type SeveralSourcesSpec, sideOutput, type TypedSource } from './program/define.ts'
export type { EventTime, EventType, JobProgram, RegisteredMessage } from './program/graph.ts'
export type { IntervalJoin } from './program/join-operator.ts'
export type { Key } from './program/keys.ts'
export type { Lookup } from './program/lookup-operator.ts'
export { type FramingOptions, framed, type MessageType, messageType, registeredType } from './program/message-types.ts'
export type {
  ConnectFunction,
  DueTimer,
  ProcessContext,
  ProcessFunction,
  SideOutput,
} from './program/process-operator.ts'
export type { InputSpec, JobSettings, OutputSpec, SinkTarget, SourceSpec } from './program/settings.ts'
export {
  type Aggregate,
  type AggregatingState,
  aggregating,
  type ListState,
  list,
  type MapState,
  map,
  type ReducingState,
  reducing,
  type StateOptions,
  type ValueState,
  value,
} from './program/state.ts'
export type {
  KeyedStream,
  OperatorStream,
  SinkSpec,
  Stream,
  WindowAggregation,
  WindowedStream,
} from './program/streams.ts'
export { countTrigger, type Trigger, type TriggerAnswer, type TriggerContext } from './program/triggers.ts'
export type { WindowResult } from './program/window-operator.ts'
export type { Duration, WindowBounds, WindowSpec } from './program/windows.ts'
