/** Timers of both clocks against a model, over crashes, changes of parallelism and any order. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { defineJob } from '../../src/program/define.ts'
import { value } from '../../src/program/state.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import { jsonEvent, out } from './support.ts'

/** What a record asks of its key's timers. */
interface Ask {
  readonly key: string
  readonly deed: 'set' | 'delete'
  readonly domain: 'event' | 'processing'
  /** Event time, or ms after the wall clock at the start. */
  readonly timeMs: number
}

const START_MS = 1_700_000_000_000
/** Keeps a key where it has no timer. */
const state = { kept: value<boolean>() }

/** Sets and deletes timers as it is told; one that is due at a multiple of four sets the next one. */
const asking = defineJob({
  name: 'asking',
  source: { input: { log: { path: 'unused', topic: 'asks' } }, event: jsonEvent<Ask>(), time: () => 1 },
  watermark: { outOfOrderness: '1h' },
  build: (asks) =>
    asks
      .keyBy((ask) => ask.key)
      .process<string, typeof state>({
        id: 'timers',
        state,
        onEvent({ deed, domain, timeMs }, context) {
          if (context.state.kept.get() === undefined) context.state.kept.set(true)
          if (domain === 'event' && deed === 'set') context.setEventTimer(timeMs)
          else if (domain === 'event') context.deleteEventTimer(timeMs)
          else if (deed === 'set') context.setProcessingTimer(START_MS + timeMs)
          else context.deleteProcessingTimer(START_MS + timeMs)
        },
        onTimer({ domain, timeMs }, context) {
          const atMs = domain === 'event' ? timeMs : timeMs - START_MS
          context.emit(`${context.key} ${domain} ${atMs}`)
          if (atMs % 4 !== 0) return
          if (domain === 'event') context.setEventTimer(timeMs + 1)
          else context.setProcessingTimer(timeMs + 1)
        },
      })
      .sinkTo({ id: 'out', to: out('out') }),
})

type Step =
  | { readonly ask: Ask }
  | { readonly watermarkMs: number }
  | { readonly passMs: number }
  | { readonly crash: number }
  | { readonly checkpoint: true }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        key: fc.constantFrom('a', 'b'),
        deed: fc.constantFrom('set', 'delete'),
        domain: fc.constantFrom('event', 'processing'),
        timeMs: fc.constantFrom(6, 8),
      } as const)
      .map((ask) => ({ ask })),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 8 }).map((watermarkMs) => ({ watermarkMs })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }).map((passMs) => ({ passMs })) },
  { weight: 2, arbitrary: fc.constantFrom(2, 2, 2, 1, 3, 4).map((crash) => ({ crash })) },
  { weight: 2, arbitrary: fc.constant({ checkpoint: true } as const) },
)

/** What must fire, in no particular order between keys and clocks. */
class Model {
  readonly fired: string[] = []
  readonly #timers = { event: new Set<string>(), processing: new Set<string>() }
  readonly #nowMs = { event: Number.NEGATIVE_INFINITY, processing: 0 }

  ask({ key, deed, domain, timeMs }: Ask): void {
    if (deed === 'set') this.#timers[domain].add(`${key} ${timeMs}`)
    else if (deed === 'delete') this.#timers[domain].delete(`${key} ${timeMs}`)
    // The wall clock is always there; event time only when it moves.
    this.#fire('processing')
  }

  advance(domain: Ask['domain'], timeMs: number): void {
    if (timeMs <= this.#nowMs[domain]) return
    this.#nowMs[domain] = timeMs
    this.#fire(domain)
  }

  /** A restored stage fires what its watermark has made due before it goes on. */
  restore(): void {
    this.#fire('event')
  }

  get wallMs(): number {
    return this.#nowMs.processing
  }

  #fire(domain: Ask['domain']): void {
    const timers = this.#timers[domain]
    for (let atMs = 0; atMs <= Math.min(this.#nowMs[domain], 30); atMs++) {
      for (const key of 'abcd') {
        if (!timers.delete(`${key} ${atMs}`)) continue
        this.fired.push(`${key} ${domain} ${atMs}`)
        if (atMs % 4 === 0) timers.add(`${key} ${atMs + 1}`)
      }
    }
  }
}

it('timers fire once each, whatever crashes and however many subtasks there are', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(), async (steps, seed) => {
    const harness = await openHarness<Ask>(asking, { seed, startMs: START_MS })
    const model = new Model()
    for (const one of steps) {
      if ('ask' in one) {
        harness.push(one.ask)
        await harness.run()
        model.ask(one.ask)
      } else if ('watermarkMs' in one) {
        await harness.advanceWatermark(one.watermarkMs)
        model.advance('event', one.watermarkMs)
      } else if ('passMs' in one) {
        await harness.advanceTime(one.passMs)
        model.advance('processing', model.wallMs + one.passMs)
      } else if ('checkpoint' in one) {
        await harness.checkpoint()
      } else {
        await harness.checkpoint()
        await harness.restore({ parallelism: one.crash })
        model.restore()
      }
      expect(harness.output<string>('out').toSorted()).toEqual(model.fired.toSorted())
    }
    await harness.advanceTime(100)
    model.advance('processing', model.wallMs + 100)
    await harness.finish()
    model.advance('event', Number.POSITIVE_INFINITY)
    expect(harness.output<string>('out').toSorted()).toEqual(model.fired.toSorted())
    await harness.close()
  })
  // What changes nothing but timers must be in the next checkpoint all the same: chance comes to that too rarely.
  const set = { ask: { key: 'a', deed: 'set', domain: 'event', timeMs: 6 } } as const
  const unset = { ask: { ...set.ask, deed: 'delete' } } as const
  const examples: [Step[], number][] = [
    [[set, { checkpoint: true }, unset, { crash: 2 }], 0],
    [[set, { checkpoint: true }, { watermarkMs: 7 }, { crash: 2 }], 0],
  ]
  await fc.assert(property, { numRuns: 200, examples })
})
