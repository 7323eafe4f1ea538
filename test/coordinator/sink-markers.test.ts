import { expect, it } from 'vitest'
import { newOutboxStatus } from '../../src/coordinator/outbox-status.ts'
import { knownMarkers } from '../../src/coordinator/sink-markers.ts'

const marker = (epoch: number, jobId = 'id') => ({ jobId, epoch })

function known(
  found: Readonly<Record<string, ReturnType<typeof marker> | null>>,
  remembered: Readonly<Record<string, number>>,
  moved: readonly string[] = [],
  settledId = 0,
) {
  const status = newOutboxStatus()
  status.settledId = settledId
  for (const [sink, epoch] of Object.entries(remembered)) status.applied.set(sink, epoch)
  for (const sink of Object.keys(found)) status.guarantees.set(sink, sink === 'http' ? 'idempotent' : 'exactly-once')
  const { markers, losses } = knownMarkers(new Map(Object.entries(found)), new Set(moved), status, 'id', 9)
  return { markers: Object.fromEntries(markers), losses }
}

it('a sink is believed', () => {
  const found = { a: marker(7), b: null, c: marker(4, 'before') }
  expect(known(found, {})).toEqual({ markers: found, losses: [] })
  expect(known({ a: marker(7) }, { a: 7 })).toEqual({ markers: { a: marker(7) }, losses: [] })
  expect(known({ a: marker(8) }, { a: 7 })).toEqual({ markers: { a: marker(8) }, losses: [] })
})

it('of one that cannot say what it has, what is remembered counts', () => {
  expect(known({ http: null }, { http: 7 })).toEqual({ markers: { http: marker(7) }, losses: [] })
})

it('what every sink had when the job came to rest is given to none again', () => {
  expect(known({ http: null, a: null, b: marker(5) }, { http: 4 }, [], 8)).toEqual({
    markers: { http: marker(8), a: marker(8), b: marker(5) },
    losses: [],
  })
})

it('one that has lost what it had is told of: all of it, or the newest', () => {
  const emptied = known({ a: null, b: marker(99, 'other') }, { a: 7, b: 6 })
  expect(emptied.markers).toEqual({ a: marker(7), b: marker(6) })
  expect(emptied.losses).toEqual([
    expect.stringMatching(/^sink a had applied the results up to checkpoint 7, and knows of none: .*has lost data/),
    expect.stringMatching(/^sink b had applied the results up to checkpoint 6, and knows of none: .*under its name/),
  ])
  const gone = known({ a: marker(5) }, { a: 7 })
  expect(gone.markers).toEqual({ a: marker(5) })
  expect(gone.losses).toEqual([
    expect.stringMatching(/sink a .* checkpoint 7, and has only those up to 5: .*gets again/),
  ])
})

it('one that writes elsewhere gets nothing there of what was before', () => {
  expect(known({ a: null, b: marker(3) }, { a: 7 }, ['a', 'b'])).toEqual({
    markers: { a: marker(9), b: marker(9) },
    losses: [],
  })
})
