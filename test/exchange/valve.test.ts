import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WatermarkValve } from '../../src/exchange/valve.ts'

/** A channel number with a watermark, or with idleness. */
type Input = readonly [number, number | 'idle']

/** What came out of one input, in order: watermarks that rose, `idle`, `active`. */
function feed(valve: WatermarkValve, [channel, what]: Input): (number | 'idle' | 'active')[] {
  const [before, wasIdle] = [valve.watermarkMs, valve.idle]
  const change = what === 'idle' ? valve.onIdle(channel) : valve.onWatermark(channel, what)
  const out: (number | 'idle' | 'active')[] = []
  if (wasIdle && !valve.idle) out.push('active')
  if (valve.watermarkMs !== before) out.push(valve.watermarkMs)
  if (!wasIdle && valve.idle) out.push('idle')
  // What the caller is told is what happened: no silent change, and no change told that is none.
  expect(change).toBe(
    out.length === 0 ? 'none' : !out.includes('idle') ? 'watermark' : out.length === 1 ? 'idle' : 'watermarkThenIdle',
  )
  return out
}

/** The rules for combining channels, written down one after the other as they are told. */
class Rules {
  readonly watermarks: number[]
  readonly idle: boolean[]
  readonly aligned: boolean[]
  output: number
  allIdle = false

  constructor(channels: number, restored: number) {
    this.watermarks = Array(channels).fill(-Infinity)
    this.idle = Array(channels).fill(false)
    this.aligned = Array(channels).fill(true)
    this.output = restored
  }

  feed([channel, what]: Input): (number | 'idle' | 'active')[] {
    const out: (number | 'idle' | 'active')[] = []
    if (what === 'idle') {
      if (this.idle[channel]) return out
      this.idle[channel] = true
      this.aligned[channel] = false
      if (!this.idle.includes(false)) {
        this.#emit(Math.max(...this.watermarks), out)
        this.allIdle = true
        out.push('idle')
      } else this.#emitMinimum(out)
      return out
    }
    if (this.idle[channel]) {
      this.idle[channel] = false
      if (this.watermarks[channel]! >= this.output) this.aligned[channel] = true
      if (this.allIdle) out.push('active')
      this.allIdle = false
    }
    if (what <= this.watermarks[channel]!) return out
    this.watermarks[channel] = what
    if (!this.aligned[channel] && what >= this.output) this.aligned[channel] = true
    this.#emitMinimum(out)
    return out
  }

  #emitMinimum(out: unknown[]): void {
    const aligned = this.watermarks.filter((_, i) => this.aligned[i])
    if (aligned.length > 0) this.#emit(Math.min(...aligned), out)
  }

  #emit(watermark: number, out: unknown[]): void {
    if (watermark <= this.output) return
    this.output = watermark
    out.push(watermark)
  }
}

const watermarks = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(-Infinity, Infinity))
const sequences = fc.integer({ min: 1, max: 4 }).chain((channels) =>
  fc.record({
    channels: fc.constant(channels),
    restored: fc.constantFrom(-Infinity, -Infinity, 4),
    inputs: fc.array(
      fc.tuple(fc.nat(channels - 1), fc.oneof({ weight: 3, arbitrary: watermarks }, fc.constant('idle' as const))),
      {
        maxLength: 40,
      },
    ),
  }),
)

/** A channel that comes back with less than it had said before: its return alone moves nothing. */
const regression = {
  channels: 3,
  restored: -Infinity,
  inputs: [
    [0, 0],
    [2, Infinity],
    [1, 'idle'],
    [2, 'idle'],
    [1, -Infinity],
    [0, 'idle'],
    [2, -Infinity],
  ] as Input[],
}

describe('WatermarkValve', () => {
  it('does what the rules say, input by input', () => {
    fc.assert(
      fc.property(sequences, ({ channels, restored, inputs }) => {
        const valve = new WatermarkValve(channels, restored)
        const rules = new Rules(channels, restored)
        for (const input of inputs) {
          expect(feed(valve, input)).toEqual(rules.feed(input))
          expect([valve.watermarkMs, valve.idle]).toEqual([rules.output, rules.allIdle])
        }
      }),
      { numRuns: 2000, examples: [[regression]] },
    )
  })

  it('does what the StatusWatermarkValve of Flink 2.2.1 did on recorded inputs', () => {
    interface Recording {
      readonly channels: number
      readonly in: readonly Input[]
      readonly out: readonly string[]
    }
    const recorded = JSON.parse(readFileSync(new URL('valve-flink.json', import.meta.url), 'utf8')) as Recording[]
    expect(recorded.length).toBe(60)
    for (const { channels, in: inputs, out } of recorded) {
      const valve = new WatermarkValve(channels)
      expect(inputs.map((input) => feed(valve, input).join(' '))).toEqual(out)
    }
  })

  it('ends at the same watermark in whatever order channels fall idle', () => {
    const cases = fc.integer({ min: 1, max: 5 }).chain((channels) =>
      fc.record({
        last: fc.array(watermarks, { minLength: channels, maxLength: channels }),
        orders: fc.array(fc.nat(), { minLength: channels * 2, maxLength: channels * 2 }),
      }),
    )
    fc.assert(
      fc.property(cases, ({ last, orders }) => {
        const run = (draws: readonly number[]) => {
          const valve = new WatermarkValve(last.length)
          // Each channel tells its watermark and then falls idle; the channels interleave as drawn.
          const left = last.map((watermark, channel): Input[] => [
            [channel, watermark],
            [channel, 'idle'],
          ])
          for (const drawn of draws) {
            const open = left.filter((queue) => queue.length > 0)
            feed(valve, open[drawn % open.length]!.shift()!)
          }
          return [valve.watermarkMs, valve.idle]
        }
        expect(run(orders)).toEqual(run(orders.map(() => 0)))
        expect(run(orders)).toEqual([Math.max(...last), true])
      }),
      { numRuns: 500 },
    )
  })

  it('says again where time is when the first channel is active after all were idle', () => {
    const valve = new WatermarkValve(2)
    valve.onWatermark(0, 10)
    valve.onWatermark(1, 20)
    valve.onIdle(0)
    valve.onIdle(1)
    expect([valve.watermarkMs, valve.idle]).toEqual([20, true])
    expect(valve.onWatermark(0, 12)).toBe('watermark')
    expect([valve.watermarkMs, valve.idle]).toEqual([20, false])
  })
})
