/** What the small shops of tests share: an event as a record, and outputs that are delivered exactly once. */
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { JobDefinition } from '../../src/job/definition.ts'

/** An event of a shop. */
export interface ShopAction {
  readonly person: string
  readonly name: string
  readonly platform: string
  readonly revenueMinor: number
  readonly timeMs: number
  /** No event at all. */
  readonly broken: boolean
}

/** It as a record of a topic. */
export function shopRecord({ person, name, platform, revenueMinor, timeMs, broken }: ShopAction): {
  readonly key: null
  readonly value: Uint8Array
  readonly timestampMs: number
} {
  const occurredAt = new Date(timeMs)
  const value = Event.encode(Event.fromPartial({ person, name, platform, revenueMinor, occurredAt })).finish()
  return { key: null, value: broken ? new Uint8Array([255]) : value, timestampMs: timeMs }
}

/** A job whose results, dead letters and late events are delivered exactly once. */
export function exactlyOnce(definition: JobDefinition): JobDefinition {
  const delivery = 'exactly-once' as const
  return {
    ...definition,
    sinks: definition.sinks.map((sink) => ({ ...sink, delivery })),
    deadLetters: definition.deadLetters && { ...definition.deadLetters, delivery },
    late: { ...definition.late!, delivery },
  }
}
