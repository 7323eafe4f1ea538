/**
 * Kafka brokers in memory, behind the `connect` of a client: they answer the requests of the source in virtual time.
 *
 * One topic. A test sets what is wrong through public fields; what a client asked is counted. Brokers list aborted transactions as Kafka does: those whose marker is at or after the fetch offset.
 */
import type { Scheduler } from '../../../src/core/clock.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { KafkaConnect, KafkaConnection } from '../../../src/source/kafka/connection.ts'
import { apiKeys, type OfferedVersions } from '../../../src/source/kafka/protocol.ts'
import { WireReader, WireWriter } from '../../../src/source/kafka/wire.ts'
import { FakePartition } from './fake-partition.ts'

/** A cluster of brokers with one topic. */
export class FakeCluster {
  readonly topic: string
  readonly partitions: FakePartition[]
  /** Brokers that run. */
  readonly up: Set<number>
  /** Brokers that take requests and never answer. */
  readonly silent = new Set<number>()
  exists = true
  topicId = '00000000-0000-4000-8000-000000000001'
  metadataVersion = 10
  connects = 0
  metadataRequests = 0
  fetches = 0
  /** The partitions of every Fetch, with their offsets: `0@12 1@3`. */
  readonly fetchLog: string[] = []
  readonly commits: string[] = []
  readonly #scheduler: Scheduler
  readonly #waiting = new Set<() => void>()
  readonly #open = new Map<FakeConnection, number>()

  constructor(scheduler: Scheduler, partitions = 1, brokers: readonly number[] = [1], topic = 'events') {
    this.#scheduler = scheduler
    this.topic = topic
    this.partitions = Array.from({ length: partitions }, () => new FakePartition())
    this.up = new Set(brokers)
  }

  /** Bootstrap servers. */
  get brokers(): string[] {
    return ['broker1:1']
  }

  readonly connect: KafkaConnect = async (_host, port) => {
    this.connects++
    if (!this.up.has(port)) throw unreachable(port)
    const connection = new FakeConnection(port, this)
    this.#open.set(connection, port)
    return connection
  }

  /** Lets waiting Fetches look again: call it after appending. */
  notify(): void {
    for (const look of [...this.#waiting]) look()
  }

  /** Stops a broker: its connections end. */
  stop(node: number): void {
    this.up.delete(node)
    for (const [connection, at] of this.#open) if (at === node) void connection.close()
  }

  offered(): OfferedVersions {
    const [min, max] = [0, this.metadataVersion]
    return new Map(Object.values(apiKeys).map((key) => [key, key === 3 ? ([min, max] as const) : ([0, 99] as const)]))
  }

  /** Answers one request, later where Kafka would wait. */
  answer(node: number, apiKey: number, version: number, body: Uint8Array, respond: (bytes: Uint8Array) => void): void {
    if (this.silent.has(node)) return
    const reader = new WireReader(body)
    const soon = (writer: WireWriter): void => {
      const bytes = writer.bytes().slice()
      this.#scheduler.soon(() => respond(bytes))
    }
    if (apiKey === apiKeys.metadata) soon(this.#metadata(version))
    else if (apiKey === apiKeys.listOffsets) soon(this.#listOffsets(reader))
    else if (apiKey === apiKeys.fetch) this.#fetch(node, reader, respond)
    else throw new Error(`the fake broker does not know API ${apiKey}`)
  }

  #metadata(version: number): WireWriter {
    this.metadataRequests++
    const w = new WireWriter()
    const flexible = version >= 10
    const length = (n: number): WireWriter => (flexible ? w.unsignedVarint(n + 1) : w.int32(n))
    const string = (s: string | null): WireWriter => (flexible ? w.compactString(s) : w.string(s))
    const tags = (): void => void (flexible && w.noTags())
    tags()
    w.int32(0)
    length(this.up.size)
    for (const node of this.up) {
      w.int32(node)
      string(`broker${node}`).int32(node)
      string(null)
      tags()
    }
    string('cluster').int32(1)
    length(1)
    w.int16(this.exists ? 0 : 3)
    string(this.topic)
    if (flexible) w.raw(Buffer.from(this.topicId.replaceAll('-', ''), 'hex'))
    w.boolean(false)
    length(this.exists ? this.partitions.length : 0)
    for (const [i, partition] of this.exists ? this.partitions.entries() : []) {
      const leader = this.up.has(partition.leader) ? partition.leader : -1
      w.int16(partition.metadataError || (leader < 0 ? 5 : 0))
        .int32(i)
        .int32(leader)
      if (flexible) w.int32(partition.epoch)
      for (let list = 0; list < 3; list++) length(0)
      tags()
    }
    if (flexible) w.int32(0).noTags().int32(0).noTags()
    return w
  }

  #listOffsets(r: WireReader): WireWriter {
    r.int32()
    const committed = r.int8() === 1
    r.int32()
    r.string()
    const w = new WireWriter().int32(0).int32(1).string(this.topic)
    const count = r.int32()
    w.int32(count)
    for (let i = 0; i < count; i++) {
      const partition = r.int32()
      const timestampMs = r.int64()
      const log = this.partitions[partition]!
      const end = committed ? log.lastStableOffset : log.endOffset
      const found = log.batches.find((each) => each.timestampMs >= timestampMs)?.baseOffset ?? -1
      const offset = timestampMs === -1 ? end : timestampMs === -2 ? log.startOffset : found
      w.int32(partition).int16(0).int64(-1).int64(offset)
    }
    return w
  }

  #fetch(node: number, r: WireReader, respond: (bytes: Uint8Array) => void): void {
    this.fetches++
    r.int32()
    const waitMs = r.int32()
    r.int32()
    r.int32()
    const committed = r.int8() === 1
    r.skip(8 + 4)
    r.string()
    const asked = r.array((p) => {
      const partition = p.int32()
      p.int32()
      const offset = p.int64()
      p.int64()
      return { partition, offset, maxBytes: p.int32() }
    })
    this.fetchLog.push(asked.map((each) => `${each.partition}@${each.offset}`).join(' '))
    let done = false
    const look = (last: boolean): void => {
      if (done) return
      const w = new WireWriter().int32(0).int16(0).int32(0).int32(1).string(this.topic).int32(asked.length)
      let news = last
      for (const each of asked) news = this.#fetchOne(w, node, committed, each) || news
      if (!news) return
      done = true
      this.#waiting.delete(again)
      const bytes = w.bytes().slice()
      this.#scheduler.soon(() => respond(bytes))
    }
    const again = (): void => look(false)
    this.#waiting.add(again)
    this.#scheduler.after(waitMs, () => look(true))
    look(false)
  }

  #fetchOne(
    w: WireWriter,
    node: number,
    committed: boolean,
    asked: { partition: number; offset: number; maxBytes: number },
  ): boolean {
    const log = this.partitions[asked.partition]!
    const out = asked.offset < log.startOffset || asked.offset > log.endOffset
    const error = this.exists ? (log.leader !== node ? 6 : log.fetchError || (out ? 1 : 0)) : 3
    w.int32(asked.partition).int16(error)
    w.int64(error ? -1 : log.endOffset).int64(error ? -1 : log.lastStableOffset)
    w.int64(error ? -1 : log.startOffset)
    const upper = committed ? log.lastStableOffset : log.endOffset
    const region: Uint8Array[] = []
    let size = 0
    let reached = asked.offset
    for (const batch of error ? [] : log.batches) {
      if (batch.nextOffset <= asked.offset || batch.baseOffset >= upper) continue
      if (size > 0 && size + batch.bytes.length > Math.min(asked.maxBytes, log.regionBytes)) break
      region.push(batch.bytes)
      size += batch.bytes.length
      reached = batch.nextOffset
    }
    if (committed) {
      const aborted = log.transactions.filter(
        (each) => each.aborted && each.markerOffset >= asked.offset && each.firstOffset < reached,
      )
      w.int32(aborted.length)
      for (const each of aborted) {
        const id = new Uint8Array(8)
        new DataView(id.buffer).setBigInt64(0, each.producerId)
        w.raw(id).int64(each.firstOffset)
      }
    } else {
      w.int32(-1)
    }
    w.int32(-1).int32(size)
    for (const bytes of region) w.raw(bytes)
    return error !== 0 || size > 0
  }
}

class FakeConnection implements KafkaConnection {
  readonly address: string
  readonly offered: OfferedVersions
  readonly #node: number
  readonly #cluster: FakeCluster
  readonly #pending = new Set<(error: Error) => void>()
  #open = true

  constructor(node: number, cluster: FakeCluster) {
    this.address = `broker${node}:${node}`
    this.#node = node
    this.#cluster = cluster
    this.offered = cluster.offered()
  }

  isOpen(): boolean {
    return this.#open
  }

  request<T>(
    apiKey: number,
    apiVersion: number,
    _flexible: boolean,
    write: (writer: WireWriter) => void,
    parse: (reader: WireReader) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.#open) {
        reject(unreachable(this.#node))
        return
      }
      const writer = new WireWriter()
      write(writer)
      this.#pending.add(reject)
      this.#cluster.answer(this.#node, apiKey, apiVersion, writer.bytes(), (bytes) => {
        if (!this.#pending.delete(reject)) return
        try {
          resolve(parse(new WireReader(bytes)))
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  async close(): Promise<void> {
    this.#open = false
    for (const reject of this.#pending) reject(unreachable(this.#node))
    this.#pending.clear()
  }
}

function unreachable(node: number): MillraceError {
  return new MillraceError('BROKER_UNREACHABLE', `broker ${node} is away`)
}
