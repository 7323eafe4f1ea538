import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatDuration, isTooLong, parseDuration, parseSize } from '../../src/job/duration.ts'

it.each([
  ['500ms', 500],
  ['5s', 5000],
  ['1m', 60_000],
  ['1h', 3_600_000],
  ['1d', 86_400_000],
  ['1w', 604_800_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['0', 0],
  ['0s', 0],
  ['-15m', -900_000],
  ['36525d', 36_525 * 86_400_000],
])('duration %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

it.each(['', '5', '5 s', 's', '5S', '1y', '0.1ms', '36526d', '--1s', '1e3s', '1s-', `${'9'.repeat(400)}s`])(
  'no duration: %s',
  (text) => {
    expect(parseDuration(text)).toBeNaN()
  },
)

it.each([
  ['0', 0],
  ['4096', 4096],
  ['64Mi', 64 * 1024 * 1024],
  ['1Gi', 1024 ** 3],
  ['1.5Ki', 1536],
  ['2M', 2_000_000],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

it.each(['', 'Mi', '-1', '1X', '0.3Ki', '1e9', '99999999999999Ti'])('no size: %s', (text) => {
  expect(parseSize(text)).toBeNaN()
})

it('tells what is too long from what is no duration', () => {
  expect(['36525d', '36526d', '100000d', '-100000d', 'long', '1d x'].map(isTooLong)).toEqual([
    ...[false, true, true, true, false, false],
  ])
})

it('formats what it parses', () => {
  fc.assert(
    fc.property(fc.nat(36_525 * 86_400), fc.constantFrom(1, 1000), (n, unit) => {
      expect(parseDuration(formatDuration(n * unit))).toBe(n * unit)
    }),
  )
})
