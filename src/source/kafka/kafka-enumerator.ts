/**
 * Finds the partitions of a Kafka or Redpanda topic, resolves start positions, publishes positions for lag tools.
 *
 * Owns: the control-plane half of the Kafka source. Does not own: reading (kafka-reader.ts), which partition goes to
 * which subtask, when discovery runs (coordinator/). Passing trouble (no leader yet, broker just restarted) is retried
 * a few times here; what lasts is thrown.
 */
import { type Clock, nextFraction, type Random, type Scheduler } from '../../core/clock.ts'
import { MillraceError } from '../../core/errors.ts'
import type { PartitionInfo, SourceEnumerator, StartPosition } from '../source.ts'
import { resolveStart } from '../start-position.ts'
import { brokerError, kafkaErrorName, kafkaErrorPasses, kafkaErrors } from './errors.ts'
import { KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
import { EARLIEST_TIMESTAMP, type Isolation, LATEST_TIMESTAMP, type TopicMetadata } from './protocol.ts'

/** Options of a KafkaEnumerator. */
export interface KafkaEnumeratorOptions extends KafkaClusterOptions {
  readonly topic: string
  /** Default `read_committed`: the end of a partition is then its last stable offset. */
  readonly isolation?: Isolation
  /** Attempts before trouble that may pass is thrown. Default 5. */
  readonly attempts?: number
  /** First pause between attempts, ms; it doubles. Default 100. */
  readonly backoffMs?: number
  /** Told why a commit for lag tools failed. Default: nobody is. */
  readonly warn?: (message: string) => void
}

/** What a KafkaEnumerator is handed. */
export interface KafkaEnumeratorPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

/** A SourceEnumerator over Metadata and ListOffsets. */
export class KafkaEnumerator implements SourceEnumerator {
  readonly #options: KafkaEnumeratorOptions
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #cluster: KafkaCluster
  #closed = false

  constructor(options: KafkaEnumeratorOptions, ports: KafkaEnumeratorPorts) {
    this.#options = options
    this.#scheduler = ports.scheduler
    this.#random = ports.random
    this.#cluster = new KafkaCluster(options)
  }

  /** As every enumerator does; `isolation` may say for this call alone what the end of a partition is. */
  async partitions(isolation?: Isolation): Promise<readonly PartitionInfo[]> {
    return this.#retrying(async () => {
      const metadata = await this.#metadata()
      const numbers = metadata.partitions.map((each) => each.partition)
      const earliest = await this.#offsets(metadata, numbers, EARLIEST_TIMESTAMP)
      const end = await this.#offsets(metadata, numbers, LATEST_TIMESTAMP, isolation)
      return numbers.map((partition, i) => ({
        partition,
        topicId: metadata.topicId,
        earliest: earliest[i]!,
        end: Math.max(earliest[i]!, end[i]!),
      }))
    })
  }

  async resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    const found = new Map<number, number>()
    if (start.kind === 'timestamp') {
      const numbers = partitions.map((each) => each.partition)
      // Below zero are Kafka's own marks for earliest and latest; no record is older than 1970.
      const timestampMs = Math.max(0, Math.ceil(start.timestampMs))
      const offsets = await this.#retrying(async () => this.#offsets(await this.#metadata(), numbers, timestampMs))
      for (const [i, offset] of offsets.entries()) if (offset >= 0) found.set(numbers[i]!, offset)
    }
    return resolveStart(start, partitions, (info) => found.get(info.partition) ?? info.end)
  }

  async commit(groupId: string, offsets: Readonly<Record<number, number>>): Promise<void> {
    if (Object.keys(offsets).length === 0) return
    try {
      await this.#retrying(() => this.#cluster.commitOffsets(groupId, this.#options.topic, offsets))
    } catch (error) {
      const { topic, warn } = this.#options
      if (!this.#closed) warn?.(`positions of ${topic} were not published to group ${groupId}: ${errorText(error)}`)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#cluster.close()
  }

  async #metadata(): Promise<TopicMetadata> {
    const { topic } = this.#options
    const metadata = await this.#cluster.metadata(topic)
    if (metadata.errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) {
      throw new MillraceError(
        'TOPIC_NOT_FOUND',
        `topic ${topic} does not exist at ${this.#options.brokers.join(', ')}. ` +
          'Check its name and the right to describe it, or create it.',
      )
    }
    if (metadata.errorCode !== kafkaErrors.NONE && !kafkaErrorPasses(metadata.errorCode)) {
      throw brokerError(metadata.errorCode, `Metadata of ${topic}`)
    }
    const leaderless = metadata.partitions.find((each) => each.leader < 0)
    if (metadata.errorCode !== kafkaErrors.NONE || metadata.partitions.length === 0 || leaderless !== undefined) {
      const code = leaderless?.errorCode ?? metadata.errorCode
      throw unavailable(leaderless === undefined ? topic : `${topic}-${leaderless.partition}`, code)
    }
    return metadata
  }

  /** The offset that `timestampMs` means in each of `partitions`, asked of their leaders; -1 where none does. */
  async #offsets(
    metadata: TopicMetadata,
    partitions: readonly number[],
    timestampMs: number,
    isolation: Isolation = this.#options.isolation ?? 'read_committed',
  ): Promise<number[]> {
    const { topic } = this.#options
    const byLeader = new Map<number, number[]>()
    for (const { partition, leader } of metadata.partitions) {
      if (!partitions.includes(partition)) continue
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition])
    }
    const found = new Map<number, number>()
    const asking = [...byLeader].map(async ([leader, led]) => {
      const queries = led.map((partition) => ({ partition, timestampMs }))
      for (const answer of await this.#cluster.listOffsets(leader, topic, isolation, queries)) {
        const where = `${topic}-${answer.partition}`
        if (answer.errorCode !== 0 && kafkaErrorPasses(answer.errorCode)) throw unavailable(where, answer.errorCode)
        if (answer.errorCode !== 0) throw brokerError(answer.errorCode, `ListOffsets of ${where}`)
        found.set(answer.partition, answer.offset)
      }
    })
    await Promise.all(asking)
    return partitions.map((partition) => {
      const offset = found.get(partition)
      if (offset === undefined) throw unavailable(`${topic}-${partition}`, kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION)
      return offset
    })
  }

  async #retrying<T>(run: () => Promise<T>): Promise<T> {
    const { attempts = 5, backoffMs = 100 } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        return await run()
      } catch (error) {
        const passes = error instanceof MillraceError && error.retry === 'backoff'
        if (!passes || attempt >= attempts || this.#closed) throw error
      }
      const delayMs = backoffMs * 2 ** (attempt - 1) * (0.5 + 0.5 * nextFraction(this.#random))
      await new Promise<void>((resolve) => this.#scheduler.after(delayMs, resolve))
    }
  }
}

function unavailable(where: string, errorCode: number): MillraceError {
  return new MillraceError(
    'BROKER_UNREACHABLE',
    `${where} has no leader that answers now: ${kafkaErrorName(errorCode)}. This passes when its broker is back.`,
  )
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
