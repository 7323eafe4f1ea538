/** Timelines and contributions as plain lists. */
import fc from 'fast-check'
import { ContributionRows, Contributions, type PersonFunction, Timeline } from '../../src/metrics/timeline.ts'

/** One event: which conditions it meets, and its only dimension. */
export interface TestEvent {
  readonly timeMs: number
  readonly bits: number
  readonly text: string
}

/** What a person adds to a group of a window; each number by its column. */
export interface Given {
  readonly startMs: number
  readonly label: string
  readonly text: string
  readonly values: readonly number[]
}

/** The order of timelines: by time, then bits, then texts. */
export function sortEvents(events: readonly TestEvent[]): TestEvent[] {
  return [...events].sort(
    (a, b) => a.timeMs - b.timeMs || a.bits - b.bits || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0),
  )
}

/** A timeline of events in any order: equal ones are copies of one row. */
export function timelineOf(events: readonly TestEvent[]): Timeline {
  const timeline = new Timeline()
  const rows = new Map<string, { event: TestEvent; copies: number }>()
  for (const event of sortEvents(events)) {
    const name = JSON.stringify([event.timeMs, event.bits, event.text])
    const row = rows.get(name)
    if (row === undefined) rows.set(name, { event, copies: 1 })
    else row.copies++
  }
  for (const { event, copies } of rows.values()) {
    const text = Buffer.from(event.text)
    const bytes = Uint8Array.from([text.length, ...text])
    timeline.add(event.timeMs, event.bits, copies, bytes, 0, bytes.length)
  }
  return timeline
}

/** What a function gives for events, one entry a window, label and text, sorted. */
export function givenBy(
  person: PersonFunction,
  events: readonly TestEvent[],
  fromMs = Number.NEGATIVE_INFINITY,
  toMs = Number.POSITIVE_INFINITY,
): Given[] {
  const into = new Contributions(person.entryWidth)
  person.contribute(timelineOf(events), fromMs, toMs, into)
  const given = Array.from({ length: into.count }, (_, i): Given[] => {
    const rows = new ContributionRows(person.width, person.labels.length)
    person.rows(into, i, rows)
    const at = into.textsAt[i]! + 1
    const text = Buffer.from(into.bytes.subarray(at, into.textsAt[i]! + into.textsLength[i]!)).toString()
    return Array.from({ length: rows.count }, (__, row): Given => {
      const values = Array.from(rows.values.subarray(row * rows.width, (row + 1) * rows.width))
      return { startMs: into.startMs[i]!, label: person.labels[rows.label[row]!]!, text, values }
    })
  })
  return sortGiven(given.flat())
}

/** By window, label and text. */
export function sortGiven(given: readonly Given[]): Given[] {
  const nameOf = ({ startMs, label, text }: Given): string => JSON.stringify([startMs + 1e15, label, text])
  return [...given].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

/** Events of few instants, so that there are ties, duplicates and repeated steps. */
export function eventsOf(bits: number, lastMs: number, maxLength: number): fc.Arbitrary<TestEvent[]> {
  return fc.array(
    fc.record({
      timeMs: fc.integer({ min: 0, max: lastMs }),
      bits: fc.integer({ min: 1, max: 2 ** bits - 1 }),
      text: fc.constantFrom('', 'a', 'b'),
    }),
    { maxLength },
  )
}
