/** From the plan of a table about persons to the function that it computes, and the bits that its timelines have. */
import type { TumblingWindow } from '../job/definition.ts'
import type { PersonPlan, TablePlan } from '../job/plan.ts'
import { createAssigner } from '../window/assigner.ts'
import { KnownWindows } from '../window/known-windows.ts'
import { createPanes } from '../window/panes.ts'
import { Actives } from './actives.ts'
import { CohortValue } from './cohort-value.ts'
import { Funnel } from './funnel.ts'
import { Lifecycle } from './lifecycle.ts'
import { Paths } from './paths.ts'
import { retentionFunction, stickinessFunction } from './period-functions.ts'
import { Sessions } from './sessions.ts'
import type { PersonFunction } from './timeline.ts'

/** The function of a table about persons. */
export function personFunction(person: PersonPlan, table: TablePlan): PersonFunction {
  const { window, dimensions } = table
  const windows = new KnownWindows(createAssigner(window))
  switch (person.kind) {
    case 'funnel': {
      const { steps, ...shape } = person
      const texts = dimensions.filter((column) => column !== -2).length
      return new Funnel({ ...shape, steps: steps.length }, windows, texts)
    }
    case 'lifecycle':
      return new Lifecycle(person.lookbackMs, windows)
    case 'retention':
      return retentionFunction(person, table, windows)
    case 'lifetimeValue':
      return new CohortValue({ ...person, settleMs: table.settleMs ?? 0 }, windows, dimensions.length > 1)
    case 'stickiness':
      return stickinessFunction(person, table.window, windows)
    case 'sessions':
      return new Sessions(person, windows, new KnownWindows(createAssigner(dayOf(window.timezone))))
    case 'paths': {
      const days = new KnownWindows(createAssigner(dayOf(window.timezone)))
      const texts = dimensions.filter((column) => column !== -2).length
      return new Paths({ ...person, cutAtMidnight: false }, windows, days, texts)
    }
    case 'actives':
      return new Actives(
        createPanes(window)!,
        'sizeMs' in window ? window.sizeMs : 0,
        dimensions.some((column) => column !== -2),
      )
  }
}

/** The days of a zone. */
function dayOf(timezone: string): TumblingWindow {
  return { kind: 'tumbling', sizeMs: 86_400_000, offsetMs: 0, timezone, time: 'event' }
}

/** The conditions of a table about persons, as bits of the row mask: bit i of its timelines is the i-th of them. */
export function personPredicates(person: PersonPlan): readonly number[] {
  switch (person.kind) {
    case 'funnel':
      return [
        ...person.steps,
        ...person.exclude.map(({ predicate }) => predicate),
        ...(person.every < 0 ? [] : [person.every]),
      ]
    case 'lifecycle':
    case 'stickiness':
    case 'actives':
      return [person.active]
    case 'lifetimeValue':
      return [person.start, person.money]
    case 'paths':
      return [person.every]
    case 'sessions':
      return [person.every, person.views, ...(person.interactions < 0 ? [] : [person.interactions])]
    case 'retention':
      return [person.start, person.return]
  }
}
