/**
 * Tables about persons that look at the same events in the same form, and so keep one set of timelines among them.
 *
 * Owns: who shares with whom, and from when on nobody of them needs an event. Does not own: timelines
 * (state/timelines), what tables make of them (operator/person-table).
 *
 * Tables share from the moment on at which all of them began: where one goes on from a checkpoint and another begins, or
 * goes on from other timelines, each has its own. So a metric that is added to a running job takes nothing from the
 * others, and one that is removed leaves them what they had.
 */

import type { Timelines } from '../state/timelines.ts'
import type { LateRow } from './aggregate-events.ts'

/** A table that may share its timelines. */
export interface SharingTable<T> {
  readonly plan: { readonly shares?: string }
  readonly timelines: Timelines
  readonly timelinesFrom: string
  joins(group: PersonGroup<T>, place: number, timelines: Timelines): void
}

/** Tables with the same timelines, by index in the plan; the first one writes them to checkpoints. */
export class PersonGroup<T> {
  readonly tables: readonly T[]
  /** Of each table: who hears of late rows of the batch at hand. */
  readonly onLate: LateRow[] = []
  /** Of each table: the earliest time that it still looks at. */
  readonly #keepMs: number[]

  constructor(tables: readonly T[]) {
    this.tables = tables
    this.#keepMs = tables.map(() => Number.NEGATIVE_INFINITY)
  }

  /** Notes what table `place` looks at from now on; returns what the group does. */
  keepFrom(place: number, keepMs: number): number {
    this.#keepMs[place] = keepMs
    return Math.min(...this.#keepMs)
  }
}

/** Lets tables share their timelines that may; after a restore, and before the first event. */
export function joinTimelines<T extends SharingTable<T>>(tables: readonly T[]): void {
  const alike = Map.groupBy(
    tables.filter(({ plan }) => plan.shares !== undefined),
    ({ plan, timelinesFrom }) => `${plan.shares}|${timelinesFrom}`,
  )
  for (const group of alike.values()) if (group.length > 1) join(new PersonGroup(group))
}

function join<T extends SharingTable<T>>(group: PersonGroup<T>): void {
  const [first] = group.tables
  group.tables.forEach((table, place) => {
    table.joins(group, place, first!.timelines)
  })
}
