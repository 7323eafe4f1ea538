/**
 * What a connection to a broker is. Types only; made by connect.ts.
 */
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { OfferedVersions } from './protocol.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** How to authenticate at a broker. */
export interface KafkaSasl {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

/** What the brokers of a deployment want of a client. Plain data, from the configuration of the process, never of a job. */
export interface KafkaSecurity {
  readonly tls?: TlsOptions
  readonly sasl?: KafkaSasl
  /** First part of transactional ids, and of the topic of markers: of sinks only. Default `millrace`. */
  readonly transactionPrefix?: string
  /** The broker ends a transaction that is open for longer, ms: of sinks only; at most its `transaction.max.timeout.ms`. Default 60000. */
  readonly transactionTimeoutMs?: number
}

/** Options of every connection of a client. */
export interface KafkaConnectionOptions extends KafkaSecurity {
  readonly clientId: string
  /** Longest wait for TCP, TLS and SASL together, ms. */
  readonly connectTimeoutMs: number
  /** Longest wait for a response, ms: well above the fetch wait. */
  readonly requestTimeoutMs: number
}

/** An open connection. Requests on it are answered in order. */
export interface KafkaConnection {
  /** `host:port`. */
  readonly address: string
  readonly offered: OfferedVersions
  /** False once the connection has ended, for whatever reason. */
  isOpen(): boolean
  /**
   * Sends one request and parses its response. `flexible` tells whether the request's version has tagged fields in its
   * header; the parser then finds those of the response header in front. Rejects with BROKER_UNREACHABLE (connection
   * lost, timeout) or with what `parse` throws.
   */
  request<T>(
    apiKey: number,
    apiVersion: number,
    flexible: boolean,
    write: (writer: WireWriter) => void,
    parse: (reader: WireReader) => T,
  ): Promise<T>
  /** Gives the bytes of a response back for reuse; nobody may look at them afterwards. Optional for both sides. */
  recycle?(body: Uint8Array): void
  /** Ends the connection at once; requests under way are rejected. Idempotent. */
  close(): Promise<void>
}

/** Opens a connection and checks what the broker offers: BROKER_UNREACHABLE, BROKER_UNSUPPORTED, BROKER_ERROR (SASL). */
export type KafkaConnect = (host: string, port: number, options: KafkaConnectionOptions) => Promise<KafkaConnection>
