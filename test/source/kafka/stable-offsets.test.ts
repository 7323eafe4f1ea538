/** Where partitions end for whom, and that one without a leader is not taken for one that nothing holds back. */
import { expect, it } from 'vitest'
import type { KafkaCluster } from '../../../src/source/kafka/kafka-cluster.ts'
import { arePassed, everyEnd, partitionEnds } from '../../../src/source/kafka/stable-offsets.ts'

interface Partition {
  readonly leader: number
  readonly stable: number
  readonly high: number
  readonly errorCode?: number
}

/** As far as ends are asked for: a cluster with one topic. */
function clusterOf(partitions: readonly Partition[]): KafkaCluster {
  const metadata = { errorCode: 0, partitions: partitions.map(({ leader }, partition) => ({ partition, leader })) }
  const listOffsets = (_: number, __: string, isolation: string, queries: readonly { readonly partition: number }[]) =>
    queries.map(({ partition }) => {
      const { stable, high, errorCode = 0 } = partitions[partition]!
      return { partition, errorCode, offset: isolation === 'read_committed' ? stable : high }
    })
  return {
    metadata: () => Promise.resolve(metadata),
    listOffsets: (...asked: Parameters<typeof listOffsets>) => Promise.resolve(listOffsets(...asked)),
  } as unknown as KafkaCluster
}

const open = { leader: 1, stable: 5, high: 9 }
const away = { leader: -1, stable: 0, high: 0 }
const moved = { ...open, errorCode: 6 }

it('passes over partitions that cannot be asked, where that is enough', async () => {
  expect(await partitionEnds(clusterOf([away, open, moved]), 'a')).toEqual([
    { topic: 'a', partition: 1, leader: 1, lastStableOffset: 5, highWatermark: 9 },
  ])
})

it.each([
  ['has no leader', away],
  ['has another leader by now', moved],
])('is not content while one that is wanted %s', async (_, partition) => {
  const cluster = clusterOf([open, partition])
  await expect(everyEnd(cluster, 'a', () => true)).rejects.toMatchObject({
    code: 'BROKER_UNREACHABLE',
    retry: 'backoff',
    message: expect.stringContaining('a-1 has no leader'),
  })
  expect(await everyEnd(cluster, 'a', (each) => each === 0)).toHaveLength(1)
})

it('a batch is passed when readers of committed records stand behind its first record', async () => {
  const at = (partition: number, offset: number) => ({ topic: 'a', partition, leader: 1, offset })
  const cluster = clusterOf([open, { leader: 1, stable: 7, high: 7 }, moved])
  expect(await arePassed(cluster, [at(0, 4), at(1, 6)])).toBe(true)
  expect(await arePassed(cluster, [at(0, 5), at(1, 6)])).toBe(false)
  expect(await arePassed(cluster, [at(1, -1)])).toBe(false)
  expect(await arePassed(cluster, [at(2, 1)])).toBe(false)
  expect(await arePassed(cluster, [])).toBe(true)
})
