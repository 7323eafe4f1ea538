/** The order of things in a keyed subtask, however often something has to wait. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InputGate } from '../../src/exchange/input-gate.ts'
import type { Message } from '../../src/exchange/message.ts'
import type { KeyedParts } from '../../src/runtime/keyed-parts.ts'
import { KeyedSubtask } from '../../src/runtime/keyed-subtask.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { tablePlan } from '../operator/support.ts'

type Input = 'batch' | 'watermark' | 'barrier'

/** A subtask of which every part only notes that it was asked; `waits` says which calls ask for another turn. */
function subtaskOf(waits: readonly number[]) {
  const log: string[] = []
  const acked: number[] = []
  let asked = 0
  let pending = false
  const mustWait = (): boolean => (waits[asked++] ?? 0) > 0
  const plan = tablePlan([-1], [])
  const gate = new InputGate(1, -Infinity, 0)
  const changing = { plan, change: 1, changeBase: 0, index: 0, results: 0, sinksFull: false, indexBytes: 0 }
  const parts = {
    operator: 'window',
    index: 0,
    gate,
    input: {
      apply: () => {
        log.push('apply')
        pending = true
        return 1
      },
      counters: { applied: 0, late: 0, filtered: 0, deduplicated: 0, dedupeForgotten: 0 },
      stateBytes: 0,
      advance: () => {},
      newestMs: Number.NaN,
      full: false,
      flush: async () => {},
      close: async () => {},
    },
    results: [
      {
        ...changing,
        correct: () => log.push('correct'),
        advance: (watermarkMs: number, budget: number) => {
          if (mustWait()) return -1
          log.push(`fire ${watermarkMs}`)
          return budget
        },
      },
    ],
    partials: [
      {
        ...changing,
        get pending() {
          return pending
        },
        slices: { indexBytes: 0 },
        flush: () => {
          if (mustWait()) return false
          if (pending) log.push('flush')
          pending = false
          return true
        },
        close: (watermarkMs: number) => log.push(`close ${watermarkMs}`),
      },
    ],
    channels: {
      ready: true,
      broadcast: (message: Message) =>
        log.push(message.kind === 'watermark' ? `watermark ${message.watermarkMs}` : message.kind),
    },
    output: { flush: () => !mustWait(), recordsOut: 0 },
    metrics: [],
    sinks: [],
    pool: { bytesInUse: 0 },
    stateBytes: () => 0,
    stateLimitBytes: 1,
    snapshots: {
      copy: async () => {
        expect(pending, 'gains that were not sent are in no snapshot').toBe(false)
        log.push('copy')
        return { written: [] }
      },
    },
    outbox: { snapshot: async () => ({ outbox: [], written: [] }) },
    returnCredit: () => {},
  } as unknown as KeyedParts
  const subtask = new KeyedSubtask(parts, {
    clock: new ManualClock(),
    wake: () => {},
    wakeAfter: () => () => {},
    ack: (checkpointId) => acked.push(checkpointId),
    decline: (_id, error) => expect(error).toBeNull(),
    fail: (error) => expect(error).toBeNull(),
  })
  return { subtask, log, acked }
}

/** The message of each input: watermarks and checkpoints count up. */
function messagesOf(inputs: readonly Input[]): Message[] {
  let [watermarkMs, checkpointId] = [0, 0]
  return inputs.map((kind) => {
    if (kind === 'batch') return { kind, buffer: new ArrayBuffer(0), byteLength: 0 } as unknown as Message
    if (kind === 'barrier') return { kind, checkpointId: ++checkpointId } as Message
    return { kind, watermarkMs: (watermarkMs += 10) } as Message
  })
}

describe('a keyed subtask', () => {
  it('sends partials before every mark, results before their watermark, and copies its state between both', () => {
    const { subtask, log } = subtaskOf([])
    for (const message of messagesOf(['batch', 'watermark', 'batch', 'barrier'])) subtask.receive(0, message)
    while (subtask.step() !== 'idle') {
      // Until there is nothing left to do.
    }
    expect(log.filter((entry) => entry !== 'flush')).toEqual([
      ...['apply', 'correct', 'fire -Infinity', 'fire 10', 'close 10', 'watermark 10'],
      ...['apply', 'correct', 'fire 10', 'copy', 'barrier'],
    ])
    for (const mark of ['watermark 10', 'copy']) {
      const upTo = log.slice(0, log.indexOf(mark))
      expect(upTo.lastIndexOf('flush')).toBeGreaterThan(upTo.lastIndexOf('apply'))
    }
  })

  it('keeps that order however often a sink, a credit or a budget makes it wait, and acknowledges every checkpoint', async () => {
    const inputs = fc.array(fc.constantFrom<Input[]>('batch', 'batch', 'watermark', 'barrier'), { maxLength: 30 })
    // 1: another turn is needed.
    const waits = fc.array(fc.nat(1), { maxLength: 200, size: 'max' })
    await fc.assert(
      fc.asyncProperty(inputs, waits, async (kinds, waiting) => {
        const { subtask, log, acked } = subtaskOf(waiting)
        for (const message of messagesOf(kinds)) {
          subtask.receive(0, message)
          let turns = 0
          while (subtask.step() !== 'idle') expect(turns++).toBeLessThan(10_000)
        }
        let unsent = false
        let fired = -Infinity
        for (const [i, entry] of log.entries()) {
          if (entry === 'apply') unsent = true
          else if (entry === 'flush') unsent = false
          else if (entry.startsWith('fire')) fired = Number(entry.split(' ')[1])
          else if (entry.startsWith('watermark'))
            expect([unsent, `watermark ${fired}`, log[i - 1]]).toEqual([false, entry, `close ${fired}`])
          // Nothing comes between the copy and the barrier.
          else if (entry === 'barrier') expect([unsent, log[i - 1]]).toEqual([false, 'copy'])
        }
        const count = (kind: Input) => kinds.filter((each) => each === kind).length
        expect(log.filter((entry) => entry === 'apply').length).toBe(count('batch'))
        expect(log.filter((entry) => entry === 'barrier').length).toBe(count('barrier'))
        await new Promise((done) => setImmediate(done))
        expect(acked).toEqual(Array.from({ length: count('barrier') }, (_, i) => i + 1))
      }),
      { numRuns: 200 },
    )
  })
})
