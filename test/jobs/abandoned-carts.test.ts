/** The shipped job for abandoned carts, in virtual time. */
import { Event } from 'millrace'
import { openHarness } from 'millrace/testing'
import { describe, expect, it } from 'vitest'
import job, { type AbandonedCart } from '../../jobs/abandoned-carts.ts'

const START = Date.UTC(2023, 10, 1, 12)
const MINUTE = 60_000

function add(person: string, atMs: number): Event {
  return Event.fromPartial({
    person,
    name: 'feature_interaction',
    platform: 'web',
    occurredAt: new Date(atMs),
    properties: { feature: { value: { $case: 'stringValue', value: 'add_to_cart' } } },
  })
}

function purchase(person: string, atMs: number): Event {
  return Event.fromPartial({ person, name: 'purchase', occurredAt: new Date(atMs) })
}

describe('abandoned carts', () => {
  it('tells of a cart an hour after it was last touched, and not of one that was paid for', async () => {
    const harness = await openHarness<Event>(job, { seed: 3 })
    harness.push(add('ada', START))
    harness.push(add('bob', START))
    harness.push(purchase('bob', START + 30 * MINUTE))
    harness.push(add('ada', START + 40 * MINUTE))
    await harness.advanceWatermark(START + 99 * MINUTE)
    expect(harness.output('abandoned')).toEqual([])
    expect(harness.state('carts', 'ada')).toMatchObject({ cart: { items: 2 } })
    await harness.advanceWatermark(START + 100 * MINUTE)
    expect(harness.output<AbandonedCart>('abandoned')).toEqual([
      { person: 'ada', openedMs: START, touchedMs: START + 40 * MINUTE, items: 2, platform: 'web' },
    ])
    expect(harness.state('carts', 'ada')).toBeUndefined()
    await harness.close()
  })

  it('tells two carts apart though the watermark has not come to the end of the first', async () => {
    const harness = await openHarness<Event>(job)
    harness.push(add('ada', START))
    harness.push(add('ada', START + 61 * MINUTE))
    await harness.finish()
    const opened = harness.output<AbandonedCart>('abandoned').map((cart) => cart.openedMs)
    expect(opened).toEqual([START, START + 61 * MINUTE])
    await harness.close()
  })

  it('goes on after a crash as if there had been none, with another number of subtasks too', async () => {
    const harness = await openHarness<Event>(job, { seed: 5, parallelism: 2 })
    for (let i = 0; i < 40; i++) harness.push(add(`p${i}`, START + i * 1000))
    await harness.checkpoint()
    for (let i = 0; i < 20; i++) harness.push(purchase(`p${i}`, START + MINUTE))
    await harness.run()
    await harness.restore({ parallelism: 3 })
    await harness.finish()
    const left = harness.output<AbandonedCart>('abandoned').map((cart) => cart.person)
    expect(left.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => `p${i + 20}`))
    await harness.close()
  })
})
