import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  benchStream,
  drawEvent,
  encodeEvent,
  encodeKey,
  eventNames,
  MAX_EVENT_BYTES,
  newEventDraw,
  platforms,
} from '../../bench/events.ts'
import { Event, EventKind } from '../../src/gen/millrace/v1/event.ts'

const ks = fc.nat({ max: 400_000_000 })

function encoded(k: number): Uint8Array {
  const draw = newEventDraw()
  drawEvent(benchStream, k, draw)
  const into = new Uint8Array(MAX_EVENT_BYTES)
  return into.subarray(0, encodeEvent(benchStream, k, draw, into, 0))
}

it('are the Protobuf events that were drawn', () => {
  fc.assert(
    fc.property(ks, (k) => {
      const draw = newEventDraw()
      drawEvent(benchStream, k, draw)
      const event = Event.decode(encoded(k))
      expect(event).toMatchObject({
        eventId: `e-${k.toString(36).padStart(12, '0')}`,
        person: `user-${draw.person}`,
        device: `anon-${(draw.person * 7) % benchStream.users}`,
        session: `sess-${draw.person}-${Math.floor(k / 500_000)}`,
        name: eventNames[draw.name],
        kind: EventKind.EVENT_KIND_TRACK,
        platform: platforms[draw.platform],
        screen: `/product/${draw.screen}`,
        currency: draw.revenueMinor > 0 ? 'EUR' : '',
      })
      expect(Number(event.revenueMinor)).toBe(draw.revenueMinor)
      expect(Object.keys(event.properties)).toEqual(['plan'])
      expect(event.occurredAt?.getTime()).toBe(draw.occurredAtMs)
    }),
  )
})

it('are out of order by less than the stream says, and keyed by person', () => {
  fc.assert(
    fc.property(ks, (k) => {
      const draw = newEventDraw()
      drawEvent(benchStream, k, draw)
      const latest = benchStream.startMs + Math.floor(k / benchStream.eventsPerMs)
      expect(draw.occurredAtMs).toBeLessThanOrEqual(latest)
      expect(draw.occurredAtMs).toBeGreaterThan(latest - benchStream.disorderMs)
      const key = new Uint8Array(32)
      const end = encodeKey(draw, key, 0)
      expect(new TextDecoder().decode(key.subarray(0, end))).toBe(`user-${draw.person}`)
    }),
  )
})

it('depend on seed and number alone, and have the size that the bench names', () => {
  let bytes = 0
  const events = 20_000
  for (let k = 0; k < events; k++) bytes += encoded(k).length
  expect(bytes / events).toBeGreaterThan(105)
  expect(bytes / events).toBeLessThan(120)
  expect(encoded(77)).toEqual(encoded(77))
  const other = newEventDraw()
  drawEvent({ ...benchStream, seed: benchStream.seed + 1 }, 77, other)
  const draw = newEventDraw()
  drawEvent(benchStream, 77, draw)
  expect(other).not.toEqual(draw)
})

it('are skewed: a tenth of the persons makes far more than a tenth of the events', () => {
  const draw = newEventDraw()
  let few = 0
  const events = 50_000
  for (let k = 0; k < events; k++) {
    drawEvent(benchStream, k, draw)
    if (draw.person < benchStream.users / 10) few++
  }
  // The product of two uniform draws is below 0.1 in 0.1 * (1 - ln 0.1) = 33 % of the cases.
  expect(few / events).toBeGreaterThan(0.31)
  expect(few / events).toBeLessThan(0.35)
})
