/**
 * The ways in which the Kafka e2e suites reach the broker of a run: directly, and through a proxy that offers no more
 * than Redpanda and refuses what is newer. A suite runs once for each.
 */
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import { type KafkaAdmin, type KafkaProducer, openKafkaAdmin, openKafkaProducer } from '../../src/source/kafka/admin.ts'
import { KafkaEnumerator } from '../../src/source/kafka/kafka-enumerator.ts'
import { KafkaReader, type KafkaReaderOptions } from '../../src/source/kafka/kafka-reader.ts'
import { type KafkaProxy, startKafkaProxy } from './kafka-proxy.ts'

/** For `describe.each`. */
export const kafkaModes = ['direct', 'redpanda-proxy'] as const

/** How the broker is reached. */
export type KafkaMode = (typeof kafkaModes)[number]

/** What production code is handed, from the machine. */
export const systemPorts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom }

/** Clients of a broker in one mode. */
export class KafkaAccess {
  /** Bootstrap servers as the clients have them. */
  readonly brokers: readonly string[]
  /** The same without a proxy. */
  readonly directBrokers: string
  readonly proxy: KafkaProxy | undefined
  readonly admin: KafkaAdmin
  readonly producer: KafkaProducer
  readonly #prefix: string
  #topics = 0

  private constructor(
    brokers: readonly string[],
    directBrokers: string,
    proxy: KafkaProxy | undefined,
    admin: KafkaAdmin,
    producer: KafkaProducer,
    prefix: string,
  ) {
    this.brokers = brokers
    this.directBrokers = directBrokers
    this.proxy = proxy
    this.admin = admin
    this.producer = producer
    this.#prefix = prefix
  }

  /** Connects to the broker at `brokers`; topics get names that start with `prefix`. */
  static async open(mode: KafkaMode, brokers: string, prefix: string): Promise<KafkaAccess> {
    const bootstrap = brokers.split(',')
    const proxy = mode === 'direct' ? undefined : await startKafkaProxy(bootstrap[0]!.trim(), { ceiling: 'redpanda' })
    const reached = proxy === undefined ? bootstrap : [proxy.brokers]
    const admin = await openKafkaAdmin({ brokers: reached })
    const producer = await openKafkaProducer({ brokers: reached })
    return new KafkaAccess(reached, brokers, proxy, admin, producer, prefix)
  }

  /** A topic name of its own. */
  newTopicName(): string {
    return `${this.#prefix}-${this.#topics++}`
  }

  /** Creates a topic that keeps records of any age. */
  async createTopic(partitions: number, config: Readonly<Record<string, string>> = {}): Promise<string> {
    const topic = this.newTopicName()
    await this.admin.createTopic(topic, { partitions, config: { 'retention.ms': '-1', ...config } })
    return topic
  }

  reader(topic: string, options: Partial<KafkaReaderOptions> = {}): KafkaReader {
    return new KafkaReader({ brokers: this.brokers, topic, backoffMaxMs: 300, ...options }, systemPorts)
  }

  enumerator(topic: string, warn?: (message: string) => void): KafkaEnumerator {
    return new KafkaEnumerator({ brokers: this.brokers, topic, ...(warn === undefined ? {} : { warn }) }, systemPorts)
  }

  /** Ends the clients; throws when the proxy had to refuse a request. */
  async close(): Promise<void> {
    await this.producer.close()
    await this.admin.close()
    await this.proxy?.close()
    const rejected = this.proxy?.rejected ?? []
    if (rejected.length > 0) throw new Error(`requests newer than Redpanda takes: ${rejected.join(', ')}`)
  }
}
