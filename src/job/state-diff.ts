/**
 * What becomes of the state of a checkpoint, or savepoint, under a plan.
 *
 * Owns: the difference, part by part, and what is refused because it would lose something unasked. Does not own: which
 * accumulators match (job/state-match.ts), moving them (operator/table-restore), reading checkpoints. Pure.
 *
 * Rules, held by test/job/state-diff.test.ts:
 * S1. A plan and a checkpoint of its own: everything is kept, in whatever order metrics are written.
 * S2. Whatever a checkpoint has is kept, migrated, or said to be dropped or incompatible; nothing goes unsaid.
 * S3. What is dropped needs consent by its name: that of the metric, table, operator, part of state or source.
 * S4. A metric whose meaning has changed does not go on with numbers of the old meaning: it is dropped, and new.
 * S5. What is incompatible cannot be consented to.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import { formatDuration } from './duration.ts'
import {
  describeCondition,
  type OperatorDescriptor,
  type StateDescription,
  type TableDescriptor,
  tableKey,
  widens,
} from './state-identity.ts'
import { matchTables, type TableMatch } from './state-match.ts'
import { describeWindow } from './window-text.ts'

/** What becomes of a part of state. */
export type StateChange = 'kept' | 'migrated' | 'new' | 'dropped' | 'incompatible'

/** One part of state. */
export interface StateDiffEntry {
  readonly change: StateChange
  readonly kind: 'source' | 'table' | 'metric' | 'operator' | 'slot' | 'job' | 'dedupe'
  /** The name by which dropping it is consented to; a slot's is `operator/slot`. */
  readonly name: string
  /** The table of a metric, the operator of a slot; '' else. Consent may name it instead. */
  readonly within: string
  /** Why, and what follows, for people; '' where nothing is to be said. */
  readonly detail: string
}

/** What becomes of everything. */
export interface StateDiff {
  readonly entries: readonly StateDiffEntry[]
  /** How the plan's tables go on, in their order. */
  readonly tables: readonly TableMatch[]
  /** Where the positions of each of the plan's sources are in the checkpoint; -1 for a source that begins. */
  readonly sources: readonly number[]
}

/** The difference between what a checkpoint has and what a plan wants. */
export function diffState(held: StateDescription, wanted: StateDescription): StateDiff {
  const tables = matchTables(held, wanted)
  const sources = wanted.sources.map(({ id, input }) =>
    held.sources.findIndex((source) => source.id === id && (source.input === null || source.input === input)),
  )
  return {
    entries: [
      ...jobEntries(held, wanted),
      ...sourceEntries(held, wanted, sources),
      ...dedupeEntries(held, wanted),
      ...tableEntries(held, wanted, tables),
      ...operatorEntries(held.operators, wanted.operators),
    ],
    tables,
    sources,
  }
}

/**
 * Why a job cannot go on so: what is incompatible, and what would be dropped without being named. Null when it can.
 * `what` names what it would go on from: `checkpoint 7 of job j`. STATE_INCOMPATIBLE, with a violation a part.
 */
export function refusalOf(diff: StateDiff, dropState: readonly string[], what: string): MillraceError | null {
  const bad = diff.entries.filter(({ change }) => change === 'incompatible')
  const lost = diff.entries.filter((entry) => needsConsent(entry) && !isNamed(entry, dropState))
  const first = bad[0] ?? lost[0]
  if (first === undefined) return null
  const violations = [...bad, ...lost].map(({ kind, name, detail }): Violation => {
    return { field: `${kind} ${name}`, message: detail, line: 0, column: 0 }
  })
  const more = violations.length === 1 ? '' : `, and ${violations.length - 1} more`
  const names = [...new Set(lost.map(({ name }) => name))]
  const advice =
    bad.length > 0
      ? 'Take that back, or submit the job under another name'
      : `Name what may go (drop_state, --drop-state): ${names.join(', ')}; or bring it back`
  return new MillraceError(
    'STATE_INCOMPATIBLE',
    `${what} does not fit the job: ${first.kind} ${first.name}: ${first.detail}${more}. ${advice}`,
    { violations, retry: 'never' },
  )
}

/** Names of consent that name nothing that is dropped: a slip of the pen, most likely. */
export function needlessNames(diff: StateDiff, dropState: readonly string[]): readonly string[] {
  const dropped = diff.entries.filter(({ change }) => change === 'dropped')
  return dropState.filter((name) => !dropped.some((entry) => isNamed(entry, [name])))
}

/** Whether a part goes only if it is named. A table is its metrics: those are named, or it for all of them. */
function needsConsent({ change, kind }: StateDiffEntry): boolean {
  return change === 'dropped' && kind !== 'table'
}

function isNamed({ name, within }: StateDiffEntry, names: readonly string[]): boolean {
  return names.includes(name) || (within !== '' && names.includes(within))
}

function jobEntries(held: StateDescription, wanted: StateDescription): StateDiffEntry[] {
  const entries: StateDiffEntry[] = []
  const bad = (name: string, detail: string): void => {
    entries.push({ change: 'incompatible', kind: 'job', name, within: '', detail })
  }
  if (held.keyGroups !== wanted.keyGroups) {
    const counts = `there are ${held.keyGroups} in the state, and ${wanted.keyGroups} in the job`
    bad('keyGroups', `${counts}: that number is fixed for the life of state`)
  }
  const [was, is] = [held.event, wanted.event]
  if (was !== null && is !== null && (was.time !== is.time || was.timeUnitMs !== is.timeUnitMs))
    bad('event.time', `it was ${was.time} and is ${is.time} now: all windows and watermarks are by what it was`)
  return entries
}

function sourceEntries(held: StateDescription, wanted: StateDescription, sources: readonly number[]): StateDiffEntry[] {
  const entry = (change: StateChange, name: string, detail: string): StateDiffEntry => {
    return { change, kind: 'source', name, within: '', detail }
  }
  const now = wanted.sources.map(({ id, input }, i) =>
    sources[i]! >= 0
      ? entry('kept', id, '')
      : entry('new', id, `it reads ${input ?? ''} from the start position of the job`),
  )
  const gone = held.sources.flatMap(({ id, input }, i): StateDiffEntry[] => {
    if (sources.includes(i)) return []
    const other = wanted.sources.find((source) => source.id === id)
    if (other === undefined)
      return [entry('dropped', id, `the job has no such source: positions in ${input ?? 'it'} go`)]
    return [
      entry('dropped', id, `it read ${input} and now ${other.input}: positions in the one mean nothing in the other`),
    ]
  })
  return [...now, ...gone]
}

/** Ids of events: what they were ids of decides, and the key that each is under. */
function dedupeEntries(held: StateDescription, wanted: StateDescription): StateDiffEntry[] {
  const [was, is] = [held.dedupe, wanted.dedupe]
  const entry = (change: StateChange, detail: string): StateDiffEntry => {
    return { change, kind: 'dedupe', name: 'dedupe', within: '', detail }
  }
  const again = 'copies of events from before are counted again'
  const begins = entry('new', `ids are remembered from the checkpoint on: ${again}`)
  if (was === undefined) return is === undefined ? [] : [begins]
  if (is === undefined) return [entry('dropped', `the job does not deduplicate any more: ${again}`)]
  if (was.by !== is.by) return [entry('dropped', `ids were ${was.by} and are ${is.by} now: ${again}`), begins]
  if (JSON.stringify(held.event) !== JSON.stringify(wanted.event))
    return [entry('dropped', `events have another key, and ids are one's of a key: ${again}`), begins]
  if (was.withinMs === is.withinMs) return [entry('kept', '')]
  const change = `${formatDuration(was.withinMs)} to ${formatDuration(is.withinMs)}`
  const gone = was.withinMs < is.withinMs ? '; ids that are forgotten do not come back' : ''
  return [entry('migrated', `the time that ids are remembered changes from ${change}${gone}`)]
}

function tableEntries(
  held: StateDescription,
  wanted: StateDescription,
  matches: readonly TableMatch[],
): StateDiffEntry[] {
  const kept = keptAccumulators(held, matches)
  const now = wanted.tables.flatMap((table, t) => [
    tableEntry(table, matches[t]!),
    ...table.metrics.map((_, m) => metricEntry(held, wanted, t, m, matches[t]!)),
  ])
  const gone = held.tables.flatMap((table, t) => {
    const lost = table.metrics.filter(({ reads }) => !reads.every((read) => kept[t]!.has(read)))
    const metrics = lost.map(({ id }): StateDiffEntry => {
      const detail = whyLost(held, wanted, table, id)
      return { change: 'dropped', kind: 'metric', name: id, within: table.id, detail }
    })
    if (kept[t]!.size > 0) return metrics
    const detail = 'no metric of the job has anything in it any more'
    return [{ change: 'dropped', kind: 'table', name: table.id, within: '', detail } as const, ...metrics]
  })
  return [...now, ...gone]
}

/** By table of the checkpoint: its accumulators that go on somewhere. */
function keptAccumulators(held: StateDescription, matches: readonly TableMatch[]): readonly ReadonlySet<number>[] {
  return held.tables.map((table) => {
    const sources = matches.flatMap((match) => match.sources.filter((source) => source.held === table))
    return new Set(sources.flatMap(({ accumulators }) => accumulators.flatMap((into, i) => (into < 0 ? [] : [i]))))
  })
}

function tableEntry(wanted: TableDescriptor, match: TableMatch): StateDiffEntry {
  const entry = { kind: 'table', name: wanted.id, within: '' } as const
  if (match.sources.length === 0) return { ...entry, change: 'new', detail: '' }
  const notes: string[] = []
  const [first] = match.sources
  if (match.sources.length > 1) notes.push(`made of ${match.sources.map((source) => source.held.id).join(' and ')}`)
  else if (first!.held.id !== wanted.id) notes.push(`was ${first!.held.id}`)
  for (const { held: was } of match.sources) {
    if (was.allowedLatenessMs < wanted.allowedLatenessMs) {
      notes.push(
        `allowed lateness grows from ${formatDuration(was.allowedLatenessMs)} to ` +
          `${formatDuration(wanted.allowedLatenessMs)}; what is closed stays closed`,
      )
    } else if (was.allowedLatenessMs > wanted.allowedLatenessMs) {
      const shorter = `${formatDuration(was.allowedLatenessMs)} to ${formatDuration(wanted.allowedLatenessMs)}`
      notes.push(`allowed lateness shrinks from ${shorter}`)
    }
    if (was.retainMs !== wanted.retainMs) {
      const change = `${formatDuration(was.retainMs)} to ${formatDuration(wanted.retainMs)}`
      notes.push(`retention changes from ${change}; what is gone does not come back`)
    }
    if (was.earlyMs !== wanted.earlyMs) notes.push('early results change')
  }
  const added = match.origins.filter((origin) => origin === null).length
  if (added > 0) notes.push(`${added} metrics added`)
  const change = notes.length === 0 ? 'kept' : 'migrated'
  return { ...entry, change, detail: [...new Set(notes)].join('; ') }
}

function metricEntry(
  held: StateDescription,
  wanted: StateDescription,
  t: number,
  m: number,
  match: TableMatch,
): StateDiffEntry {
  const table = wanted.tables[t]!
  const metric = table.metrics[m]!
  const origin = match.origins[m]!
  const entry = { kind: 'metric', name: metric.id, within: table.id } as const
  if (origin === null) {
    const before = held.tables.some((other) => other.metrics.some(({ id }) => id === metric.id))
    const begins = 'counts from the checkpoint on: windows open then have only what comes after it'
    return { ...entry, change: 'new', detail: before ? `${begins}, for it means something else now` : begins }
  }
  const from = held.tables[origin.table]!
  const readers = from.metrics.filter(({ reads }) => reads.join() === origin.reads.join())
  const itself = from.metrics.find(({ id }) => id === metric.id)
  const notes: string[] = []
  if (itself === undefined || !readers.includes(itself)) {
    const twin = readers.find(({ as }) => as === metric.as)
    const other = twin ?? from.metrics.find(({ reads }) => origin.reads.every((read) => reads.includes(read)))
    const counted = other ?? from.metrics.find(({ reads }) => reads.includes(origin.reads.at(-1)!))
    if (twin !== undefined && !stays(wanted, from, twin.id)) notes.push(`was ${twin.id}`)
    else notes.push(`goes on with what ${counted?.id ?? 'others'} has gathered`)
  } else if (itself.as !== metric.as) notes.push(`reads the same state as ${metric.as} and no more as ${itself.as}`)
  metric.reads.forEach((read, i) => {
    const [was, is] = [from.accumulators[origin.reads[i]!]!, table.accumulators[read]!]
    if (widens(was, is))
      notes.push(`${is.field} widens from ${was.class} to ${is.class}${is.nullable ? ' or none' : ''}`)
  })
  return { ...entry, change: notes.length === 0 ? 'kept' : 'migrated', detail: [...new Set(notes)].join('; ') }
}

/** Whether the job still has a metric of this name over the same windows and dimensions. */
function stays(wanted: StateDescription, from: TableDescriptor, id: string): boolean {
  return wanted.tables.some((table) => tableKey(table) === tableKey(from) && table.metrics.some((m) => m.id === id))
}

function whyLost(held: StateDescription, wanted: StateDescription, table: TableDescriptor, id: string): string {
  const now = wanted.tables.find((other) => other.metrics.some((metric) => metric.id === id))
  if (now === undefined) return 'the job has no such metric any more'
  const changes: string[] = []
  if (JSON.stringify(held.event) !== JSON.stringify(wanted.event)) changes.push('events have another key')
  const by = ({ dimensions }: TableDescriptor): string => dimensions.map(({ path }) => path).join(', ') || 'nothing'
  if (by(table) !== by(now)) changes.push(`it was by ${by(table)} and is by ${by(now)}`)
  const windows = [describeWindow(table.window), describeWindow(now.window)]
  if (windows[0] !== windows[1]) changes.push(`its windows were ${windows[0]} and are ${windows[1]}`)
  if (table.takesBack !== now.takesBack)
    changes.push(`events ${now.takesBack ? 'can' : 'cannot'} be taken back now (event.weight)`)
  const [was, is] = [table, now].map(({ accumulators, metrics }) =>
    metrics.find((metric) => metric.id === id)!.reads.map((read) => accumulators[read]!),
  )
  const conditions = [was![0]!.condition, is![0]!.condition]
  if (conditions[0] !== conditions[1])
    changes.push(`it took ${describeCondition(conditions[0]!)} and takes ${describeCondition(conditions[1]!)}`)
  const [what, what2] = [was!, is!].map((reads) => reads.map(({ kind, field }) => `${kind} ${field}`.trim()).join(', '))
  if (what !== what2) changes.push(`it was made of ${what} and is made of ${what2}`)
  if (changes.length === 0 && now.window.kind === 'session' && tableKey(table) === tableKey(now)) {
    return 'its sessions lie in another table than those that go on, with which they would overlap: the numbers so far go'
  }
  return `it means something else now (${changes.join('; ') || 'its parameters have changed'}): the numbers so far go`
}

function operatorEntries(held: readonly OperatorDescriptor[], wanted: readonly OperatorDescriptor[]): StateDiffEntry[] {
  const now = wanted.flatMap(({ id, slots }): StateDiffEntry[] => {
    const before = held.find((operator) => operator.id === id)
    const operator = { kind: 'operator', name: id, within: '' } as const
    if (before === undefined) return [{ ...operator, change: 'new', detail: '' }]
    const changed = before.slots.join() !== slots.join()
    return [
      { ...operator, change: changed ? 'migrated' : 'kept', detail: changed ? 'parts of its state come or go' : '' },
      ...slots.map((slot): StateDiffEntry => {
        return { change: before.slots.includes(slot) ? 'kept' : 'new', ...slotOf(id, slot), detail: '' }
      }),
    ]
  })
  const gone = held.flatMap(({ id, slots }): StateDiffEntry[] => {
    const after = wanted.find((operator) => operator.id === id)
    if (after === undefined) {
      const detail = 'the job has no such operator any more: keep the ids of operators that have state'
      return [{ change: 'dropped', kind: 'operator', name: id, within: '', detail }]
    }
    return slots.flatMap((slot): StateDiffEntry[] => {
      if (after.slots.includes(slot)) return []
      const name = nameOf(slot)
      const other = after.slots.find((candidate) => nameOf(candidate) === name)
      const kind = slot.slice(name.length + 1)
      const detail =
        other === undefined
          ? 'the operator does not declare it any more'
          : `it is stored as ${kind} and declared as ${other.slice(name.length + 1)}: what is stored cannot be read so`
      return [{ change: 'dropped', ...slotOf(id, slot), detail }]
    })
  })
  return [...now, ...gone]
}

function slotOf(operator: string, slot: string): Pick<StateDiffEntry, 'kind' | 'name' | 'within'> {
  return { kind: 'slot', name: `${operator}/${nameOf(slot)}`, within: operator }
}

function nameOf(slot: string): string {
  return slot.slice(0, slot.lastIndexOf(':'))
}
