/** Addresses, and which broker is asked when some are away. */
import { describe, expect, it } from 'vitest'
import { KafkaCluster, parseBrokerAddress } from '../../../src/source/kafka/kafka-cluster.ts'
import { ManualClock, ManualScheduler } from '../../../src/testing/manual-clock.ts'
import { FakeCluster } from './fake-broker.ts'

function settle<T>(scheduler: ManualScheduler, promise: Promise<T>): Promise<T> {
  let done = false
  promise.then(
    () => {
      done = true
    },
    () => {
      done = true
    },
  )
  return scheduler.runUntil(() => done).then(() => promise)
}

describe('parseBrokerAddress', () => {
  it('reads names, IPv4 and IPv6', () => {
    expect(parseBrokerAddress('broker.example:9092')).toEqual({ host: 'broker.example', port: 9092 })
    expect(parseBrokerAddress(' 10.0.0.1:1 ')).toEqual({ host: '10.0.0.1', port: 1 })
    expect(parseBrokerAddress('[::1]:65535')).toEqual({ host: '::1', port: 65535 })
  })

  it.each(['broker', 'broker:', ':9092', 'a:b', 'a:0', 'a:65536', '::1:9092', 'http://a:1'])('refuses %s', (text) => {
    expect(() => parseBrokerAddress(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('KafkaCluster', () => {
  const build = (brokers: string[]) => {
    const scheduler = new ManualScheduler(new ManualClock())
    const fake = new FakeCluster(scheduler, 2, [1, 2])
    return { scheduler, fake, cluster: new KafkaCluster({ brokers, connect: fake.connect }) }
  }

  it('asks the next broker when one is away, and stays with the one that answered', async () => {
    const { scheduler, fake, cluster } = build(['broker1:1', 'broker2:2'])
    fake.up.delete(1)
    expect((await settle(scheduler, cluster.metadata('events'))).partitions).toHaveLength(2)
    const { connects } = fake
    await settle(scheduler, cluster.metadata('events'))
    expect(fake.connects).toBe(connects)
    fake.stop(2)
    fake.up.add(1)
    await settle(scheduler, cluster.metadata('events'))
    await cluster.close()
  })

  it('names all that it tried when none answers', async () => {
    const { scheduler, fake, cluster } = build(['broker1:1', 'broker2:2'])
    fake.up.clear()
    await expect(settle(scheduler, cluster.metadata('events'))).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      message: expect.stringMatching(/broker1:1, broker2:2/),
    })
    await cluster.close()
    await expect(cluster.metadata('events')).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})
