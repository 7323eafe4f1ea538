/**
 * Kafka sinks behind a proxy that makes faults, for tests: what a job does with its sink, and what a reader must find then.
 *
 * Each case applies three epochs under a job of its own, with the fault in the second; `check` reads the topic at the end.
 */
import { expect } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import { KafkaOutbox, type KafkaOutboxOptions, markerTopicOf } from '../../src/sink/kafka-outbox.ts'
import type { OutboxOwner } from '../../src/sink/outbox.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../../src/source/kafka/admin.ts'
import { KafkaCluster } from '../../src/source/kafka/kafka-cluster.ts'
import { isOpen, listTransactions } from '../../src/source/kafka/open-transactions.ts'
import { type Broker, startBroker } from './broker.ts'
import { javaRead } from './java-client/java-client.ts'
import { systemPorts } from './kafka-modes.ts'
import { type KafkaProxy, startKafkaProxy } from './kafka-proxy.ts'
import type { KafkaFault } from './kafka-proxy-faults.ts'
import { blocksOf, type OutboxRecord, streamOf } from './outbox.ts'

const TOPIC = 'results'
const PREFIX = 'faults'
const PARTITIONS = 3

/** How an apply ends: well, or with the retry hint of its error. */
export type Outcome = 'resolves' | 'restart' | 'never'

/** The records of an epoch of a job, told apart by their values. */
export function recordsOf(owner: OutboxOwner, epoch: number, count = 200): OutboxRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${i}`,
    value: `${owner.job} epoch ${epoch} record ${i}`,
    timestampMs: 1_700_000_000_000 + i,
  }))
}

/** The error that a promise rejects with; undefined when it resolves. */
export function settle(promise: Promise<unknown>): Promise<MillraceError | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => error as MillraceError,
  )
}

/** A fault that the proxy answers with an error. */
export function answer(api: KafkaFault['api'], errorCode: number): KafkaFault {
  return { api, happens: 'answer', errorCode }
}

/** A broker of its own behind a proxy, and the sinks of a test file. */
export class FaultBench {
  readonly broker: Broker
  readonly proxy: KafkaProxy
  readonly admin: KafkaAdmin
  /** What a reader must find at the end. */
  readonly expected: string[] = []
  readonly #open: KafkaOutbox[] = []
  #jobs = 0

  private constructor(broker: Broker, proxy: KafkaProxy, admin: KafkaAdmin) {
    this.broker = broker
    this.proxy = proxy
    this.admin = admin
  }

  /** Starts all of it. Nobody but who an access rule names may touch a topic that has one. */
  static async start(): Promise<FaultBench> {
    const broker = await startBroker({
      own: true,
      settings: {
        'transaction.abort.timed.out.transaction.cleanup.interval.ms': '300',
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'allow.everyone.if.no.acl.found': 'true',
      },
    })
    const proxy = await startKafkaProxy(broker.brokers, { ceiling: 'redpanda' })
    const admin = await openKafkaAdmin({ brokers: [broker.brokers] })
    await admin.createTopic(TOPIC, { partitions: PARTITIONS, config: { 'retention.ms': '-1' } })
    return new FaultBench(broker, proxy, admin)
  }

  async stop(): Promise<void> {
    await this.admin.close()
    await this.proxy.close()
    await this.broker.stop()
  }

  /** An owner of a job of its own. */
  newOwner(): OutboxOwner {
    return { job: `job-${this.#jobs++}`, jobId: 'a', sink: 'out', generation: 1, nonce: 'n' }
  }

  /** A sink behind the proxy; ended by `check`. */
  sinkOf(owner: OutboxOwner, more: Partial<KafkaOutboxOptions> = {}): KafkaOutbox {
    const reached = { brokers: [this.proxy.brokers], topic: TOPIC, transactionPrefix: PREFIX, requestTimeoutMs: 2000 }
    const sink = new KafkaOutbox({ ...reached, owner, ...more }, systemPorts)
    this.#open.push(sink)
    return sink
  }

  /** Takes note that an epoch has been applied. */
  note(owner: OutboxOwner, epoch: number, count?: number): void {
    for (const { value } of recordsOf(owner, epoch, count)) this.expected.push(value)
  }

  /** What a job does with its sink: after a rejection it opens anew, reads the marker, and applies what is owed. */
  async applyAll(owner: OutboxOwner, sink: KafkaOutbox, from: number, to: number, count?: number): Promise<void> {
    let current = sink
    for (let epoch = from; epoch <= to; ) {
      const error = await settle(current.apply(epoch, streamOf(blocksOf(recordsOf(owner, epoch, count)))))
      if (error !== undefined) {
        await current.close()
        current = this.sinkOf({ ...owner, nonce: `n${this.#open.length}` })
        const marker = await current.open()
        if (marker?.epoch !== epoch) continue
      }
      this.note(owner, epoch, count)
      epoch++
    }
  }

  /**
   * Opens, applies epoch 1, and epoch 2 under `faults`; checks how that ends and, where it is given, what the marker says
   * then, and goes on to epoch 3 as a job would.
   */
  async underFaults(faults: readonly KafkaFault[], outcome: Outcome, marker?: number): Promise<void> {
    const owner = this.newOwner()
    const sink = this.sinkOf(owner)
    await sink.open()
    await this.applyAll(owner, sink, 1, 1)
    this.proxy.faults.push(...faults)
    const error = await settle(sink.apply(2, streamOf(blocksOf(recordsOf(owner, 2)))))
    expect(this.proxy.faults, 'every fault has happened').toEqual([])
    expect(error?.message ?? 'resolves').toMatch(
      outcome === 'resolves' ? /^resolves$/ : /^applying epoch 2 to sink out/,
    )
    if (error === undefined) {
      this.note(owner, 2)
      await this.applyAll(owner, sink, 3, 3)
      return
    }
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: outcome })
    const next = this.sinkOf({ ...owner, generation: 2 })
    const found = await next.open()
    if (marker !== undefined) expect(found?.epoch).toBe(marker)
    if (found?.epoch === 2) this.note(owner, 2)
    await this.applyAll({ ...owner, generation: 2 }, next, found!.epoch + 1, 3)
  }

  /** A Java client that sees committed records only reads every record once and no other, and nothing is left open. */
  async check(): Promise<void> {
    for (const sink of this.#open) await sink.close()
    const cluster = new KafkaCluster({ brokers: [this.broker.brokers] })
    await cluster.metadata(TOPIC)
    const transactions = await listTransactions(cluster, ({ transactionalId }) => transactionalId.startsWith(PREFIX))
    await cluster.close()
    expect(transactions.length).toBeGreaterThan(0)
    expect(transactions.filter(({ state }) => isOpen(state))).toEqual([])
    const lines = await javaRead(this.broker.brokers, TOPIC, 'read_committed')
    const read = lines.map((line) => Buffer.from(line.split('\t')[4]!, 'hex').toString())
    const counts = new Map<string, number>()
    for (const value of read) counts.set(value, (counts.get(value) ?? 0) + 1)
    const known = new Set(this.expected)
    const wrong = this.expected.filter((value) => counts.get(value) !== 1)
    const foreign = [...counts.keys()].filter((value) => !known.has(value))
    expect({ wrong: wrong.slice(0, 5), foreign: foreign.slice(0, 5) }).toEqual({ wrong: [], foreign: [] })
    expect(read).toHaveLength(this.expected.length)
    // Read to its end: no open transaction holds the markers either.
    expect((await javaRead(this.broker.brokers, markerTopicOf(PREFIX), 'read_committed')).length).toBeGreaterThan(0)
    expect(this.proxy.rejected).toEqual([])
  }
}
