/** Partitions by key: the vectors of Kafka's own test (UtilsTest.testMurmur2). */
import { expect, it } from 'vitest'
import { murmur2, partitionOfKey } from '../../src/sink/kafka-partitioner.ts'

it.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('hashes %s as Kafka does', (text, hash) => {
  const bytes = Buffer.from(`xx${text}yy`)
  expect(murmur2(bytes, 2, bytes.length - 2)).toBe(hash)
  expect(partitionOfKey(bytes, 2, bytes.length - 2, 7)).toBe((hash & 0x7fff_ffff) % 7)
})
