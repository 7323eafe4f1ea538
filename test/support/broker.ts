/**
 * The Kafka-protocol broker of a test: given, Redpanda in a container, or Apache Kafka from Maven jars.
 *
 * Owns: the order of choice and the shape all three share. A topic a test creates should keep its records for ever
 * (`retention.ms: -1`, the default here): test events carry old timestamps. Topics are never created by touching them.
 */
import { findJava, startKafka } from './broker-kafka.ts'
import { startRedpanda } from './broker-redpanda.ts'
import { dockerAnswers } from './infra-docker.ts'

/** A running broker. */
export interface Broker {
  /** Bootstrap servers, `host:port,…`. Unchanged over `kill` and `restart`. */
  readonly brokers: string
  readonly kind: 'given' | 'redpanda' | 'kafka'
  /** Name and version for people. */
  readonly description: string
  /** Ends the broker for good and removes its data. A given broker is left alone. Idempotent. */
  stop(): Promise<void>
  /** Kills it as a power cut would; data stays for `restart`. Throws for a given broker. */
  kill(): Promise<void>
  /** Brings it up again with its data on the same port (stopping it softly first if it runs) and waits until it serves. */
  restart(): Promise<void>
}

/** How to start a broker. */
export interface BrokerOptions {
  /** True: a private instance that may be killed, whatever the environment gives. */
  readonly own?: boolean
  /** Port on loopback; default a free one. */
  readonly port?: number
  /** Broker settings on top of ours, as `{ 'message.max.bytes': '1000000' }`. Apache Kafka only. */
  readonly settings?: Readonly<Record<string, string>>
  /** SCRAM users, as `SCRAM-SHA-256=[name=a,password=b]`. Apache Kafka only. */
  readonly users?: readonly string[]
}

/** Finds or starts a broker and waits until it serves. Throws an error that names what is missing when it cannot. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const given = process.env.MILLRACE_TEST_BROKERS
  if (given && !options.own) return givenBroker(given)
  if (options.settings === undefined && (await dockerAnswers())) return startRedpanda(options)
  const java = findJava()
  if (java.missing.length === 0) return startKafka(options)
  throw new Error(
    `No Kafka broker for the tests: ${java.missing.join(' and ')} not found, and no Docker daemon answers. Do one of: ` +
      'set MILLRACE_TEST_BROKERS=host:port; start Docker; install Java 17 or later and Maven ' +
      '(apt-get install openjdk-17-jre-headless maven).',
  )
}

function givenBroker(brokers: string): Broker {
  const refuse = async (): Promise<void> => {
    throw new Error(
      'the broker was given by MILLRACE_TEST_BROKERS: use startBroker({ own: true }) to kill or restart one',
    )
  }
  const kind = process.env.MILLRACE_TEST_BROKER_KIND
  return {
    brokers,
    kind: kind === 'redpanda' || kind === 'kafka' ? kind : 'given',
    description: kind ? `${kind}, started for this run` : 'given by MILLRACE_TEST_BROKERS',
    stop: async () => {},
    kill: refuse,
    restart: refuse,
  }
}
