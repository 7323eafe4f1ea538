/**
 * What becomes of the outboxes of completed checkpoints, as steps on the protocol's base.
 *
 * Pure. Owns: the order of applying, when sources are held, what retention may take. Does not own: phases (protocol.ts).
 *
 * Invariants: `unapplied` ascends, and its first is the one that is being applied; a checkpoint in it is retained.
 */
import { type ProtocolBase, type ProtocolEffect, type RetainedCheckpoint, UNAPPLIED_MAX } from './protocol-types.ts'

interface BaseStep {
  readonly base: ProtocolBase
  readonly effects: readonly ProtocolEffect[]
}

/** Whether another checkpoint may begin: not while too many outboxes wait for sinks. */
export function mayBegin({ unapplied }: ProtocolBase): boolean {
  return unapplied.length < UNAPPLIED_MAX
}

/** A checkpoint exists; `outbox` says whether it has records for sinks. One without any is applied with those before it. */
export function afterPublished(base: ProtocolBase, published: RetainedCheckpoint, outbox: boolean): BaseStep {
  const { checkpointId } = published
  const unapplied = outbox ? [...base.unapplied, checkpointId] : base.unapplied
  const next = { ...base, unapplied, completedId: checkpointId, retained: [...base.retained, published], uncertain: [] }
  const effects: ProtocolEffect[] = []
  if (unapplied.length === 0) effects.push({ type: 'settled', checkpointId })
  else if (unapplied[0] === checkpointId) effects.push({ type: 'applyOutbox', checkpointId })
  if (mayBegin(base) && !mayBegin(next)) effects.push({ type: 'hold', held: true })
  return retain(next, base.uncertain, effects)
}

/** The first of the unapplied has been applied by all sinks; null for any other. */
export function afterApplied(base: ProtocolBase, checkpointId: number): BaseStep | null {
  if (base.unapplied[0] !== checkpointId) return null
  const unapplied = base.unapplied.slice(1)
  const next = { ...base, unapplied }
  const first = unapplied[0]
  const effects: ProtocolEffect[] = [
    { type: 'settled', checkpointId: first === undefined ? base.completedId : first - 1 },
  ]
  if (first !== undefined) effects.push({ type: 'applyOutbox', checkpointId: first })
  if (!mayBegin(base) && mayBegin(next)) effects.push({ type: 'hold', held: false })
  return retain(next, [], effects)
}

/** Of plain checkpoints the newest `retain` stay, and those that sinks still wait for. */
function retain(base: ProtocolBase, uncertain: readonly number[], effects: readonly ProtocolEffect[]): BaseStep {
  const plain = base.retained.filter((entry) => entry.kind === 'checkpoint').map((entry) => entry.checkpointId)
  const old = plain.slice(0, Math.max(0, plain.length - Math.max(1, base.settings.retain)))
  const dropped = new Set(old.filter((id) => !base.unapplied.includes(id)))
  const subsumed = [...dropped, ...uncertain].sort((a, b) => a - b)
  if (subsumed.length === 0) return { base, effects }
  return {
    base: { ...base, retained: base.retained.filter((entry) => !dropped.has(entry.checkpointId)) },
    effects: [...effects, { type: 'subsume', checkpointIds: subsumed }],
  }
}
