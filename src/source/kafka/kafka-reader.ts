/**
 * Reads partitions of a Kafka or Redpanda topic: the SourceReader over our own Fetch.
 *
 * Owns: the partitions of one subtask, who leads them, what is retried and when. Does not own: connections and requests
 * (leader-fetcher.ts, kafka-cluster.ts), batches and transactions (partition-feed.ts), which partitions there are and
 * where they start (kafka-enumerator.ts).
 *
 * What passes by itself (leader moved, broker away, topic not known for a while) is retried with exponential backoff and
 * jitter; meanwhile `status().reachable` is false. A position that is gone ends the read:
 *   below the first offset held     POSITION_LOST with the number of records gone, or counted under `skipLost`
 *   above the end of the same log   POSITION_LOST: the log was truncated (an unclean leader election)
 *   above the end of a log that may be another (no topic ids), topic id changed, leader epoch fallen   TOPIC_RECREATED
 * Topic ids come with Metadata 10; they are compared after every error and every `metadataMaxAgeMs`, so a topic that is
 * re-created between two fetches without an error in either is seen by then at the latest, or by its leader epochs.
 */
import { type Cancel, type Clock, nextFraction, type Random, type Scheduler } from '../../core/clock.ts'
import { MillraceError } from '../../core/errors.ts'
import { Decompressor } from '../../event/compression.ts'
import { recordBatchCorrupt } from '../../event/record-batch.ts'
import { newRecordChunk } from '../record-chunk.ts'
import type { PartitionStatus, RecordChunk, SourceReader, SplitAssignment } from '../source.ts'
import { newStatus, Wakeup } from '../splits.ts'
import { brokerError, kafkaErrorPasses, kafkaErrors } from './errors.ts'
import { KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
import { type FetcherOwner, LeaderFetcher } from './leader-fetcher.ts'
import { lookIntoPosition, type PositionVerdict, topicRecreated } from './lost-position.ts'
import { PartitionFeed } from './partition-feed.ts'
import type { Isolation, TopicMetadata } from './protocol.ts'

/** Options of a KafkaReader. */
export interface KafkaReaderOptions extends KafkaClusterOptions {
  readonly topic: string
  /** Default `read_committed`. */
  readonly isolation?: Isolation
  /** Go on behind records that retention took, and count them, instead of POSITION_LOST. Default false. */
  readonly skipLost?: boolean
  /** Check each batch's CRC-32C. Default true. */
  readonly checkCrc?: boolean
  /** Longest wait of a Fetch for data at the broker, ms. Default 100. */
  readonly maxWaitMs?: number
  /** Most bytes of one Fetch response, of which two are held a leader; a larger first batch comes whole. Default 4 MiB. */
  readonly maxBytes?: number
  /** Most bytes of one partition in it. Default 1 MiB. */
  readonly maxPartitionBytes?: number
  /** Most bytes that one batch may decompress to. Default 64 MiB. */
  readonly maxBatchBytes?: number
  /** Leaders and topic id are looked up again after this, ms. Default 10000. */
  readonly metadataMaxAgeMs?: number
  /** How long a topic or partition may be unknown to the broker before it counts as not there, ms. Default 60000. */
  readonly missingTimeoutMs?: number
  /** First and longest pause before a retry, ms. Default 50 and 2000. */
  readonly backoffMs?: number
  readonly backoffMaxMs?: number
}

/** What a KafkaReader is handed. */
export interface KafkaReaderPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

/** A SourceReader over Fetch. */
export class KafkaReader implements SourceReader, FetcherOwner {
  readonly #options: KafkaReaderOptions
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #cluster: KafkaCluster
  readonly #decompressor: Decompressor
  readonly #feeds: PartitionFeed[] = []
  readonly #byPartition = new Map<number, PartitionFeed>()
  readonly #fetchers = new Map<number, LeaderFetcher>()
  #turn = 0
  readonly #wakeup: Wakeup
  #metadataInFlight = false
  #metadataDueMs = Number.POSITIVE_INFINITY
  #cancelMetadata: Cancel = () => {}
  #closed = false
  readonly #chunk: RecordChunk = newRecordChunk()
  readonly #status: PartitionStatus = newStatus()

  constructor(options: KafkaReaderOptions, ports: KafkaReaderPorts) {
    this.#options = options
    this.#clock = ports.clock
    this.#scheduler = ports.scheduler
    this.#random = ports.random
    this.#wakeup = new Wakeup(ports.scheduler)
    this.#cluster = new KafkaCluster(options)
    this.#decompressor = new Decompressor(options.maxBatchBytes)
  }

  /** Records skipped under `skipLost` since this reader was made. */
  get lostRecords(): number {
    return this.#feeds.reduce((sum, feed) => sum + feed.lostRecords, 0)
  }

  assign(split: SplitAssignment): void {
    if (this.#byPartition.has(split.partition)) {
      throw new MillraceError('INTERNAL', `${this.#options.topic}-${split.partition} is assigned twice to one reader`)
    }
    const { topic, maxPartitionBytes = 1024 * 1024, checkCrc = true } = this.#options
    const feed = new PartitionFeed(topic, split, maxPartitionBytes, checkCrc)
    this.#feeds.push(feed)
    this.#byPartition.set(split.partition, feed)
    if (!feed.finished) this.#refreshMetadata(0)
  }

  poll(): RecordChunk | undefined {
    const feeds = this.#feeds
    const count = feeds.length
    for (let i = 0; i < count; i++) {
      const index = (this.#turn + i) % count
      const feed = feeds[index]!
      if (feed.failure !== undefined && feed.drained) throw feed.failure
      if (feed.paused || feed.drained) continue
      const wasFull = feed.full
      const taken = feed.take(this.#chunk, this.#decompressor)
      // A region was finished: what waited for room can be fetched while this chunk is worked on.
      if (wasFull && !feed.full) this.#fetchers.get(feed.leader)?.pump()
      if (!taken) continue
      this.#turn = (index + 1) % count
      return this.#chunk
    }
    return undefined
  }

  onReady(wake: () => void): void {
    const ready = this.#feeds.some((feed) => (feed.drained ? feed.failure !== undefined : !feed.paused))
    this.#wakeup.register(wake, ready)
  }

  setPaused(partition: number, paused: boolean): void {
    const feed = this.#feedOf(partition)
    feed.paused = paused
    this.#fetchers.get(feed.leader)?.pump()
    if (!paused && !feed.drained) this.dataArrived()
  }

  status(partition: number): PartitionStatus {
    const feed = this.#feedOf(partition)
    const status = this.#status
    status.partition = partition
    status.position = feed.position
    status.highWatermark = feed.highWatermark
    status.lastStableOffset = feed.lastStableOffset
    status.lastFetchMs = feed.lastFetchMs
    status.reachable = feed.reachable && this.#fetchers.get(feed.leader)?.overdue !== true
    status.finished = feed.finished
    return status
  }

  splitState(partition: number): string {
    return this.#feedOf(partition).state()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelMetadata()
    this.#wakeup.close()
    const fetchers = [...this.#fetchers.values()]
    this.#fetchers.clear()
    for (const feed of this.#feeds) feed.clear()
    await Promise.all([...fetchers.map((fetcher) => fetcher.close()), this.#cluster.close()])
  }

  dataArrived(): void {
    this.#wakeup.signal()
  }

  partitionRefused(feed: PartitionFeed, errorCode: number): void {
    const where = `${feed.topic}-${feed.partition}`
    if (errorCode === kafkaErrors.OFFSET_OUT_OF_RANGE) {
      feed.held = true
      void this.#lookIntoPosition(feed)
    } else if (errorCode === kafkaErrors.CORRUPT_MESSAGE) {
      this.#fail(feed, recordBatchCorrupt(feed.topic, feed.partition, feed.fetchOffset, 'the broker says so itself'))
    } else if (kafkaErrorPasses(errorCode)) {
      this.#retry(feed)
    } else {
      this.#fail(feed, brokerError(errorCode, `Fetch of ${where}`))
    }
  }

  leaderLost(fetcher: LeaderFetcher, error: unknown): void {
    this.#fetchers.delete(fetcher.nodeId)
    const failure = MillraceError.from(error)
    for (const feed of [...fetcher.feeds]) {
      if (failure.retry === 'backoff') this.#retry(feed)
      else this.#fail(feed, failure)
    }
  }

  /** Takes a partition from its leader and looks for the leader again after the backoff. */
  #retry(feed: PartitionFeed): void {
    this.#detach(feed)
    feed.reachable = false
    const { backoffMs = 50, backoffMaxMs = 2000 } = this.#options
    const delayMs = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(feed.attempts, 20))
    feed.attempts++
    this.#refreshMetadata(delayMs * (0.5 + 0.5 * nextFraction(this.#random)))
  }

  #fail(feed: PartitionFeed, failure: MillraceError): void {
    this.#detach(feed)
    feed.reachable = false
    feed.failure ??= failure
    this.dataArrived()
  }

  #detach(feed: PartitionFeed): void {
    this.#fetchers.get(feed.leader)?.remove(feed)
    feed.leader = -1
  }

  /** Asks for metadata after `delayMs`, or earlier if that is due anyway. */
  #refreshMetadata(delayMs: number): void {
    const dueMs = this.#clock.monotonicMs() + delayMs
    if (this.#closed || this.#metadataInFlight || dueMs >= this.#metadataDueMs) return
    this.#cancelMetadata()
    this.#metadataDueMs = dueMs
    this.#cancelMetadata = this.#scheduler.after(delayMs, () => void this.#askMetadata())
  }

  async #askMetadata(): Promise<void> {
    this.#metadataDueMs = Number.POSITIVE_INFINITY
    this.#metadataInFlight = true
    let metadata: TopicMetadata | undefined
    let failure: MillraceError | undefined
    try {
      metadata = await this.#cluster.metadata(this.#options.topic)
    } catch (error) {
      failure = MillraceError.from(error)
    }
    this.#metadataInFlight = false
    if (this.#closed) return
    for (const feed of this.#feeds) {
      if (feed.failure !== undefined || feed.finished) continue
      if (metadata !== undefined) this.#applyMetadata(feed, metadata)
      else if (feed.leader >= 0) continue
      else if (failure === undefined || failure.retry === 'backoff') this.#retry(feed)
      else this.#fail(feed, failure)
    }
    this.#forgetIdleLeaders()
    this.#refreshMetadata(this.#options.metadataMaxAgeMs ?? 10_000)
  }

  #applyMetadata(feed: PartitionFeed, metadata: TopicMetadata): void {
    const { topicId, errorCode: topicError } = metadata
    const partition = metadata.partitions.find((each) => each.partition === feed.partition)
    const errorCode = topicError || (partition?.errorCode ?? kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION)
    if (errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) {
      this.#missing(feed)
      return
    }
    feed.missingSinceMs = -1
    if (topicId !== '' && feed.topicId !== '' && topicId !== feed.topicId) {
      this.#fail(feed, topicRecreated(feed.topic, feed.partition, `by its id, ${feed.topicId} then, ${topicId} now`))
      return
    }
    if (topicId !== '') feed.topicId = topicId
    if (errorCode !== kafkaErrors.NONE && !kafkaErrorPasses(errorCode)) {
      this.#fail(feed, brokerError(errorCode, `Metadata of ${feed.topic}-${feed.partition}`))
    } else if (partition === undefined || partition.leader < 0) {
      this.#retry(feed)
    } else {
      // A passing error beside a leader (a replica that is away) does not keep from reading.
      this.#attach(feed, partition.leader)
    }
  }

  #attach(feed: PartitionFeed, leader: number): void {
    if (feed.leader !== leader) {
      this.#detach(feed)
      feed.leader = leader
    }
    let fetcher = this.#fetchers.get(leader)
    if (fetcher === undefined) {
      const { topic, maxWaitMs = 100, maxBytes = 4 * 1024 * 1024, isolation = 'read_committed' } = this.#options
      const limits = { maxWaitMs, minBytes: 1, maxBytes, isolation }
      fetcher = new LeaderFetcher(leader, this.#cluster, topic, limits, this.#clock, this)
      this.#fetchers.set(leader, fetcher)
    }
    if (!fetcher.feeds.includes(feed)) fetcher.add(feed)
    // After the others of this round are attached too, so that one Fetch names them all.
    this.#scheduler.soon(() => this.#fetchers.get(leader)?.pump())
  }

  #missing(feed: PartitionFeed): void {
    const nowMs = this.#clock.monotonicMs()
    const timeoutMs = this.#options.missingTimeoutMs ?? 60_000
    if (feed.missingSinceMs < 0) feed.missingSinceMs = nowMs
    if (nowMs - feed.missingSinceMs < timeoutMs) {
      this.#retry(feed)
      return
    }
    const where = `${feed.topic}-${feed.partition}`
    const message =
      `${where} has not been known to the broker for ${Math.round(timeoutMs / 1000)} s. ` +
      'Check the name of the topic and the right to describe it, or create it.'
    this.#fail(feed, new MillraceError('TOPIC_NOT_FOUND', message))
  }

  #forgetIdleLeaders(): void {
    for (const [nodeId, fetcher] of this.#fetchers) {
      if (fetcher.feeds.length > 0) continue
      this.#fetchers.delete(nodeId)
      void fetcher.close()
    }
  }

  /** Finds out what became of a position that the broker does not have, and acts on it. */
  async #lookIntoPosition(feed: PartitionFeed): Promise<void> {
    const leader = feed.leader
    let verdict: PositionVerdict
    try {
      verdict = await lookIntoPosition(this.#cluster, feed)
    } catch {
      verdict = { kind: 'held' }
    }
    if (this.#closed) return
    feed.held = false
    if (verdict.kind === 'held') {
      this.#retry(feed)
    } else if (verdict.kind === 'expired' && this.#options.skipLost === true) {
      feed.skipTo(verdict.earliest)
      this.#fetchers.get(leader)?.pump()
      this.dataArrived()
    } else {
      this.#fail(feed, verdict.failure)
    }
  }

  #feedOf(partition: number): PartitionFeed {
    const feed = this.#byPartition.get(partition)
    if (feed !== undefined) return feed
    throw new MillraceError('INTERNAL', `${this.#options.topic}-${partition} is not assigned to this reader`)
  }
}
