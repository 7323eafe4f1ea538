/**
 * Merges the channels into a subtask: batches in turn, one watermark, aligned barriers.
 *
 * Owns: what has arrived and is not consumed, per channel; which channels wait behind a barrier; the valve. Does not
 * own: how messages get here (runtime/links), or what a batch means. Pure: no time, no I/O.
 *
 * A channel that has delivered barrier n waits until every channel has, or until n is aborted: its later batches stay
 * queued, and, as their credit is not returned, its sender stops by itself.
 *
 * Invariants: G1 per channel, order is kept. G2 nothing behind barrier n is given out before `barrier n` is. G3 barriers
 * come out with rising ids; one that is not above the last finished or aborted id is swallowed. G4 successive
 * watermarks of a channel that wait in the queue merge into the newest, so marks use bounded memory.
 */
import { assertNever } from '../core/errors.ts'
import type { BatchMessage, Message } from './message.ts'
import { WatermarkValve } from './valve.ts'

/** What the gate gives out next. */
export type GateEvent =
  | { readonly kind: 'batch'; readonly channel: number; readonly batch: BatchMessage }
  /** The merged watermark rose, or idleness ended; `idle` when all channels are idle now as well. */
  | { readonly kind: 'watermark'; readonly watermarkMs: number; readonly idle: boolean }
  | { readonly kind: 'idle' }
  | { readonly kind: 'barrier'; readonly checkpointId: number }

/** Input side of one edge of a subtask. */
export class InputGate {
  readonly #queues: Message[][]
  readonly #heads: number[]
  readonly #valve: WatermarkValve
  readonly #blocked: Uint8Array
  /** Id of the barrier that is being aligned, 0 for none. */
  #aligning = 0
  #arrived = 0
  #lastBarrier: number
  #next = 0
  #queued = 0

  /** `lastBarrier`: the checkpoint that was restored, 0 on a fresh start. */
  constructor(channels: number, restoredWatermarkMs: number, lastBarrier: number) {
    this.#queues = Array.from({ length: channels }, () => [])
    this.#heads = new Array(channels).fill(0)
    this.#valve = new WatermarkValve(channels, restoredWatermarkMs)
    this.#blocked = new Uint8Array(channels)
    this.#lastBarrier = lastBarrier
  }

  /** The merged watermark. */
  get watermarkMs(): number {
    return this.#valve.watermarkMs
  }

  /** True while all channels are idle. */
  get idle(): boolean {
    return this.#valve.idle
  }

  /** True when `next` would find nothing. */
  get drained(): boolean {
    return (
      this.#queued === 0 || this.#queues.every((queue, i) => this.#blocked[i] === 1 || this.#heads[i] === queue.length)
    )
  }

  /** A message arrived on a channel. */
  push(channel: number, message: Message): void {
    const queue = this.#queues[channel]!
    const last = queue.length > this.#heads[channel]! ? queue[queue.length - 1] : undefined
    if (message.kind === 'watermark' && last?.kind === 'watermark') {
      if (message.watermarkMs > last.watermarkMs) queue[queue.length - 1] = message
      return
    }
    queue.push(message)
    this.#queued++
  }

  /** The next event, or undefined when nothing can be given out now. Takes channels in turn, a message each. */
  next(): GateEvent | undefined {
    const channels = this.#queues.length
    for (let tried = 0; tried < channels && this.#queued > 0; ) {
      const channel = this.#next
      if (this.#blocked[channel] === 1 || this.#heads[channel] === this.#queues[channel]!.length) {
        this.#next = (channel + 1) % channels
        tried++
        continue
      }
      const event = this.#take(channel)
      this.#next = (channel + 1) % channels
      if (event !== undefined) return event
      tried = 0
    }
    return undefined
  }

  /** Checkpoint `checkpointId` will never be: stop waiting for its barriers. */
  abort(checkpointId: number): void {
    if (checkpointId > this.#lastBarrier) this.#lastBarrier = checkpointId
    if (this.#aligning !== 0 && this.#aligning <= checkpointId) this.#release()
  }

  #take(channel: number): GateEvent | undefined {
    const queue = this.#queues[channel]!
    const message = queue[this.#heads[channel]!]!
    this.#heads[channel]!++
    this.#queued--
    if (this.#heads[channel] === queue.length) {
      queue.length = 0
      this.#heads[channel] = 0
    } else if (this.#heads[channel]! >= 64) {
      queue.splice(0, this.#heads[channel]!)
      this.#heads[channel] = 0
    }
    switch (message.kind) {
      case 'batch':
        return { kind: 'batch', channel, batch: message }
      case 'watermark': {
        const change = this.#valve.onWatermark(channel, message.watermarkMs)
        return change === 'none' ? undefined : { kind: 'watermark', watermarkMs: this.#valve.watermarkMs, idle: false }
      }
      case 'idle': {
        const change = this.#valve.onIdle(channel)
        if (change === 'none') return undefined
        if (change === 'idle') return { kind: 'idle' }
        return { kind: 'watermark', watermarkMs: this.#valve.watermarkMs, idle: change === 'watermarkThenIdle' }
      }
      case 'barrier':
        return this.#onBarrier(channel, message.checkpointId)
      default:
        return assertNever(message)
    }
  }

  #onBarrier(channel: number, checkpointId: number): GateEvent | undefined {
    if (checkpointId <= this.#lastBarrier) return undefined
    if (checkpointId > this.#aligning) {
      // A newer barrier says that the older one is dead, whether or not its abort has reached us.
      this.#release()
      this.#aligning = checkpointId
    } else if (checkpointId < this.#aligning) {
      return undefined
    }
    this.#blocked[channel] = 1
    this.#arrived++
    if (this.#arrived < this.#queues.length) return undefined
    this.#lastBarrier = checkpointId
    this.#release()
    return { kind: 'barrier', checkpointId }
  }

  #release(): void {
    this.#blocked.fill(0)
    this.#arrived = 0
    this.#aligning = 0
  }
}
