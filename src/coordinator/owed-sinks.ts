/**
 * Sinks that a changed definition leaves out, or has write elsewhere, although they are owed results: nobody else would give
 * those out, and what was made for one place (a topic, a table) is not of the form that another one takes.
 *
 * Owns: what is owed, as far as is known, and the refusal. A process that has asked the sinks knows; another one goes by
 * the checkpoints and by how far sinks were known to be when the job came to rest, and takes for owed what may be.
 */
import { decodeManifest } from '../checkpoint/manifest.ts'
import { resolveOutbox } from '../checkpoint/outbox-restore.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import { placeOf, recordSinks } from '../job/delivery.ts'
import type { JobPlan } from '../job/plan.ts'
import { type OutboxStatus, type OwedEpoch, owedEpoch, owedText } from './outbox-status.ts'

/** What sinks are owed, oldest first, and where they were. */
export interface Owed extends Pick<OutboxStatus, 'places'> {
  readonly epochs: readonly OwedEpoch[]
  /** False where they may have had it. */
  readonly certain: boolean
}

/** What the sinks of a job are owed. Rejects with the store's errors. */
export async function owedOf(
  store: CheckpointStore,
  { name, jobId, outbox }: { readonly name: string; readonly jobId: string; readonly outbox: OutboxStatus },
): Promise<Owed> {
  const { places } = outbox
  if (outbox.asked) return { epochs: outbox.owed, certain: true, places }
  const retained = []
  for (const id of await store.listCheckpoints(name)) {
    const bytes = await store.readManifest(name, id)
    if (bytes === undefined) continue
    try {
      const manifest = decodeManifest(bytes, `checkpoint ${id} of job ${name}`)
      if (manifest.jobId === jobId) retained.push(manifest)
    } catch {
      // Left to the restore, which says what is wrong with it.
    }
  }
  const restored = retained.at(-1) ?? null
  // To a sink of which nothing is known, all is owed that any of them may lack.
  const facts = { jobName: name, jobId, restored, retained, settledId: outbox.settledId, markers: new Map() }
  const decision = resolveOutbox(facts)
  return { epochs: decision.kind === 'refuse' ? [] : decision.dropped.map(owedEpoch), certain: false, places }
}

/** The sinks of the job of `plan` that write elsewhere than they did. */
export function sinksMoved({ places }: Pick<OutboxStatus, 'places'>, { definition }: JobPlan): readonly string[] {
  const there = [...recordSinks(definition)]
  return there.flatMap(([sink, output]) => ((places.get(sink) ?? placeOf(output)) === placeOf(output) ? [] : [sink]))
}

/** The sinks that are owed something and that the job of `plan` does not have, or not where they were. */
export function sinksGone(owed: Owed, plan: JobPlan): readonly string[] {
  const there = recordSinks(plan.definition)
  const moved = sinksMoved(owed, plan)
  const sinks = new Set(owed.epochs.flatMap((epoch) => epoch.sinks))
  return [...sinks].filter((sink) => !there.has(sink) || moved.includes(sink))
}

/** STATE_INCOMPATIBLE: one of them is gone, and `dropState` does not name it. Null when results can all be given. */
export function refusalOfOwed(owed: Owed, plan: JobPlan, dropState: readonly string[]): MillraceError | null {
  const [sink] = sinksGone(owed, plan).filter((gone) => !dropState.includes(gone))
  if (sink === undefined) return null
  const what = owed.epochs.filter(({ sinks }) => sinks.includes(sink)).map(owedText)
  const change = recordSinks(plan.definition).has(sink)
    ? `has sink ${sink} write elsewhere`
    : `no longer has sink ${sink}`
  const is = owed.certain ? 'is owed' : 'may be owed'
  return new MillraceError(
    'STATE_INCOMPATIBLE',
    `job ${plan.jobName} ${change}, which ${is} ${what.join(' and ')}: those would be lost. Keep the sink as it was ` +
      `until it has them (describe says so), or name it as what may go (drop_state, --drop-state): ${sink}`,
    { retry: 'never' },
  )
}
