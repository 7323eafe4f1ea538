/**
 * Topics and producing: the adapter for kafkajs, and the one file that imports it.
 *
 * Owns: creating, growing and deleting topics; a producer that splits what it is given into requests the broker takes.
 * Does not own: reading (kafka-reader.ts), when a sink flushes (sink/kafka-sink.ts).
 *
 * Habits of kafkajs that are put right here: each connection re-arms a timer every millisecond for ever (patched once, at
 * import); a send is never split, whatever its size; records for a partition that was added since its last look at the
 * metadata vanish without an error; a new topic that not every broker knows yet fails. Its errors become MillraceErrors.
 */
import { createRequire } from 'node:module'
import kafkajs, { type Admin, type Kafka, type Message, type Producer, type SASLOptions } from 'kafkajs'
import { MillraceError } from '../../core/errors.ts'
import type { KafkaSasl, KafkaSecurity } from './connection.ts'

/** How to reach a cluster through kafkajs. */
export interface KafkaClientOptions extends KafkaSecurity {
  /** Bootstrap servers, each `host:port`. */
  readonly brokers: readonly string[]
  /** Default `millrace`. */
  readonly clientId?: string
}

/** What a new topic is like. */
export interface TopicSpec {
  readonly partitions: number
  /** Default: the broker's own. */
  readonly replicationFactor?: number
  /** Topic settings, as `{ 'retention.ms': '-1' }`. */
  readonly config?: Readonly<Record<string, string>>
}

/** Manages topics. Every call throws BROKER_UNREACHABLE, TOPIC_NOT_FOUND or BROKER_ERROR. */
export interface KafkaAdmin {
  /** Creates a topic and waits until its partitions have leaders; false when it exists already. */
  createTopic(topic: string, spec: TopicSpec): Promise<boolean>
  /** Deletes a topic; the broker removes its data a little later. */
  deleteTopic(topic: string): Promise<void>
  topicExists(topic: string): Promise<boolean>
  /** Grows a topic to `partitions` in all. */
  addPartitions(topic: string, partitions: number): Promise<void>
  /** Deletes the records of a partition before `offset`. */
  deleteRecords(topic: string, partition: number, offset: number): Promise<void>
  close(): Promise<void>
}

/** A record to produce. */
export interface KafkaRecord {
  readonly key: Uint8Array | null
  /** Null is a tombstone. */
  readonly value: Uint8Array | null
  /** Epoch ms. */
  readonly timestampMs: number
  /** Default: by the key's murmur2 as Kafka's own clients do, or any partition without a key. */
  readonly partition?: number
}

/** Options of a KafkaProducer. */
export interface KafkaProducerOptions extends KafkaClientOptions {
  /** Most bytes of records in one request: below the topic's `max.message.bytes` (1 MiB by default). Default 900000. */
  readonly maxRequestBytes?: number
}

/**
 * Produces records, each acknowledged by all in-sync replicas, in order. The producer is idempotent: the retry of a
 * request that some partitions had taken repeats nothing. At least once all the same: a caller that sends again may.
 */
export interface KafkaProducer {
  /**
   * Sends records to a topic; resolves when all are acknowledged. Sends are queued, so two calls keep their order. The
   * bytes must not change until then. Throws BROKER_UNREACHABLE, TOPIC_NOT_FOUND, BROKER_ERROR; some of the records may
   * have been written then.
   */
  send(topic: string, records: readonly KafkaRecord[]): Promise<void>
  /** Resolves when every send made so far has ended, well or not. */
  flush(): Promise<void>
  /** Flushes and disconnects. Idempotent. */
  close(): Promise<void>
}

/** Bytes that a record takes in a batch beyond its key and value, at most. */
const RECORD_OVERHEAD_BYTES = 32

/** How often and at what distance a new topic is asked for its leaders: 15 s in all. */
const LEADER_ATTEMPTS = 300
const LEADER_PAUSE_MS = 50

stopIdleTimers()

/** Connects an admin client. */
export async function openKafkaAdmin(options: KafkaClientOptions): Promise<KafkaAdmin> {
  const admin = client(options).admin()
  const run = <T>(what: string, action: () => Promise<T>): Promise<T> => mapped(what, options.brokers, action)
  await run('connecting', () => admin.connect())
  return {
    createTopic: (topic, spec) => run(`creating topic ${topic}`, () => createTopic(admin, topic, spec)),
    deleteTopic: (topic) => run(`deleting topic ${topic}`, () => admin.deleteTopics({ topics: [topic] })),
    topicExists: (topic) => run('listing topics', async () => (await admin.listTopics()).includes(topic)),
    addPartitions: (topic, partitions) =>
      run(`growing topic ${topic}`, async () => {
        await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
      }),
    deleteRecords: (topic, partition, offset) =>
      run(`deleting records of ${topic}-${partition}`, async () => {
        // Looks the topic up, which deleting records forgets to do.
        await admin.fetchTopicOffsets(topic)
        await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
      }),
    close: () => run('disconnecting', () => admin.disconnect()),
  }
}

async function createTopic(admin: Admin, topic: string, spec: TopicSpec): Promise<boolean> {
  const { partitions, replicationFactor = -1, config = {} } = spec
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  const topics = [{ topic, numPartitions: partitions, replicationFactor, configEntries }]
  const created = await admin.createTopics({ waitForLeaders: false, topics })
  if (!created) return false
  // kafkajs's own wait takes a broker that has not heard of the new topic yet for a failure.
  for (let attempt = 0; attempt < LEADER_ATTEMPTS; attempt++) {
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] }).catch((error: unknown) => {
      const { type } = innermost(error)
      if (type !== 'UNKNOWN_TOPIC_OR_PARTITION' && type !== 'LEADER_NOT_AVAILABLE') throw error
    })
    const known = metadata?.topics[0]?.partitions ?? []
    if (known.length >= partitions && known.every((each) => each.leader >= 0)) return true
    await new Promise((resolve) => setTimeout(resolve, LEADER_PAUSE_MS))
  }
  throw new MillraceError('BROKER_UNREACHABLE', `topic ${topic} was created, but its partitions have no leaders yet`)
}

/** Connects a producer. */
export async function openKafkaProducer(options: KafkaProducerOptions): Promise<KafkaProducer> {
  const producer = client(options).producer({
    allowAutoTopicCreation: false,
    // Without it the first send to a fresh topic, where some leaders are not ready, writes most records twice.
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  })
  await mapped('connecting', options.brokers, () => producer.connect())
  return new KafkajsProducer(producer, options)
}

class KafkajsProducer implements KafkaProducer {
  readonly #producer: Producer
  readonly #brokers: readonly string[]
  readonly #maxRequestBytes: number
  /** Ends when the last send made so far has ended. Never rejects. */
  #last: Promise<void> = Promise.resolve()
  #closed = false

  constructor(producer: Producer, options: KafkaProducerOptions) {
    this.#producer = producer
    this.#brokers = options.brokers
    this.#maxRequestBytes = options.maxRequestBytes ?? 900_000
  }

  send(topic: string, records: readonly KafkaRecord[]): Promise<void> {
    if (this.#closed) return Promise.reject(new MillraceError('CANCELLED', 'the Kafka producer is closed'))
    const sent = this.#last.then(() =>
      mapped(`producing to ${topic}`, this.#brokers, () => this.#sendSplit(topic, records)),
    )
    this.#last = sent.catch(() => {})
    return sent
  }

  flush(): Promise<void> {
    return this.#last
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#last
    await mapped('disconnecting', this.#brokers, () => this.#producer.disconnect())
  }

  async #sendSplit(topic: string, records: readonly KafkaRecord[]): Promise<void> {
    let messages: Message[] = []
    let bytes = 0
    for (const record of records) {
      const size = (record.key?.length ?? 0) + (record.value?.length ?? 0) + RECORD_OVERHEAD_BYTES
      if (messages.length > 0 && bytes + size > this.#maxRequestBytes) {
        await this.#sendOne(topic, messages)
        messages = []
        bytes = 0
      }
      messages.push(toMessage(record))
      bytes += size
    }
    if (messages.length > 0) await this.#sendOne(topic, messages)
  }

  /**
   * Sends one request. Records for a partition that is newer than the metadata kafkajs has cached are dropped by it
   * without an error: their partition is then missing in the answer. Connecting anew empties that cache.
   */
  async #sendOne(topic: string, messages: Message[]): Promise<void> {
    const dropped = await this.#sendKnown(topic, messages)
    if (dropped.length === 0) return
    await this.#producer.disconnect()
    await this.#producer.connect()
    const [lost] = await this.#sendKnown(topic, dropped)
    if (lost === undefined) return
    throw new MillraceError(
      'BROKER_ERROR',
      `topic ${topic} has no partition ${lost.partition}; produce to one it has`,
      {
        retry: 'never',
      },
    )
  }

  /** Sends `messages` and returns those that were dropped. */
  async #sendKnown(topic: string, messages: Message[]): Promise<Message[]> {
    const answers = await this.#producer.send({ topic, messages, acks: -1 })
    const written = new Set(answers.map((answer) => answer.partition))
    return messages.filter(({ partition }) => partition !== undefined && !written.has(partition))
  }
}

function toMessage(record: KafkaRecord): Message {
  return {
    key: asBuffer(record.key),
    value: asBuffer(record.value),
    timestamp: String(record.timestampMs),
    ...(record.partition === undefined ? {} : { partition: record.partition }),
  }
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function client(options: KafkaClientOptions): Kafka {
  return new kafkajs.Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId ?? 'millrace',
    // What goes wrong is thrown; the library's own log would say it a second time, in its own format.
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 100, retries: 6 },
    ...(options.tls === undefined ? {} : { ssl: options.tls }),
    ...(options.sasl === undefined ? {} : { sasl: saslOf(options.sasl) }),
  })
}

/** kafkajs has its own names of the mechanisms. */
function saslOf({ mechanism, username, password }: KafkaSasl): SASLOptions {
  switch (mechanism) {
    case 'PLAIN':
      return { mechanism: 'plain', username, password }
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', username, password }
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', username, password }
  }
}

async function mapped<T>(what: string, brokers: readonly string[], action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw toMillraceError(error, what, brokers)
  }
}

interface KafkajsFailure {
  readonly name?: string
  readonly type?: string
  readonly message?: string
  readonly retriable?: boolean
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
}

/** The error inside: retries and aggregates wrap what the broker said. */
function innermost(error: unknown): KafkajsFailure {
  let inner = error as KafkajsFailure
  for (let depth = 0; depth < 5; depth++) {
    const next = (inner.cause ?? inner.errors?.[0]) as KafkajsFailure | null | undefined
    if (next === undefined || next === null || typeof next !== 'object') break
    inner = next
  }
  return inner
}

/** A failure of kafkajs as ours. */
function toMillraceError(error: unknown, what: string, brokers: readonly string[]): MillraceError {
  if (error instanceof MillraceError) return error
  const inner = innermost(error)
  const text = inner.message ?? String(error)
  if (inner.type === 'UNKNOWN_TOPIC_OR_PARTITION') {
    return new MillraceError('TOPIC_NOT_FOUND', `${what} failed: the topic does not exist. Create it first.`, {
      cause: error,
    })
  }
  if (inner.type !== undefined) {
    const hint = inner.type === 'MESSAGE_TOO_LARGE' ? " Raise the topic's max.message.bytes." : ''
    return new MillraceError('BROKER_ERROR', `${what} failed with ${inner.type}: ${text}.${hint}`, {
      retry: inner.retriable === true ? 'backoff' : 'never',
      cause: error,
    })
  }
  if (inner.name?.includes('SASLAuthentication')) {
    const hint = 'check MILLRACE_KAFKA_SASL, MILLRACE_KAFKA_USER and the password'
    return new MillraceError('BROKER_ERROR', `${what} failed: the broker refused the login (${text}); ${hint}`, {
      retry: 'never',
      cause: error,
    })
  }
  if (inner.name?.startsWith('KafkaJSConnection') || inner.name?.includes('Timeout') || inner.retriable === true) {
    return new MillraceError('BROKER_UNREACHABLE', `${what} at ${brokers.join(', ')} failed: ${text}`, { cause: error })
  }
  return new MillraceError('BROKER_ERROR', `${what} failed: ${text}`, { cause: error })
}

/**
 * kafkajs looks for requests that throttling holds back by a timer that it re-arms after each look, whether there are
 * any or not. With none pending there is nothing to look for; pushing one starts the timer again.
 */
function stopIdleTimers(): void {
  interface RequestQueue {
    readonly pending: readonly unknown[]
    scheduleCheckPendingRequests(): void
  }
  const require = createRequire(import.meta.url)
  const { prototype } = require('kafkajs/src/network/requestQueue') as { readonly prototype: RequestQueue }
  const original = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) original.call(this)
  }
}
