/**
 * Watches for transactions that hold back what jobs read and write.
 *
 * A transaction that stays open keeps every reader of committed records from going on behind it: a job's own source, or
 * whoever reads its output. Looks at the topics of running jobs now and then; a last stable offset that has stood below
 * the end for longer than a while is warned of once, and shown until it moves.
 */
import type { Cancel } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import { KafkaCluster } from '../source/kafka/kafka-cluster.ts'
import { nameHolder } from '../source/kafka/open-transactions.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { partitionEnds } from '../source/kafka/stable-offsets.ts'
import { type KafkaTopic, kafkaTopicsOf } from './kafka-topics.ts'
import type { DeskJob } from './transactions.ts'

/** A partition that is held back. */
export interface HeldPartition {
  readonly topic: string
  readonly partition: number
  readonly lastStableOffset: number
  readonly highWatermark: number
  /** Epoch ms when its last stable offset was first seen where it is. */
  readonly sinceMs: number
  /** Which transaction it is, for people; '' when the broker does not tell. */
  readonly holder: string
}

/** What a HeldPartitions is made of. */
export interface HeldPartitionsOptions {
  readonly jobs: () => readonly DeskJob[]
  readonly security: KafkaSecurity
  readonly ports: KafkaPorts
  readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void
  /** How often topics are looked at, ms. Default 10000. */
  readonly everyMs?: number
  /** How long a last stable offset may stand still below the end, ms: above the timeout of transactions. */
  readonly thresholdMs: number
}

interface Seen {
  readonly lastStableOffset: number
  readonly highWatermark: number
  readonly sinceMs: number
  readonly sinceMonotonicMs: number
  readonly holder: string
  readonly warned: boolean
}

/** Looks until it is closed. */
export class HeldPartitions {
  readonly #options: HeldPartitionsOptions
  readonly #clusters = new Map<string, KafkaCluster>()
  /** By topic of a cluster, then by partition. */
  readonly #seen = new Map<string, Map<number, Seen>>()
  /** Topics that could not be looked at, and of which that was said. */
  readonly #unseen = new Set<string>()
  #cancel: Cancel = () => {}
  #closed = false

  constructor(options: HeldPartitionsOptions) {
    this.#options = options
  }

  /** Begins to look. */
  start(): void {
    const { everyMs = 10_000, ports } = this.#options
    if (this.#closed) return
    this.#cancel = ports.scheduler.after(everyMs, () => void this.look().finally(() => this.start()))
  }

  /** What is held back for too long of a job's topics. */
  of(job: string): HeldPartition[] {
    const found = this.#options.jobs().find(({ name }) => name === job)
    if (found === undefined) return []
    return kafkaTopicsOf(found.definition).flatMap((topic) => {
      const seen = [...(this.#seen.get(keyOf(topic)) ?? [])].filter(([, { warned }]) => warned)
      return seen.map(([partition, { lastStableOffset, highWatermark, sinceMs, holder }]) => {
        return { topic: topic.topic, partition, lastStableOffset, highWatermark, sinceMs, holder }
      })
    })
  }

  /** One look at the topics of all jobs that run. Never rejects. */
  async look(): Promise<void> {
    const topics = new Map<string, KafkaTopic>()
    for (const { runs, definition } of this.#options.jobs()) {
      if (runs) for (const topic of kafkaTopicsOf(definition)) topics.set(keyOf(topic), topic)
    }
    for (const key of this.#seen.keys()) if (!topics.has(key)) this.#seen.delete(key)
    const brokers = new Set([...topics.values()].map((topic) => topic.brokers))
    for (const [name, cluster] of this.#clusters) {
      if (brokers.has(name)) continue
      this.#clusters.delete(name)
      await cluster.close()
    }
    for (const [key, topic] of topics) {
      if (this.#closed) return
      try {
        await this.#lookAt(key, topic)
        this.#unseen.delete(key)
      } catch (thrown) {
        this.#cannotSee(key, topic, MillraceError.from(thrown))
      }
    }
  }

  /** Ends it. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await Promise.all([...this.#clusters.values()].map((cluster) => cluster.close()))
  }

  /** A cluster that is away is the jobs' own to tell of; anything else is said once, until it is over. */
  #cannotSee(key: string, { topic }: KafkaTopic, error: MillraceError): void {
    if (this.#closed || error.retry === 'backoff' || this.#unseen.has(key)) return
    this.#unseen.add(key)
    this.#options.warn(`topic ${topic} cannot be watched for open transactions: ${error.message}`, { topic })
  }

  async #lookAt(key: string, { topic, brokers }: KafkaTopic): Promise<void> {
    const { security, ports, thresholdMs, warn } = this.#options
    let cluster = this.#clusters.get(brokers)
    if (cluster === undefined) {
      cluster = new KafkaCluster({ brokers: brokers.split(',').map((broker) => broker.trim()), ...security })
      this.#clusters.set(brokers, cluster)
    }
    const before = this.#seen.get(key) ?? new Map<number, Seen>()
    const after = new Map<number, Seen>()
    const nowMs = ports.clock.monotonicMs()
    for (const { partition, lastStableOffset, highWatermark } of await partitionEnds(cluster, topic)) {
      if (lastStableOffset >= highWatermark) continue
      const last = before.get(partition)
      const same = last !== undefined && last.lastStableOffset === lastStableOffset
      const fresh = { sinceMs: ports.clock.nowMs(), sinceMonotonicMs: nowMs, holder: '', warned: false }
      let seen: Seen = { ...(same ? last : fresh), lastStableOffset, highWatermark }
      if (!seen.warned && nowMs - seen.sinceMonotonicMs >= thresholdMs) {
        const holder = await nameHolder(cluster, topic, partition)
        seen = { ...seen, holder, warned: true }
        const text = `a transaction that stays open holds back ${topic}-${partition}: readers of committed records stand at ${lastStableOffset}, ${highWatermark - lastStableOffset} before the end`
        warn(`${text}. See millrace txn list`, { topic, partition, lastStableOffset, highWatermark, holder })
      }
      after.set(partition, seen)
    }
    this.#seen.set(key, after)
  }
}

function keyOf({ brokers, topic }: KafkaTopic): string {
  return `${brokers} ${topic}`
}
