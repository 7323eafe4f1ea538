/** Marker records: what is written is read, what newer versions add is passed over, what is foreign is refused. */
import { expect, it } from 'vitest'
import { decodeMarker, encodeMarker } from '../../src/sink/kafka-markers.ts'
import { transactionalIdOf } from '../../src/sink/kafka-outbox.ts'

const owner = { jobId: 'a', generation: 3 }

it.each([null, { jobId: 'b', generation: 2, epoch: 17 }])('reads what it wrote: %o', (applied) => {
  expect(decodeMarker(encodeMarker({ owner, applied }), 't')).toEqual({ owner, applied })
})

it('reads the form that was released', () => {
  const released = '{"owner":{"jobId":"a","generation":3},"applied":{"jobId":"a","generation":2,"epoch":9}}'
  const applied = { jobId: 'a', generation: 2, epoch: 9 }
  expect(Buffer.from(encodeMarker({ owner, applied })).toString()).toBe(released)
  expect(decodeMarker(Buffer.from(`${released.slice(0, -1)},"later":1}`), 't')).toEqual({ owner, applied })
})

it.each([
  '',
  'no',
  '{}',
  '{"owner":{"jobId":"a","generation":"3"},"applied":null}',
  '{"owner":{"jobId":"a","generation":3}}',
])('refuses %s', (text) => {
  expect(() => decodeMarker(Buffer.from(text), 'the-topic')).toThrow(/the-topic holds a marker/)
})

it('gives each sink an id of its own', () => {
  expect(transactionalIdOf('millrace', 'a-b', 'c')).not.toBe(transactionalIdOf('millrace', 'a', 'b-c'))
})
