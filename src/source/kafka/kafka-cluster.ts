/**
 * A client's view of a cluster: where brokers are, who leads which partition, and the requests that go to any of them.
 *
 * Owns: bootstrap addresses, one control connection per broker asked, the last known node addresses. Does not own:
 * fetch connections (leader-fetcher.ts opens its own here, since a waiting Fetch blocks all behind it), retrying over
 * time: a call tries each known broker once and then fails.
 */
import { MillraceError } from '../../core/errors.ts'
import { connectKafka } from './connect.ts'
import type { KafkaConnect, KafkaConnection, KafkaConnectionOptions, KafkaSecurity } from './connection.ts'
import { brokerError, kafkaErrors } from './errors.ts'
import {
  apiKeys,
  apiVersionsUsed,
  type CoordinatorAddress,
  type CoordinatorKind,
  type Isolation,
  METADATA_WITH_TOPIC_IDS,
  type OffsetAnswer,
  type OffsetQuery,
  readFindCoordinator,
  readListOffsets,
  readMetadata,
  readOffsetCommit,
  type TopicMetadata,
  writeFindCoordinator,
  writeListOffsets,
  writeMetadata,
  writeOffsetCommit,
} from './protocol.ts'

/** How to reach a cluster. */
export interface KafkaClusterOptions extends KafkaSecurity {
  /** Bootstrap servers, each `host:port` (`[v6]:port` for IPv6). */
  readonly brokers: readonly string[]
  /** Default `millrace`. */
  readonly clientId?: string
  /** Default 5000. */
  readonly connectTimeoutMs?: number
  /** Default 15000; at least twice the fetch wait. */
  readonly requestTimeoutMs?: number
  /** Opens connections; default TCP. Tests pass their own. */
  readonly connect?: KafkaConnect
}

interface Address {
  readonly host: string
  readonly port: number
}

/** Reads `host:port` or `[v6]:port`; CONFIG_INVALID when it is neither. */
export function parseBrokerAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new MillraceError('CONFIG_INVALID', `broker address "${text}" is not host:port, as localhost:9092`)
  }
  return { host: (match[1] ?? match[2])!, port }
}

/** The cluster as one client sees it. */
export class KafkaCluster {
  readonly #options: KafkaConnectionOptions
  readonly #connect: KafkaConnect
  readonly #bootstrap: readonly Address[]
  readonly #nodes = new Map<number, Address>()
  readonly #control = new Map<string, Promise<KafkaConnection>>()
  /** The broker that answered last: asked first. */
  #preferred: Address | undefined
  #closed = false

  constructor(options: KafkaClusterOptions) {
    if (options.brokers.length === 0) throw new MillraceError('CONFIG_INVALID', 'no broker address is given')
    this.#bootstrap = options.brokers.map(parseBrokerAddress)
    this.#connect = options.connect ?? connectKafka
    this.#options = {
      clientId: options.clientId ?? 'millrace',
      connectTimeoutMs: options.connectTimeoutMs ?? 5000,
      requestTimeoutMs: options.requestTimeoutMs ?? 15_000,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
    }
  }

  /**
   * What the cluster says of `topic`; its `errorCode` is the topic's. Throws BROKER_UNREACHABLE when no known broker
   * answers, BROKER_UNSUPPORTED, BROKER_ERROR.
   */
  async metadata(topic: string): Promise<TopicMetadata> {
    const metadata = await this.ask(async (connection) => {
      const max = connection.offered.get(apiKeys.metadata)?.[1] ?? 0
      const version = max >= METADATA_WITH_TOPIC_IDS ? METADATA_WITH_TOPIC_IDS : apiVersionsUsed.metadata
      return connection.request(
        apiKeys.metadata,
        version,
        version >= METADATA_WITH_TOPIC_IDS,
        (writer) => writeMetadata(writer, version, topic),
        (reader) => readMetadata(reader, version, topic),
      )
    })
    if (metadata.brokers.length > 0) this.#nodes.clear()
    for (const { nodeId, host, port } of metadata.brokers) this.#nodes.set(nodeId, { host, port })
    return metadata
  }

  /** Asks broker `nodeId` for offsets of partitions that it leads, each partition at most once. */
  async listOffsets(
    nodeId: number,
    topic: string,
    isolation: Isolation,
    queries: readonly OffsetQuery[],
  ): Promise<OffsetAnswer[]> {
    const connection = await this.#controlOf(this.#addressOf(nodeId))
    return connection.request(
      apiKeys.listOffsets,
      apiVersionsUsed.listOffsets,
      false,
      (writer) => writeListOffsets(writer, topic, isolation, queries),
      readListOffsets,
    )
  }

  /** Commits offsets to a group from outside of it. Throws BROKER_ERROR with the first partition refused. */
  async commitOffsets(groupId: string, topic: string, offsets: Readonly<Record<number, number>>): Promise<void> {
    const coordinator = await this.findCoordinator('group', groupId)
    if (coordinator.errorCode !== kafkaErrors.NONE) {
      throw brokerError(coordinator.errorCode, `finding the coordinator of group ${groupId}`)
    }
    const connection = await this.connectionTo(coordinator)
    const results = await connection.request(
      apiKeys.offsetCommit,
      apiVersionsUsed.offsetCommit,
      false,
      (writer) => writeOffsetCommit(writer, groupId, topic, offsets),
      readOffsetCommit,
    )
    for (const { partition, errorCode } of results) {
      if (errorCode !== 0) throw brokerError(errorCode, `committing ${topic}-${partition} to group ${groupId}`)
    }
  }

  /** Asks who coordinates a group or a transactional id; `errorCode` is the broker's. */
  findCoordinator(kind: CoordinatorKind, key: string): Promise<CoordinatorAddress> {
    return this.ask((connection) =>
      connection.request(
        apiKeys.findCoordinator,
        apiVersionsUsed.findCoordinator,
        false,
        (writer) => writeFindCoordinator(writer, kind, key),
        readFindCoordinator,
      ),
    )
  }

  /** The control connection to a broker: of its address, or of its number in the metadata. Opened when there is none. */
  connectionTo(broker: number | { readonly host: string; readonly port: number }): Promise<KafkaConnection> {
    return this.#controlOf(typeof broker === 'number' ? this.#addressOf(broker) : broker)
  }

  /** Numbers of the brokers in the metadata asked for last. */
  get brokers(): number[] {
    return [...this.#nodes.keys()]
  }

  /** Opens a connection of the caller's own to broker `nodeId`. */
  async open(nodeId: number): Promise<KafkaConnection> {
    const { host, port } = this.#addressOf(nodeId)
    const connection = await this.#connect(host, port, this.#options)
    if (!this.#closed) return connection
    await connection.close()
    throw closedError()
  }

  /** Closes the control connections; calls under way fail. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    const connections = [...this.#control.values()]
    this.#control.clear()
    await Promise.all(connections.map((pending) => pending.then((connection) => connection.close()).catch(() => {})))
  }

  /** Asks one broker after the other, the one that answered last first, until one answers. */
  async ask<T>(ask: (connection: KafkaConnection) => Promise<T>): Promise<T> {
    const asked = new Set<string>()
    let failure: MillraceError | undefined
    for (const address of [this.#preferred, ...this.#nodes.values(), ...this.#bootstrap]) {
      if (address === undefined || asked.has(nameOf(address))) continue
      asked.add(nameOf(address))
      try {
        const answer = await ask(await this.#controlOf(address))
        this.#preferred = address
        return answer
      } catch (error) {
        if (!(error instanceof MillraceError) || this.#closed) throw error
        failure = error
      }
    }
    // One broker: its own message says most. Several: the first line of each would say the same.
    if (failure === undefined || asked.size === 1 || failure.code !== 'BROKER_UNREACHABLE') throw failure
    throw new MillraceError(
      'BROKER_UNREACHABLE',
      `none of the brokers ${[...asked].join(', ')} can be reached; the last: ${failure.message}`,
      { cause: failure },
    )
  }

  async #controlOf(address: Address): Promise<KafkaConnection> {
    if (this.#closed) throw closedError()
    const name = nameOf(address)
    const known = this.#control.get(name)
    if (known !== undefined) {
      const connection = await known
      if (connection.isOpen()) return connection
      if (this.#control.get(name) === known) this.#control.delete(name)
      return this.#controlOf(address)
    }
    const opening = this.#connect(address.host, address.port, this.#options)
    this.#control.set(name, opening)
    try {
      return await opening
    } catch (error) {
      if (this.#control.get(name) === opening) this.#control.delete(name)
      throw error
    }
  }

  #addressOf(nodeId: number): Address {
    const address = this.#nodes.get(nodeId)
    if (address !== undefined) return address
    throw new MillraceError('BROKER_UNREACHABLE', `broker ${nodeId} is not in the cluster's metadata; it may be down`)
  }
}

function nameOf(address: Address): string {
  return `${address.host}:${address.port}`
}

function closedError(): MillraceError {
  return new MillraceError('CANCELLED', 'the Kafka client is closed')
}
