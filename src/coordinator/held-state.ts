/**
 * What a checkpoint, or savepoint, has of a job's state, and whether a plan can go on from it.
 *
 * Owns: putting the description together from what the snapshots say, and fitting a checkpoint to a plan. Does not own: the difference (job/state-diff.ts), moving rows (runtime/restore).
 *
 * Checkpoints of before version 3 of the meta document say nothing of their tables. They are what the plan is if the
 * definition is the one that they were made of; with another one they are refused.
 */
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import type { SplitSnapshot, SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import type { DedupeDescriptor } from '../job/dedupe.ts'
import type { JobPlan } from '../job/plan.ts'
import { decodeSources } from '../job/source-meta.ts'
import { diffState, refusalOf, type StateDiff } from '../job/state-diff.ts'
import {
  describeState,
  type EventDescriptor,
  type OperatorDescriptor,
  type SourceDescriptor,
  type StateDescription,
  type TableDescriptor,
} from '../job/state-identity.ts'
import { alignPlan, type TableSource } from '../job/state-match.ts'
import { decodeMeta } from '../operator/table-snapshot.ts'
import { decodeSlots } from '../program/stage-meta.ts'
import { PARTITION_STRIDE, partitionInSource, sourceOfPartition } from '../source/several-sources.ts'

/** The parts of a manifest that say what its state is; those of a savepoint are the same. */
export type HeldCheckpoint = Pick<CheckpointManifest, 'keyGroups' | 'definitionHash' | 'subtasks'>

/**
 * What becomes of the state of a checkpoint under a plan. Throws STATE_INCOMPATIBLE where the checkpoint does not say
 * what it has and is of another definition, or is of a version that this program does not read; `what` names it. What
 * would be lost is for the caller to ask: `refusalOf` (job/state-diff.ts).
 */
export function diffCheckpoint(held: HeldCheckpoint, plan: JobPlan, what: string): StateDiff {
  return diffState(describeCheckpoint(held, plan, what), describeState(plan))
}

/** What the state of a checkpoint is. Throws as `diffCheckpoint`. */
export function describeCheckpoint(held: HeldCheckpoint, plan: JobPlan, what: string): StateDescription {
  const operators = new Map<string, readonly string[]>()
  const tables = new Map<string, TableDescriptor>()
  let sources: readonly SourceDescriptor[] = []
  let event: EventDescriptor | null = null
  let dedupe: DedupeDescriptor | undefined
  let undescribed = false
  for (const snapshot of held.subtasks) {
    const parsed = parse(snapshot.meta)
    const found = sourcesOf(snapshot, parsed)
    const slots = decodeSlots(parsed)
    if (found !== null) sources = found
    else if (slots !== null) operators.set(snapshot.operatorId, slots)
    else if (parsed !== null) {
      const { version, event: by, tables: metas, dedupe: ids } = decodeMeta(snapshot.meta)
      event = by ?? event
      dedupe = ids?.descriptor ?? dedupe
      undescribed ||= version === 2 && Object.keys(metas).length > 0
      for (const [id, { descriptor }] of Object.entries(metas)) if (descriptor !== undefined) tables.set(id, descriptor)
    }
  }
  const ids = dedupe === undefined ? {} : { dedupe }
  const described = { keyGroups: held.keyGroups, sources, event, ...ids, tables: [...tables.values()] }
  if (!undescribed) return { ...described, operators: operatorsOf(operators) }
  const wanted = describeState(plan)
  if (held.definitionHash === plan.definitionHash) return { ...wanted, keyGroups: held.keyGroups, sources }
  throw new MillraceError(
    'STATE_INCOMPATIBLE',
    `${what} was made by an older version, which did not write down what its tables are, and the job is defined ` +
      'differently since: run it once with the definition that it had, so that a checkpoint says so, then change it',
    { retry: 'never' },
  )
}

function operatorsOf(slots: ReadonlyMap<string, readonly string[]>): OperatorDescriptor[] {
  return [...slots].map(([id, parts]) => ({ id, slots: parts }))
}

/** A checkpoint as an attempt goes on from it. */
export interface FittedCheckpoint {
  /** The plan, with accumulators of their own for metrics that begin with this attempt, or began later than their table. */
  readonly plan: JobPlan
  /** By table of the plan: where its rows come from. */
  readonly tables: readonly (readonly TableSource[])[]
  /** Sources under the plan's id, and each position at the place that its source has now. */
  readonly snapshots: readonly SubtaskSnapshot[]
  /** Places of the plan's sources that the checkpoint has no positions of: they begin. */
  readonly freshSources: readonly number[]
}

/**
 * Fits a checkpoint to a plan. Throws STATE_INCOMPATIBLE for one that does not fit: also where state would be dropped that
 * `dropState` does not name. `what` names the checkpoint.
 */
export function fitCheckpoint(
  held: HeldCheckpoint,
  plan: JobPlan,
  dropState: readonly string[],
  what: string,
): FittedCheckpoint {
  const diff = diffCheckpoint(held, plan, what)
  const refusal = refusalOf(diff, dropState, what)
  if (refusal !== null) throw refusal
  return {
    plan: alignPlan(plan, diff.tables),
    tables: diff.tables.map(({ sources }) => sources),
    snapshots: fitSnapshots(held.subtasks, plan, diff),
    freshSources: diff.sources.flatMap((source, place) => (source < 0 ? [place] : [])),
  }
}

function fitSnapshots(
  snapshots: readonly SubtaskSnapshot[],
  plan: JobPlan,
  { sources }: StateDiff,
): readonly SubtaskSnapshot[] {
  const places = new Map(sources.map((held, wanted) => [held, wanted]))
  return snapshots.map((snapshot): SubtaskSnapshot => {
    if (sourcesOf(snapshot, parse(snapshot.meta)) === null) return snapshot
    const splits = snapshot.splits.flatMap((split): SplitSnapshot[] => {
      const place = places.get(sourceOfPartition(split.partition))
      if (place === undefined) return []
      return [{ ...split, partition: place * PARTITION_STRIDE + partitionInSource(split.partition) }]
    })
    return { ...snapshot, operatorId: plan.definition.source.id, splits }
  })
}

/** Before sources were described, those of declarative jobs said nothing. */
function sourcesOf({ operatorId, meta }: SubtaskSnapshot, parsed: unknown): readonly SourceDescriptor[] | null {
  if (meta.length > 0) return decodeSources(parsed)
  return operatorId === 'window' || operatorId === 'merge' ? null : [{ id: operatorId, input: null }]
}

function parse(meta: Uint8Array): unknown {
  return meta.length === 0 ? null : JSON.parse(new TextDecoder().decode(meta))
}
