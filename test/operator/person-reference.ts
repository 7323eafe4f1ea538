/** Tables about persons of every kind, and what they must say by the definitions. Shares nothing with src/metrics but conditions. */
import fc from 'fast-check'
import type { PersonPlan, TablePlan } from '../../src/job/plan.ts'
import { personPredicates } from '../../src/metrics/person-function.ts'
import { cohortValueReference } from '../metrics/cohort-value-reference.ts'
import { funnelReference } from '../metrics/funnel-reference.ts'
import { lifecycleReference } from '../metrics/lifecycle-reference.ts'
import { pathsReference } from '../metrics/paths-reference.ts'
import { retentionReference, stickinessReference } from '../metrics/retention-reference.ts'
import { sessionsReference } from '../metrics/sessions-reference.ts'
import type { Given, TestEvent } from '../metrics/support.ts'
import { type PersonRow, personPlan, WINDOW_MS } from './person-support.ts'

/** What a table must say, by the definition, person by person. Windows that are closed stay as they were. */
export class PersonReference {
  readonly plan: TablePlan
  applied = 0
  late = 0
  #watermarkMs = Number.NEGATIVE_INFINITY
  readonly #events = new Map<string, { row: PersonRow; copies: number }>()
  #values = new Map<string, readonly number[]>()
  readonly #sizeMs: number
  /** Windows, or where they overlap the time from one to the next. */
  readonly #periodMs: number
  readonly #periodOf: (timeMs: number) => { startMs: number; endMs: number }

  constructor(plan: TablePlan) {
    this.plan = plan
    const { window } = plan
    const sizeMs = sizeOf(plan)
    const periodMs = window.kind === 'sliding' ? window.slideMs : sizeMs
    this.#sizeMs = sizeMs
    this.#periodMs = periodMs
    this.#periodOf = (timeMs) => {
      const startMs = Math.floor(timeMs / periodMs) * periodMs
      return { startMs, endMs: startMs + periodMs }
    }
  }

  apply(rows: readonly PersonRow[]): void {
    for (const row of rows) {
      if (row.bits === 0) continue
      if (this.#isLate(row)) {
        this.late++
        continue
      }
      this.applied++
      const { person, bits, text, value } = row
      const { kind } = this.plan.person!
      // Of a period's events only their number is known: one that is taken back before it comes is another's meanwhile.
      const byPeriod =
        kind === 'lifecycle' ||
        kind === 'actives' ||
        ((kind === 'retention' || kind === 'lifetimeValue') && keepsPeriods(this.plan))
      const keptMs = byPeriod ? this.#periodMs : kind === 'stickiness' ? HOUR_MS : 1
      const timeMs = row.timeMs - (row.timeMs % keptMs)
      const name = JSON.stringify([person, timeMs, bits, text, value])
      const event = this.#events.get(name)
      if (event === undefined) this.#events.set(name, { row, copies: row.weight })
      else event.copies += row.weight
    }
    const values = new Map([...this.#values].filter(([name]) => !this.#isOpen(startOf(name))))
    const persons = Map.groupBy(this.#events.values(), ({ row }) => row.person)
    for (const events of persons.values()) {
      const own = events.flatMap(({ row, copies }) => new Array<TestEvent>(Math.max(0, copies)).fill(row))
      for (const { startMs, label, text, texts = [text, label], values: more } of this.#given(own)) {
        if (!this.#isOpen(startMs)) continue
        const name = JSON.stringify([startMs, ...texts])
        values.set(name, values.get(name)?.map((value, i) => value + more[i]!) ?? more)
      }
    }
    this.#values = values
  }

  advance(watermarkMs: number): void {
    this.#watermarkMs = watermarkMs
  }

  values(): Map<string, readonly number[]> {
    return this.#values
  }

  #given(events: readonly TestEvent[]): (Given & { readonly texts?: readonly string[] })[] {
    const person = this.plan.person!
    const sizeMs = this.#sizeMs
    switch (person.kind) {
      case 'funnel':
        return funnelReference({ ...person, steps: person.steps.length }, sizeMs, events)
      case 'lifecycle':
        return lifecycleReference(this.#periodOf, person.lookbackMs, events)
      case 'stickiness':
        return stickinessReference(this.#periodOf, (timeMs) => Math.floor(timeMs / HOUR_MS), events)
      case 'lifetimeValue': {
        const between = (fromMs: number, toMs: number) => Math.floor((toMs - fromMs) / sizeMs)
        return cohortValueReference(person, { of: this.#periodOf, between }, events)
      }
      case 'actives':
        return activesReference(sizeMs, events)
      case 'sessions':
        return sessionsReference(person, this.#periodOf, utcDayOf, events)
      case 'paths': {
        const given = pathsReference(
          person,
          this.#periodOf,
          utcDayOf,
          events.map((event) => ({ ...event, of: event.text })),
        )
        const by = this.plan.dimensions.includes(0)
        return given.map(({ startMs, text, step, from, to }) => {
          return { startMs, label: '', text, texts: [...(by ? [text] : []), step, from, to], values: [1] }
        })
      }
      case 'retention': {
        const between = (fromMs: number, toMs: number) => Math.floor((toMs - fromMs) / sizeMs)
        return retentionReference(person, { of: this.#periodOf, between, elapsed: between }, events)
      }
    }
  }

  #isOpen(startMs: number): boolean {
    const { settleMs = 0, allowedLatenessMs } = this.plan
    return startMs + this.#sizeMs - 1 + settleMs + allowedLatenessMs > this.#watermarkMs
  }

  /** Late: no window that the event could change is open. */
  #isLate({ timeMs, bits }: PersonRow): boolean {
    const { startMs, endMs } = this.#periodOf(timeMs)
    const person = this.plan.person!
    switch (person.kind) {
      case 'lifecycle':
        return !this.#isOpen(Math.max(endMs, this.#periodOf(startMs + person.lookbackMs).startMs))
      case 'lifetimeValue':
        return !this.#isOpen(this.#periodOf(startMs + ((bits & 1) !== 0 ? person.lookbackMs : 0)).startMs)
      case 'retention': {
        // A start matters to cohorts for as long as it is looked back to; a return, to those that began before it.
        const lookbackMs = person.cohort === 'first' && (bits & 1) !== 0 ? person.lookbackMs : 0
        return !this.#isOpen(this.#periodOf(startMs + lookbackMs).startMs)
      }
      case 'paths':
      case 'sessions': {
        let openFromMs = -100 * this.#sizeMs
        while (!this.#isOpen(openFromMs)) openFromMs += this.#sizeMs
        const midnightMs = utcDayOf(openFromMs).startMs
        if (person.kind === 'sessions' && person.cutAtMidnight) return timeMs < midnightMs
        return timeMs < midnightMs - Math.max(24 * HOUR_MS, person.maxDurationMs) - person.gapMs
      }
      default:
        return !this.#isOpen(startMs)
    }
  }
}

const HOUR_MS = 3_600_000

function utcDayOf(timeMs: number): { startMs: number; endMs: number } {
  const startMs = Math.floor(timeMs / 24 / HOUR_MS) * 24 * HOUR_MS
  return { startMs, endMs: startMs + 24 * HOUR_MS }
}

/** Without texts, and by the calendar, it does not matter when in its period an event happened. */
function keepsPeriods({ person, dimensions }: TablePlan): boolean {
  return dimensions.length === 1 && !(person?.kind === 'retention' && person.clock === 'elapsed')
}

/** The length of a table's windows. */
function sizeOf({ window }: TablePlan): number {
  return window.kind === 'tumbling' || window.kind === 'sliding' ? window.sizeMs : 0
}

/** Each window, starting every WINDOW_MS, that has an event with a text. */
function activesReference(sizeMs: number, events: readonly TestEvent[]): Given[] {
  const given = new Map<string, Given>()
  for (const { timeMs, text } of events) {
    for (let startMs = timeMs - (timeMs % WINDOW_MS); startMs > timeMs - sizeMs; startMs -= WINDOW_MS)
      given.set(`${startMs} ${text}`, { startMs, text, label: '', values: [1] })
  }
  return [...given.values()]
}

const startOf = (name: string): number => (JSON.parse(name) as [number])[0]

const funnels: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('funnel'),
  steps: fc.constantFrom([0, 1], [0, 1, 2], [0, 1, 1]),
  order: fc.constantFrom('sequential', 'strict', 'any'),
  every: fc.constant(-1),
  withinMs: fc.integer({ min: 0, max: 25 }),
  exclude: fc.constant([]),
  attribution: fc.constantFrom<'first' | 'last'>('first', 'last'),
  bucketsMs: fc.constant([5]),
})

const lifecycles: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('lifecycle'),
  active: fc.constant(0),
  lookbackMs: fc.constantFrom(10, 25, 60),
})

const retentions: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('retention'),
  start: fc.constantFrom(0, 1),
  return: fc.constantFrom(1, 2),
  periods: fc.integer({ min: 1, max: 4 }),
  mode: fc.constantFrom('on', 'onOrAfter'),
  cohort: fc.constantFrom('first', 'recurring'),
  clock: fc.constantFrom('calendar', 'elapsed'),
  lookbackMs: fc.constantFrom(10, 25, 60),
})

const stickinesses: fc.Arbitrary<PersonPlan> = fc.constant({ kind: 'stickiness', active: 0, interval: 'hour' })

const lifetimes: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('lifetimeValue'),
  start: fc.constantFrom(0, 1),
  money: fc.constantFrom(1, 2),
  ages: fc.integer({ min: 0, max: 4 }),
  lookbackMs: fc.constantFrom(10, 25, 60),
})

const sessions: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('sessions'),
  every: fc.constant(0),
  views: fc.constantFrom(0, 1),
  interactions: fc.constantFrom(2, -1),
  gapMs: fc.constantFrom(6 * HOUR_MS, 12 * HOUR_MS),
  maxDurationMs: fc.constantFrom(12 * HOUR_MS, 24 * HOUR_MS, 54 * HOUR_MS),
  cutAtMidnight: fc.boolean(),
  engagedAfterMs: fc.constant(12 * HOUR_MS),
  bounce: fc.constantFrom('ga4', 'posthog', 'plausible', 'matomo'),
  bucketsMs: fc.constant([6 * HOUR_MS]),
})

const paths: fc.Arbitrary<PersonPlan> = fc.record({
  kind: fc.constant('paths'),
  every: fc.constant(0),
  of: fc.constant(0),
  gapMs: fc.constantFrom(6 * HOUR_MS, 12 * HOUR_MS),
  maxDurationMs: fc.constantFrom(12 * HOUR_MS, 24 * HOUR_MS, 54 * HOUR_MS),
  steps: fc.integer({ min: 1, max: 4 }),
  collapse: fc.boolean(),
})

const values: fc.Arbitrary<Pick<PersonPlan, 'value'>> = fc.constantFrom({}, { value: { column: 0, predicate: 1 } })
const actives: fc.Arbitrary<PersonPlan> = fc.constant({ kind: 'actives', active: 0 })

/** Tables of every kind. */
export const plans = fc
  .tuple(
    fc.oneof(
      funnels,
      lifecycles,
      { weight: 3, arbitrary: retentions },
      stickinesses,
      {
        weight: 2,
        arbitrary: lifetimes,
      },
      actives,
      { weight: 3, arbitrary: sessions },
      { weight: 3, arbitrary: paths },
    ),
    values,
    fc.constantFrom(0, 7, 40),
    fc.constantFrom([0, -2], [-2]),
  )
  .map(([kind, value, lateness, dimensions]) => {
    const person: PersonPlan =
      kind.kind === 'lifetimeValue' ? { ...kind, value: { column: 0, predicate: kind.money } } : { ...kind, ...value }
    // Intervals are hours at least: then what is a millisecond else is half of one.
    const unitMs = unitOf(person)
    const common = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
    const window: TablePlan['window'] =
      person.kind === 'actives'
        ? { kind: 'sliding', sizeMs: 3 * WINDOW_MS, slideMs: WINDOW_MS, ...common }
        : { kind: 'tumbling', sizeMs: WINDOW_MS * unitMs, ...common }
    const own = person.kind === 'paths' ? [...dimensions, -2, -2] : dimensions
    // As jobs must, it retains values for longer than they change.
    return personPlan(person, { window, allowedLatenessMs: lateness * unitMs, dimensions: own, retainMs: 1e12 })
  })

/** The length of the unit in which times are drawn. */
export function unitOf(person: PersonPlan): number {
  if (person.kind === 'sessions' || person.kind === 'paths') return 6 * HOUR_MS
  return person.kind === 'stickiness' ? HOUR_MS / 2 : 1
}

const rows = fc.array(
  fc.record({
    person: fc.constantFrom('anna', 'ben', 'a person with a long name'),
    timeMs: fc.integer({ min: 0, max: 90 }),
    bits: fc.integer({ min: 0, max: 7 }),
    text: fc.constantFrom('', 'x'),
    weight: fc.constantFrom(1, 1, 1, -1),
    value: fc.constantFrom(5, 5, 7, Number.NaN),
  }),
  { maxLength: 8 },
)

/** What happens to a table. */
export type Step =
  | { readonly rows: readonly PersonRow[] }
  | { readonly flush: number }
  | { readonly byMs: number }
  | { readonly parallelism: number }

/** What happens to a table, in order. */
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ rows }) },
    { weight: 2, arbitrary: fc.record({ flush: fc.integer({ min: 0, max: 2 }) }) },
    { weight: 2, arbitrary: fc.record({ byMs: fc.integer({ min: 0, max: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ parallelism: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { maxLength: 14 },
)

/** Local bits of a table are the places of its conditions: here the reference must see them too. */
export function localRows(plan: TablePlan, list: readonly PersonRow[]): PersonRow[] {
  const conditions = personPredicates(plan.person!)
  return list.map((row) => {
    const bits = conditions.reduce((all, condition, i) => all | (((row.bits >> condition) & 1) << i), 0)
    const valued = plan.person!.value !== undefined && (row.bits & (1 << plan.person!.value.predicate)) !== 0
    return { ...row, bits, value: valued ? row.value! : Number.NaN }
  })
}
