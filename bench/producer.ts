/**
 * A raw producer for benches: ready record batches to the leaders of a topic, several requests in flight.
 *
 * The one file of bench/ that imports the Kafka client. Owns: topics and Produce requests. Does not own: what is in the
 * batches. A broker error ends the run: a bench topic that is not whole is of no use.
 */
import { Admin, Connection, type Reader, Writer } from '@platformatic/kafka'

const PRODUCE = 0
const PRODUCE_VERSION = 7
const ACKS_LEADER = 1
const TIMEOUT_MS = 60_000

/** One partition's batch in a send. */
export interface PartitionBatch {
  readonly partition: number
  readonly batch: Uint8Array
}

/** Creates `topic` with unlimited retention; one with that name is deleted first. */
export async function createTopic(brokers: string, topic: string, partitions: number): Promise<void> {
  const admin = newAdmin(brokers)
  try {
    if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
    // A deleted topic's name is free again only after a moment.
    for (let attempt = 0; ; attempt++) {
      try {
        await admin.createTopics({
          topics: [topic],
          partitions,
          replicas: 1,
          configs: [
            { name: 'retention.ms', value: '-1' },
            { name: 'retention.bytes', value: '-1' },
          ],
        })
        return
      } catch (error) {
        if (attempt === 20) throw error
        await new Promise((done) => setTimeout(done, 250))
      }
    }
  } finally {
    await admin.close()
  }
}

/** Deletes `topic`. */
export async function deleteTopic(brokers: string, topic: string): Promise<void> {
  const admin = newAdmin(brokers)
  try {
    await admin.deleteTopics({ topics: [topic] })
  } finally {
    await admin.close()
  }
}

/** Sends batches to the leaders of one topic, in order per partition. */
export class BatchProducer {
  readonly #topic: string
  readonly #connections: readonly Connection[]
  /** Index into `#connections` by partition. */
  readonly #leaders: readonly number[]
  readonly #maxInFlight: number
  #inFlight = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  private constructor(
    topic: string,
    connections: readonly Connection[],
    leaders: readonly number[],
    maxInFlight: number,
  ) {
    this.#topic = topic
    this.#connections = connections
    this.#leaders = leaders
    this.#maxInFlight = maxInFlight
  }

  /** Connects to the leaders of all partitions of an existing topic. */
  static async open(brokers: string, topic: string, maxInFlight = 4): Promise<BatchProducer> {
    const admin = newAdmin(brokers)
    try {
      const metadata = await admin.metadata({ topics: [topic] })
      const partitions = metadata.topics.get(topic)?.partitions ?? []
      const nodes = [...new Set(partitions.map((partition) => partition.leader))]
      const connections: Connection[] = []
      for (const node of nodes) {
        const broker = metadata.brokers.get(node)
        if (broker === undefined) throw new Error(`topic ${topic}: leader ${node} is not among the brokers`)
        const connection = new Connection('millrace-bench', { requestTimeout: TIMEOUT_MS, maxInflights: maxInFlight })
        await connection.connect(broker.host, broker.port)
        connections.push(connection)
      }
      const leaders = partitions.map((partition) => nodes.indexOf(partition.leader))
      const producer = new BatchProducer(topic, connections, leaders, maxInFlight)
      for (const connection of connections) connection.on('error', (error: Error) => producer.#fail(error))
      return producer
    } finally {
      await admin.close()
    }
  }

  /**
   * Hands batches to their leaders. They are copied at once. Resolves when there is room for another send, which may
   * be before they are written; `flush` waits for that.
   */
  async send(batches: readonly PartitionBatch[]): Promise<void> {
    for (const [index, connection] of this.#connections.entries()) {
      const mine = batches.filter(({ partition }) => this.#leaders[partition] === index)
      if (mine.length === 0) continue
      while (this.#inFlight >= this.#maxInFlight && this.#failure === undefined) await this.#settled()
      this.#throwFailure()
      this.#request(connection, mine)
    }
  }

  /** Resolves when everything sent is written; rejects with the first error. */
  async flush(): Promise<void> {
    while (this.#inFlight > 0 && this.#failure === undefined) await this.#settled()
    this.#throwFailure()
  }

  /** Flushes and disconnects. */
  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      for (const connection of this.#connections) await connection.close()
    }
  }

  #request(connection: Connection, batches: readonly PartitionBatch[]): void {
    const writer = Writer.create()
      .appendString(null, false)
      .appendInt16(ACKS_LEADER)
      .appendInt32(TIMEOUT_MS)
      .appendInt32(1)
      .appendString(this.#topic, false)
      .appendInt32(batches.length)
    for (const { partition, batch } of batches) {
      writer.appendInt32(partition).appendInt32(batch.length).append(Buffer.from(batch))
    }
    this.#inFlight++
    connection.send(
      PRODUCE,
      PRODUCE_VERSION,
      () => writer,
      parseProduceResponse,
      false,
      false,
      (error: Error | null) => {
        this.#inFlight--
        if (error) this.#fail(error)
        this.#wake?.()
        this.#wake = undefined
      },
    )
  }

  #settled(): Promise<void> {
    return new Promise((done) => {
      this.#wake = done
    })
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#wake?.()
    this.#wake = undefined
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }
}

function newAdmin(brokers: string): Admin {
  return new Admin({ clientId: 'millrace-bench', bootstrapBrokers: brokers.split(','), strict: false })
}

function parseProduceResponse(_correlationId: number, _apiKey: number, _version: number, reader: Reader): undefined {
  for (let topics = reader.readInt32(); topics > 0; topics--) {
    reader.readString(false)
    for (let partitions = reader.readInt32(); partitions > 0; partitions--) {
      const partition = reader.readInt32()
      const code = reader.readInt16()
      if (code !== 0) throw new Error(`the broker refused a batch of partition ${partition}: error ${code}`)
      for (let skipped = 0; skipped < 3; skipped++) reader.readInt64()
    }
  }
  return undefined
}
