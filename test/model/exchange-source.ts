/** Sources of the exchange model: what they do, how they do it, and drawing it from a seed. */
import { nextBelow, type SeededRandom } from '../../src/core/clock.ts'
import type { OutputChannels } from '../../src/exchange/channel.ts'
import { layOutEventBatch } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchBuffer, Message } from '../../src/exchange/message.ts'
import type { StepResult } from '../../src/runtime/subtask.ts'
import { fillScan, newScan, type Row } from '../exchange/support.ts'
import { NUMBERS, TEXTS } from '../operator/support.ts'

/** Key groups of the model's job. */
export const KEY_GROUPS = 16
/** The batches from sources to windows. */
export const layout = layOutEventBatch(NUMBERS, TEXTS, false)

/** What a source does, in order. `mark` gives the watermark; each kind of step sends what is buffered first. */
export type SourceStep = { readonly rows: readonly Row[] } | { readonly mark: number } | 'idle'

/** What a subtask acknowledged. */
export interface Ack {
  readonly name: string
  readonly rowsSent: number
  readonly counted: number
}

/** A subtask as the scheduler sees it. */
export interface Node {
  readonly name: string
  step(): StepResult
  inject?(checkpointId: number): void
  abort(checkpointId: number): void
  receive(channel: number, message: Message): void
  credit(receiver: number, buffer: BatchBuffer): void
}

/** A source without a topic: it does its steps, and takes barriers as the real one does. */
export class Source implements Node {
  readonly name: string
  rowsSent = 0
  finished = false
  readonly #steps: SourceStep[]
  readonly #channels: OutputChannels
  readonly #output: KeyedOutput
  readonly #ack: (checkpointId: number, ack: Ack) => void
  readonly #scan = newScan(NUMBERS, TEXTS)
  #barrier = 0

  constructor(
    name: string,
    steps: readonly SourceStep[],
    channels: OutputChannels,
    ack: (id: number, ack: Ack) => void,
  ) {
    this.name = name
    this.#steps = [...steps, { mark: Number.POSITIVE_INFINITY }]
    this.#channels = channels
    this.#ack = ack
    const columns = { numbers: [0, 1], texts: [NUMBERS, NUMBERS + 1] }
    this.#output = new KeyedOutput(layout, columns, channels, KEY_GROUPS)
  }

  step(): StepResult {
    if (this.#barrier !== 0) {
      if (!this.#output.flush()) return 'blocked'
      this.#channels.broadcast({ kind: 'barrier', checkpointId: this.#barrier })
      this.#ack(this.#barrier, { name: this.name, rowsSent: this.rowsSent, counted: 0 })
      this.#barrier = 0
      return 'worked'
    }
    const step = this.#steps[0]
    if (step === undefined) return 'idle'
    if (typeof step === 'object' && 'rows' in step) {
      if (!this.#channels.ready) return 'blocked'
      fillScan(this.#scan, step.rows)
      this.#output.write(this.#scan, null)
      this.rowsSent += step.rows.length
    } else {
      if (!this.#output.flush()) return 'blocked'
      this.#channels.broadcast(step === 'idle' ? { kind: 'idle' } : { kind: 'watermark', watermarkMs: step.mark })
    }
    this.#steps.shift()
    this.finished = this.#steps.length === 0
    return 'worked'
  }

  inject(checkpointId: number): void {
    this.#barrier = checkpointId
  }

  abort(checkpointId: number): void {
    if (this.#barrier <= checkpointId) this.#barrier = 0
  }

  receive(): void {}

  credit(receiver: number, buffer: BatchBuffer): void {
    this.#channels.onCredit(receiver, buffer)
  }
}

const DISORDER_MS = 40

/** Events in slow disorder, with marks and, if wanted, idleness between them. No event is late for its own source. */
export function drawSource(random: SeededRandom, events: number, withIdleness: boolean): SourceStep[] {
  const steps: SourceStep[] = []
  let nowMs = nextBelow(random, 150)
  let markMs = Number.NEGATIVE_INFINITY
  for (let left = events; left > 0; ) {
    const rows: Row[] = []
    for (let i = 1 + nextBelow(random, 12); i > 0 && left > 0; i--, left--) {
      nowMs += nextBelow(random, 12)
      rows.push({
        key: `k${nextBelow(random, 12)}`,
        timeMs: nowMs - nextBelow(random, DISORDER_MS),
        mask: 1,
        numbers: [nextBelow(random, 100), 0],
        texts: [['web', 'ios', ''][nextBelow(random, 3)]!, `t${nextBelow(random, 5)}`],
      })
    }
    steps.push({ rows })
    if (nextBelow(random, 3) === 0) {
      markMs = nowMs - DISORDER_MS - 1
      steps.push({ mark: markMs })
    }
    if (withIdleness && nextBelow(random, 4) === 0) {
      steps.push('idle')
      // As sources do: the first thing after idleness is a mark, or events that a mark follows.
      if (nextBelow(random, 2) === 0) steps.push({ mark: markMs })
      if (nextBelow(random, 3) === 0) nowMs += 300
    }
  }
  return steps
}

/** The buffer as the other side of a channel has it; nothing is left on this one. */
export function moveBuffer(buffer: BatchBuffer): BatchBuffer {
  return (buffer as ArrayBuffer).transfer()
}
