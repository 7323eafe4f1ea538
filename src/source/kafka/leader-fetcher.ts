/**
 * Fetches from one broker all partitions of a reader that it leads.
 *
 * Owns: one connection and at most one Fetch in flight on it. The next Fetch goes out as soon as the last has arrived,
 * so that it travels while records are read. It names all partitions that want data, and waits while one of them is
 * full: a Fetch without that one could sit out its wait at the broker while the partition runs dry.
 * Does not own: which partitions it has, errors and their backoff (kafka-reader.ts, which it reports to).
 */
import type { Clock } from '../../core/clock.ts'
import type { KafkaConnection } from './connection.ts'
import { brokerError, kafkaErrors } from './errors.ts'
import { type FetchedPartition, type FetchLimits, type FetchResponse, readFetch, writeFetch } from './fetch-protocol.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import type { PartitionFeed } from './partition-feed.ts'
import { apiKeys, apiVersionsUsed } from './protocol.ts'

/** An answer that is overdue by this much makes its partitions count as unreachable, ms. */
const OVERDUE_GRACE_MS = 1000

/** What a fetcher tells its reader. */
export interface FetcherOwner {
  /** Something can be polled. */
  dataArrived(): void
  /** The broker refused one partition. */
  partitionRefused(feed: PartitionFeed, errorCode: number): void
  /** The connection is gone or the broker refused a whole Fetch; the fetcher is closed. */
  leaderLost(fetcher: LeaderFetcher, error: unknown): void
}

/** Fetches from one leader. */
export class LeaderFetcher {
  readonly nodeId: number
  /** The partitions this broker leads. */
  readonly feeds: PartitionFeed[] = []
  readonly #cluster: KafkaCluster
  readonly #topic: string
  readonly #limits: FetchLimits
  readonly #clock: Clock
  readonly #owner: FetcherOwner
  #connection: KafkaConnection | undefined
  /** Monotonic ms when the Fetch in flight, or the attempt to connect, began; -1 when there is none. */
  #sinceMs = -1
  /** First partition of the next Fetch: brokers serve them in order until the response is full. */
  #turn = 0
  #closed = false

  constructor(
    nodeId: number,
    cluster: KafkaCluster,
    topic: string,
    limits: FetchLimits,
    clock: Clock,
    owner: FetcherOwner,
  ) {
    this.nodeId = nodeId
    this.#cluster = cluster
    this.#topic = topic
    this.#limits = limits
    this.#clock = clock
    this.#owner = owner
  }

  add(feed: PartitionFeed): void {
    this.feeds.push(feed)
  }

  remove(feed: PartitionFeed): void {
    const at = this.feeds.indexOf(feed)
    if (at >= 0) this.feeds.splice(at, 1)
  }

  /** True while the broker owes an answer for longer than it may wait. */
  get overdue(): boolean {
    return this.#sinceMs >= 0 && this.#clock.monotonicMs() - this.#sinceMs > this.#limits.maxWaitMs + OVERDUE_GRACE_MS
  }

  /** Sends the next Fetch if there is room for what it brings and none is in flight. Cheap when there is nothing to do. */
  pump(): void {
    if (this.#closed || this.#sinceMs >= 0) return
    let wanted = 0
    for (const feed of this.feeds) {
      if (!feed.fetchable) continue
      if (feed.full) return
      wanted++
    }
    if (wanted === 0) return
    this.#sinceMs = this.#clock.monotonicMs()
    if (this.#connection === undefined) {
      this.#cluster.open(this.nodeId).then(
        (connection) => this.#connected(connection),
        (error: unknown) => this.#lost(error),
      )
      return
    }
    this.#fetch(this.#connection)
  }

  /** Abandons what is in flight. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.#sinceMs = -1
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close()
  }

  #connected(connection: KafkaConnection): void {
    if (this.#closed) {
      connection.close().catch(() => {})
      return
    }
    this.#connection = connection
    this.#sinceMs = -1
    this.pump()
  }

  #fetch(connection: KafkaConnection): void {
    const asked: PartitionFeed[] = []
    const positions: { partition: number; fetchOffset: number; maxBytes: number }[] = []
    const count = this.feeds.length
    for (let i = 0; i < count; i++) {
      const feed = this.feeds[(this.#turn + i) % count]!
      if (!feed.fetchable) continue
      asked.push(feed)
      positions.push({ partition: feed.partition, fetchOffset: feed.fetchOffset, maxBytes: feed.maxBytes })
    }
    this.#turn = (this.#turn + 1) % count
    connection
      .request(
        apiKeys.fetch,
        apiVersionsUsed.fetch,
        false,
        (writer) => writeFetch(writer, this.#topic, this.#limits, positions),
        readFetch,
      )
      .then(
        (response) => this.#arrived(connection, response, asked, positions),
        (error: unknown) => this.#lost(error),
      )
  }

  #arrived(
    connection: KafkaConnection,
    response: FetchResponse,
    asked: readonly PartitionFeed[],
    positions: readonly { fetchOffset: number }[],
  ): void {
    if (this.#closed) return
    this.#sinceMs = -1
    if (response.errorCode !== kafkaErrors.NONE) {
      this.#lost(brokerError(response.errorCode, `Fetch of ${this.#topic} from broker ${this.nodeId}`))
      return
    }
    const nowMs = this.#clock.monotonicMs()
    let news = false
    // The response's buffer is reused when the last partition has read its part; this call holds it until then.
    let users = 1
    const release = (): void => {
      if (--users === 0) connection.recycle?.(response.bytes)
    }
    for (const fetched of response.partitions) {
      const index = asked.findIndex((each) => each.partition === fetched.partition)
      const feed = asked[index]
      // A partition that was taken away or moved on in the meantime has no use for this answer.
      if (feed === undefined || feed.leader !== this.nodeId || feed.fetchOffset !== positions[index]!.fetchOffset)
        continue
      if (fetched.errorCode === kafkaErrors.NONE) {
        if (fetched.end > fetched.start) users++
        this.#accept(feed, fetched, response.bytes, nowMs, release)
        news ||= fetched.end > fetched.start
      } else {
        this.#owner.partitionRefused(feed, fetched.errorCode)
      }
    }
    release()
    this.pump()
    if (news) this.#owner.dataArrived()
  }

  #accept(feed: PartitionFeed, fetched: FetchedPartition, bytes: Uint8Array, nowMs: number, release: () => void): void {
    feed.highWatermark = fetched.highWatermark
    // -1 from a broker that does not track transactions for this topic.
    feed.lastStableOffset = fetched.lastStableOffset < 0 ? fetched.highWatermark : fetched.lastStableOffset
    feed.lastFetchMs = nowMs
    feed.reachable = true
    feed.attempts = 0
    if (fetched.end > fetched.start) feed.addRegion(bytes, fetched.start, fetched.end, fetched.aborted, release)
  }

  #lost(error: unknown): void {
    if (this.#closed) return
    void this.close()
    this.#owner.leaderLost(this, error)
  }
}
