/** Records of sinks as JSON. */
import { expect, it } from 'vitest'
import { jsonBytes } from '../../src/program/json-value.ts'

const text = (value: unknown): string => new TextDecoder().decode(jsonBytes(value))

it('has a form for all plain data', () => {
  const value = {
    big: 2n ** 63n - 1n,
    bytes: Uint8Array.of(1, 2),
    buffer: Buffer.from([255]),
    map: new Map<unknown, unknown>([
      ['a', 1n],
      [2, new Set([3n])],
    ]),
    at: new Date(0),
    none: undefined,
    list: [undefined, null, Number.NaN],
  }
  expect(JSON.parse(text(value))).toEqual({
    big: '9223372036854775807',
    bytes: 'AQI=',
    buffer: '/w==',
    map: { a: '1', '2': ['3'] },
    at: '1970-01-01T00:00:00.000Z',
    list: [null, null, null],
  })
})

it.each([
  ['a bigint', 5n, '"5"'],
  ['bytes', Uint8Array.of(1), '"AQ=="'],
  ['a buffer', Buffer.from([1]), '"AQ=="'],
  ['nothing', undefined, 'null'],
  ['a text', 'ä', '"ä"'],
])('takes %s by itself', (_name, value, expected) => {
  expect(text(value)).toBe(expected)
})

it.each([
  ['a function', { a: { b: () => 1 } }, "'b' of a record for a sink is a function"],
  ['a promise', Promise.resolve(1), 'a record for a sink is a promise'],
  ['a symbol', [Symbol('s')], "'0' of a record for a sink is a symbol"],
])('refuses what it would leave out: %s', (_name, value, why) => {
  expect(() => jsonBytes(value)).toThrow(why)
})
