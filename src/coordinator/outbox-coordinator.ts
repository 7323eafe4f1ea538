/**
 * The outboxes of one attempt: opens the sinks, applies what they are owed, tells what is still owed.
 *
 * Owns: which thread a sink lives in, and the sinks' answers. Does not own: when an epoch is due and in what order
 * (checkpoint/protocol.ts), what is owed after a restore (checkpoint/outbox-restore.ts), applying itself
 * (runtime/outbox-applier.ts).
 *
 * Each sink is opened once an attempt, which shuts out whoever had it before; its marker is read after that, so nothing of
 * an earlier owner can come in between. What a sink fails with ends the attempt, and the next one asks for the marker.
 */
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import { type OutboxEpoch, outboxOf, resolveOutbox, type SinkMarker } from '../checkpoint/outbox-restore.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import { outboxKinds, outboxSinkIds, placeOf, recordSinks } from '../job/delivery.ts'
import type { JobPlan } from '../job/plan.ts'
import type { OutboxAnswer } from '../runtime/messages.ts'
import type { OutboxOwner } from '../sink/outbox.ts'
import type { Deployment } from './deployment.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts, JobSettings } from './job-ports.ts'
import { owedEpoch, owedText } from './outbox-status.ts'
import { refusalOfOwed, sinksMoved } from './owed-sinks.ts'
import type { StoredCheckpoints } from './restore-point.ts'
import { knownMarkers } from './sink-markers.ts'

/** What it is made of. */
export interface OutboxOptions {
  readonly plan: JobPlan
  readonly deployment: Deployment
  /** Who the attempt is to its sinks. */
  readonly owner: Pick<OutboxOwner, 'generation' | 'nonce'>
  readonly memory: JobMemory
  readonly ports: Pick<JobPorts, 'log' | 'scheduler'>
  readonly settings: Pick<JobSettings, 'sinkOpenMs'>
}

/** The sinks of one attempt that take outboxes. */
export class OutboxCoordinator {
  readonly #options: OutboxOptions
  /** Subtask whose thread has the sink, by sink. */
  readonly #threads = new Map<string, number>()
  readonly #markers = new Map<string, SinkMarker | null>()
  /** Not applied yet by all, oldest first. */
  #owed: OutboxEpoch[] = []
  #opening: PromiseWithResolvers<void> | null = null
  #applying: { readonly waiting: Set<string>; readonly done: PromiseWithResolvers<void> } | null = null
  #failure: MillraceError | null = null

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /**
   * Opens the sinks and has them apply what they are owed; resolves when they are even with the restored checkpoint.
   * Rejects with what a sink fails with, SINK_FAILED when one does not answer, STATE_INCOMPATIBLE when one that is gone
   * would lose some, STORE_LOST and CHECKPOINT_CORRUPT as `resolveOutbox` says, CANCELLED on `close`.
   */
  async start({ restore, retained }: Pick<StoredCheckpoints, 'restore' | 'retained'>): Promise<void> {
    const { plan, memory, ports } = this.#options
    const restored = retained.find((manifest) => manifest.checkpointId === restore?.checkpointId) ?? null
    const restoredId = restored?.checkpointId ?? 0
    const { jobName } = plan
    const { jobId, outbox } = memory
    const { places } = outbox
    const lost = refusalOfOwed({ epochs: outbox.owed, certain: true, places }, plan, memory.dropState)
    if (lost !== null) throw lost
    await this.#open(this.#wanted(restored))
    const moved = new Set(sinksMoved(outbox, plan))
    const { markers, losses } = knownMarkers(this.#markers, moved, outbox, jobId, restoredId)
    for (const text of losses) ports.log('warn', `job ${jobName}: ${text}`, { job: jobName })
    const { settledId } = outbox
    const decision = resolveOutbox({ jobName, jobId, restored, retained, settledId, markers })
    if (decision.kind === 'refuse') throw new MillraceError(decision.code, decision.message, { retry: 'never' })
    const dropped = decision.dropped.map(owedEpoch)
    const refusal = refusalOfOwed({ epochs: dropped, certain: false, places }, plan, memory.dropState)
    if (refusal !== null) throw refusal
    for (const epoch of dropped) {
      const text = `job ${jobName} no longer has sink ${epoch.sinks.join(', ')}: ${owedText(epoch)} are dropped, as was asked`
      ports.log('warn', text, { job: jobName, checkpointId: epoch.checkpointId })
    }
    outbox.held = false
    for (const [sink, marker] of markers) if (marker?.jobId === jobId) outbox.applied.set(sink, marker.epoch)
    this.#setOwed(decision.epochs)
    outbox.asked = true
    for (const { checkpointId } of decision.epochs) await this.apply(checkpointId)
    outbox.settledId = Math.max(outbox.settledId, restoredId)
    const outputs = recordSinks(plan.definition)
    for (const sink of this.#threads.keys()) outbox.places.set(sink, placeOf(outputs.get(sink)!))
  }

  /** Outboxes that are not applied yet by all of their sinks, oldest first. */
  get owed(): readonly OutboxEpoch[] {
    return this.#owed
  }

  /** A checkpoint exists, and sinks are owed what it has for them. */
  owe(manifest: CheckpointManifest): void {
    const epoch = outboxOf(manifest)
    if (epoch.sinks.size > 0) this.#setOwed([...this.#owed, epoch])
  }

  /** Has all sinks apply what they are owed of a checkpoint, one at a time. Rejects with what a sink fails with. */
  async apply(checkpointId: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const epoch = this.#owed.find((owed) => owed.checkpointId === checkpointId)!
    const done = Promise.withResolvers<void>()
    this.#applying = { waiting: new Set(epoch.sinks.keys()), done }
    for (const [sink, blocks] of epoch.sinks) {
      const subtask = this.#threads.get(sink)!
      this.#options.deployment.sendTo(subtask, { type: 'applyOutbox', sink, epoch: checkpointId, blocks })
    }
    await done.promise
    this.#applying = null
    this.#setOwed(this.#owed.filter((owed) => owed !== epoch))
  }

  /** Sources are held, or go on. */
  hold(held: boolean): void {
    this.#options.memory.outbox.held = held
    this.#options.deployment.broadcast({ type: 'hold', held })
  }

  /** A sink answers. */
  onMessage(message: OutboxAnswer): void {
    this.#note(message)
    switch (message.type) {
      case 'outboxOpened':
        this.#markers.set(message.sink, message.marker)
        this.#options.memory.outbox.guarantees.set(message.sink, message.guarantee)
        if (this.#markers.size === this.#threads.size) this.#opening?.resolve()
        return
      case 'outboxApplied':
        this.#options.memory.outbox.applied.set(message.sink, message.epoch)
        if (this.#applying?.waiting.delete(message.sink) === true && this.#applying.waiting.size === 0) {
          this.#applying.done.resolve()
        }
        return
      case 'outboxFailed':
        this.#fail(this.#described(message.sink, message.error))
    }
  }

  /** A sink had to end what hung: nothing is wrong then, but with the broker. */
  #note({ sink, ended = [] }: OutboxAnswer): void {
    const { plan, memory, ports } = this.#options
    for (const { topic, partition, offset, producerId, end } of ended) {
      memory.outbox.hangingEnded++
      const how = end === 'commit' ? 'committed' : 'aborted'
      const text =
        `sink ${sink} of job ${plan.jobName} has ${how} a transaction of its own that hung in ${topic}-${partition} at ` +
        `offset ${offset}: its coordinator had ${how} it, and had not told the partition`
      ports.log('warn', text, { job: plan.jobName, sink, topic, partition, offset, producerId: String(producerId) })
    }
  }

  /** Nothing is waited for any more. */
  close(): void {
    this.#options.memory.outbox.held = false
    this.#fail(new MillraceError('CANCELLED', 'the attempt is not wanted any more'))
  }

  /** Sinks to open: those that take outboxes now, and those that did and are still owed something. */
  #wanted(restored: CheckpointManifest | null): readonly string[] {
    const { definition } = this.#options.plan
    const outputs = recordSinks(definition)
    const before = [...(restored?.owed.flatMap(({ sinks }) => sinks) ?? [])]
    for (const { outbox } of restored?.subtasks ?? []) before.push(...outbox.map(({ sink }) => sink))
    const openable = before.filter((sink) => outboxKinds.has(outputs.get(sink)?.kind ?? 'discard'))
    return [...new Set([...outboxSinkIds(definition), ...openable])]
  }

  async #open(sinks: readonly string[]): Promise<void> {
    if (sinks.length === 0) return
    const { plan, memory, owner, deployment, ports, settings } = this.#options
    this.#opening = Promise.withResolvers<void>()
    const order = [...recordSinks(plan.definition).keys()]
    for (const sink of sinks) this.#threads.set(sink, order.indexOf(sink) % deployment.placement.length)
    for (const [sink, subtask] of this.#threads) {
      const named = { job: plan.jobName, jobId: memory.jobId, sink, ...owner }
      deployment.sendTo(subtask, { type: 'openOutbox', sink, owner: named })
    }
    if (this.#failure !== null) throw this.#failure
    const cancel = ports.scheduler.after(settings.sinkOpenMs, () => {
      const silent = [...this.#threads.keys()].filter((sink) => !this.#markers.has(sink))
      this.#fail(silentSinks(silent, plan.jobName, settings.sinkOpenMs))
    })
    await this.#opening.promise.finally(cancel)
  }

  #setOwed(owed: readonly OutboxEpoch[]): void {
    this.#owed = [...owed]
    this.#options.memory.outbox.owed = owed.map(owedEpoch)
  }

  #fail(error: MillraceError): void {
    if (this.#failure !== null) return
    this.#failure = error
    for (const waiting of [this.#opening, this.#applying?.done]) {
      if (waiting == null) continue
      waiting.promise.catch(() => undefined)
      waiting.reject(error)
    }
  }

  #described(sink: string, data: ErrorData): MillraceError {
    const { code, domain, retry, message } = data
    const owed = this.#options.memory.outbox.owed.filter(({ sinks }) => sinks.includes(sink))
    const what = owed.length === 0 ? '' : `. It is owed ${owed.map(owedText).join(' and ')}: applied at the next start`
    return new MillraceError(code, `sink ${sink}: ${message}${what}`, { domain, retry })
  }
}

function silentSinks(sinks: readonly string[], job: string, openMs: number): MillraceError {
  const text =
    `sink ${sinks.join(', ')} of job ${job} has not said within ${openMs} ms which results it has. Look whether what it ` +
    'writes to answers; if that only takes long, raise MILLRACE_SINK_OPEN_TIMEOUT'
  return new MillraceError('SINK_FAILED', text)
}
