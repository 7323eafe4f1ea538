/** How the servers of sinks are reached. Types only: it crosses threads. */
import type { RedisConnectionOptions } from '../checkpoint/redis-connection.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import type { PostgresAccess } from './postgres-connection.ts'

/** What sinks need to reach their servers, from the operator's settings. Plain data; secrets: they stay in memory. */
export interface SinkAccess {
  /** What brokers want of a client; absent: nothing. */
  readonly kafka?: KafkaSecurity
  /** Absent: there is none. */
  readonly redis?: RedisConnectionOptions
  readonly postgres?: PostgresAccess
  /** Bearer tokens by host, `host` or `host:port`; absent: none. */
  readonly httpTokens?: Readonly<Record<string, string>>
  /** Whether tokens may cross a network in the clear. */
  readonly allowPlaintext?: boolean
}
