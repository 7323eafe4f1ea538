import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type GateEvent, InputGate } from '../../src/exchange/input-gate.ts'
import type { Message } from '../../src/exchange/message.ts'

const buffer = new ArrayBuffer(0)
/** A batch with a number of its own: its place in its channel. */
const batch = (number: number): Message => ({ kind: 'batch', buffer, byteLength: number })
const watermark = (watermarkMs: number): Message => ({ kind: 'watermark', watermarkMs })
const barrier = (checkpointId: number): Message => ({ kind: 'barrier', checkpointId })
const idle: Message = { kind: 'idle' }

function drain(gate: InputGate): GateEvent[] {
  const events: GateEvent[] = []
  for (;;) {
    const event = gate.next()
    if (event === undefined) return events
    events.push(event)
  }
}

const show = (event: GateEvent): string => {
  switch (event.kind) {
    case 'batch':
      return `${event.channel}:${event.batch.byteLength}`
    case 'watermark':
      return `W${event.watermarkMs}${event.idle ? ' idle' : ''}`
    case 'idle':
      return 'idle'
    case 'barrier':
      return `B${event.checkpointId}`
  }
}

/** Pushes messages in this order, takes all that comes after each. */
function run(
  channels: number,
  script: readonly (readonly [number, Message] | { readonly abort: number })[],
  lastBarrier = 0,
): string[] {
  const gate = new InputGate(channels, -Infinity, lastBarrier)
  return script.flatMap((step) => {
    if ('abort' in step) gate.abort(step.abort)
    else gate.push(...step)
    return drain(gate).map(show)
  })
}

describe('InputGate', () => {
  it('holds a channel back behind its barrier until all have delivered it', () => {
    const script = [
      [0, batch(0)],
      [0, barrier(1)],
      [0, batch(1)],
      [1, batch(0)],
      [1, barrier(1)],
      [1, batch(1)],
    ] as const
    expect(run(2, script)).toEqual(['0:0', '1:0', 'B1', '0:1', '1:1'])
  })

  it('gives a checkpoint up when it is aborted, and swallows its barriers that come later', () => {
    const script = [
      [0, barrier(1)],
      [0, batch(0)],
      { abort: 1 },
      [1, batch(0)],
      [1, barrier(1)],
      [1, batch(1)],
    ] as const
    expect(run(2, script)).toEqual(['0:0', '1:0', '1:1'])
  })

  it('gives a checkpoint up when a newer barrier arrives, and swallows the older ones', () => {
    const script = [
      [0, barrier(1)],
      [0, batch(0)],
      [1, batch(0)],
      [1, barrier(2)],
      [1, batch(1)],
      [0, barrier(2)],
      [0, batch(1)],
    ] as const
    expect(run(2, script)).toEqual(['1:0', '0:0', 'B2', '1:1', '0:1'])
    const older = [
      [0, barrier(5)],
      [1, barrier(4)],
      [1, batch(0)],
      [1, barrier(5)],
    ] as const
    expect(run(2, older)).toEqual(['1:0', 'B5'])
  })

  it('swallows barriers at or below the restored checkpoint', () => {
    expect(
      run(
        1,
        [
          [0, barrier(7)],
          [0, barrier(8)],
        ],
        7,
      ),
    ).toEqual(['B8'])
  })

  it('does not hold newer barriers back when an old one is aborted late', () => {
    expect(run(2, [[0, barrier(3)], { abort: 2 }, [1, barrier(3)]])).toEqual(['B3'])
  })

  it('merges watermarks that wait, into the largest', () => {
    const gate = new InputGate(1, -Infinity, 0)
    gate.push(0, batch(0))
    for (let at = 1; at <= 1000; at++) gate.push(0, watermark(at))
    gate.push(0, watermark(5))
    gate.push(0, batch(1))
    expect(drain(gate).map(show)).toEqual(['0:0', 'W1000', '0:1'])
  })

  it('tells idleness and its end', () => {
    const script = [
      [0, watermark(5)],
      [1, watermark(9)],
      [1, idle],
      [0, idle],
      [0, watermark(6)],
    ] as const
    expect(run(2, script)).toEqual(['W5', 'W9 idle', 'W9'])
    expect(
      run(1, [
        [0, idle],
        [0, idle],
      ]),
    ).toEqual(['idle'])
  })

  it('takes channels in turn', () => {
    const gate = new InputGate(3, -Infinity, 0)
    for (const channel of [0, 1, 2]) for (let i = 0; i < 3; i++) gate.push(channel, batch(i))
    expect(drain(gate).map(show)).toEqual(['0:0', '1:0', '2:0', '0:1', '1:1', '2:1', '0:2', '1:2', '2:2'])
  })

  it('is drained when nothing can be given out', () => {
    const gate = new InputGate(2, -Infinity, 0)
    expect(gate.drained).toBe(true)
    gate.push(0, barrier(1))
    gate.push(0, batch(0))
    expect(gate.drained).toBe(false)
    expect(gate.next()).toBeUndefined()
    expect(gate.drained).toBe(true)
    gate.abort(1)
    expect(gate.drained).toBe(false)
  })
})

type Plan = 'batch' | 'idle' | { readonly watermark: number } | { readonly barrier: number }
type Step = { readonly push: number } | { readonly take: number } | { readonly abort: number }

const plans = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant('batch' as const) },
    { weight: 2, arbitrary: fc.nat(50).map((n) => ({ watermark: n })) },
    { weight: 1, arbitrary: fc.constant('idle' as const) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 6 }).map((n) => ({ barrier: n })) },
  ),
  { maxLength: 40 },
)
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.nat(3).map((push) => ({ push })) },
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 3 }).map((take) => ({ take })) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 7 }).map((abort) => ({ abort })) },
  ),
  { maxLength: 200 },
)

/** Barriers of a channel rise; a planned one that does not is left out. */
function messagesOf(plan: readonly Plan[]): Message[] {
  let last = 0
  let batches = 0
  const messages: Message[] = []
  for (const step of plan) {
    if (step === 'batch') messages.push(batch(batches++))
    else if (step === 'idle') messages.push(idle)
    else if ('watermark' in step) messages.push(watermark(step.watermark))
    else if (step.barrier > last) {
      last = step.barrier
      messages.push(barrier(last))
    }
  }
  return messages
}

/** What holds of everything that a gate gives out, whatever order it chooses. */
class GateRules {
  readonly #messages: readonly (readonly Message[])[]
  /** Batches given out, a channel. */
  readonly given: number[]
  readonly barriers: number[] = []
  readonly aborted = new Set<number>()
  #watermarkMs = -Infinity

  constructor(messages: readonly (readonly Message[])[]) {
    this.#messages = messages
    this.given = messages.map(() => 0)
  }

  see(event: GateEvent): void {
    if (event.kind === 'batch') {
      expect(event.batch.byteLength).toBe(this.given[event.channel])
      this.given[event.channel]!++
    } else if (event.kind === 'watermark') {
      expect(event.watermarkMs).toBeGreaterThanOrEqual(this.#watermarkMs)
      this.#watermarkMs = event.watermarkMs
    } else if (event.kind === 'barrier') {
      const id = event.checkpointId
      expect(id).toBeGreaterThan(this.barriers.at(-1) ?? 0)
      expect(id).toBeGreaterThan(Math.max(0, ...this.aborted))
      this.barriers.push(id)
      // The cut is exact: all that lies before the barrier of each channel, and nothing behind it.
      expect(this.given).toEqual(this.#messages.map((channel) => batchesBefore(channel, id)))
    }
  }
}

function batchesBefore(messages: readonly Message[], id: number): number {
  const at = messages.findIndex((message) => message.kind === 'barrier' && message.checkpointId === id)
  return at < 0 ? Number.NaN : messages.slice(0, at).filter((message) => message.kind === 'batch').length
}

describe('InputGate under any order of arrival, taking and aborting', () => {
  it('keeps each channel in order, cuts exactly at barriers, never regresses, loses nothing', () => {
    const runs = fc.record({ plans: fc.array(plans, { minLength: 1, maxLength: 4 }), steps })
    fc.assert(
      fc.property(runs, ({ plans: planned, steps: script }) => {
        const messages = planned.map(messagesOf)
        const rules = new GateRules(messages)
        const gate = new InputGate(messages.length, -Infinity, 0)
        const pushed = messages.map(() => 0)
        const push = (channel: number) => {
          const message = messages[channel]![pushed[channel]!]
          if (message === undefined) return
          pushed[channel]!++
          gate.push(channel, message)
        }
        const act = (step: Step) => {
          if ('push' in step) push(step.push % messages.length)
          else if ('abort' in step) {
            rules.aborted.add(step.abort)
            gate.abort(step.abort)
          } else {
            for (let i = 0; i < step.take; i++) {
              const event = gate.next()
              if (event !== undefined) rules.see(event)
            }
          }
        }
        for (const step of script) act(step)
        messages.forEach((all, channel) => {
          while (pushed[channel]! < all.length) push(channel)
        })
        for (const event of drain(gate)) rules.see(event)
        // What waits now waits for a barrier that some channel never sends; its abort frees all of it.
        act({ abort: 100 })
        for (const event of drain(gate)) rules.see(event)
        expect(rules.given).toEqual(messages.map((all) => all.filter((message) => message.kind === 'batch').length))
        expect(gate.drained).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('completes every checkpoint whose barriers all channels send, with the watermark of exactly that cut', () => {
    const oneChannel = fc.array(
      fc.oneof(
        fc.constant('batch' as const),
        fc.nat(50).map((n) => ({ watermark: n })),
      ),
      { maxLength: 6 },
    )
    const epochs = fc
      .integer({ min: 1, max: 4 })
      .chain((channels) =>
        fc.array(fc.array(oneChannel, { minLength: channels, maxLength: channels }), { minLength: 1, maxLength: 5 }),
      )
    fc.assert(
      fc.property(epochs, fc.array(fc.nat(), { maxLength: 200 }), (cuts, order) => {
        const channels = cuts[0]!.length
        const messages = Array.from({ length: channels }, (_, c) =>
          messagesOf(cuts.flatMap((cut, i): Plan[] => [...cut[c]!, { barrier: i + 1 }])),
        )
        const gate = new InputGate(channels, -Infinity, 0)
        const rules = new GateRules(messages)
        const left = messages.map((all) => [...all])
        const seen: [number, number][] = []
        const take = () => {
          for (let event = gate.next(); event !== undefined; event = gate.next()) {
            rules.see(event)
            if (event.kind === 'barrier') seen.push([event.checkpointId, gate.watermarkMs])
          }
        }
        for (const drawn of order) {
          const message = left[drawn % channels]!.shift()
          if (message !== undefined) gate.push(drawn % channels, message)
          if (drawn % 3 === 0) take()
        }
        left.forEach((all, channel) => {
          for (const message of all) gate.push(channel, message)
        })
        take()
        const largest = (channel: number, epoch: number) =>
          Math.max(
            -Infinity,
            ...cuts
              .slice(0, epoch)
              .flatMap((cut) => cut[channel]!.map((s) => (typeof s === 'object' ? s.watermark : -Infinity))),
          )
        expect(seen).toEqual(cuts.map((_, i) => [i + 1, Math.min(...messages.map((_, c) => largest(c, i + 1)))]))
      }),
      { numRuns: 500 },
    )
  })
})
