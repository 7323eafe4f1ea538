/** The sample as events of the oracle's jobs: those of the main job, with ids, amounts and currencies. */
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { readEcom } from '../support/ecom.ts'
import { engagementEvents, type SampleEvent } from '../support/events.ts'

/** One event and its row in the oracle's table. */
export interface OracleEvent extends SampleEvent {
  readonly row: number
}

/** By row number modulo 3. */
const currencies = ['EUR', 'USD', 'JPY'] as const

let events: readonly OracleEvent[] | undefined

/** All of them, by time. */
export function oracleEvents(): readonly OracleEvent[] {
  const rows = readEcom()
  events ??= engagementEvents().map(({ person, timeMs, value }, i) => {
    const { row, revenueMinor } = rows[i]!
    const event = { ...Event.decode(value!), revenueMinor, currency: currencies[row % 3]! }
    return { person, timeMs, row, value: Event.encode(event).finish() }
  })
  return events
}

/** SQL condition of events that come late, and the same of one event: a seventh of them, whoever they are of. */
export const lateSql = 'row % 7 = 0'

/** Whether an event comes late. */
export function isLate({ row }: OracleEvent): boolean {
  return row % 7 === 0
}
