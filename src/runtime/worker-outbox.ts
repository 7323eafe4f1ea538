/**
 * The sinks of a real worker thread that take outboxes.
 *
 * Owns: choosing the implementation that a definition names, and the servers that the operator has named for it. Secrets
 * come with the thread, not with a job.
 */
import { RedisConnection } from '../checkpoint/redis-connection.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { RecordOutput } from '../job/definition.ts'
import { DEAD_LETTERS_SINK, LATE_SINK } from '../job/delivery.ts'
import type { SinkAccess } from '../sink/access.ts'
import { HttpOutbox } from '../sink/http-outbox.ts'
import { httpPost } from '../sink/http-post.ts'
import { KafkaOutbox } from '../sink/kafka-outbox.ts'
import { LogOutbox } from '../sink/log-outbox.ts'
import type { OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import { openPostgres } from '../sink/postgres-connection.ts'
import { PostgresOutbox } from '../sink/postgres-outbox.ts'
import { MetricTable, type PostgresRows, SideTable } from '../sink/postgres-tables.ts'
import { RedisOutbox } from '../sink/redis-outbox.ts'
import type { EndedTransaction } from '../source/kafka/ended-transaction.ts'

/** What sinks need of the thread. */
interface SinkPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

/** The sink of an output. Throws SINK_FAILED where this server has nothing that it could write to. */
export function openOutboxSink(
  output: RecordOutput,
  owner: OutboxOwner,
  access: SinkAccess,
  ports: SinkPorts,
  onEnded: (ended: EndedTransaction) => void = () => {},
): OutboxSink {
  const { scheduler, random } = ports
  switch (output.kind) {
    case 'log':
      return new LogOutbox({ root: output.path, topic: output.topic, owner, random })
    case 'redis': {
      const { redis } = access
      if (redis === undefined) throw missing(owner, 'Redis', 'MILLRACE_SINK_REDIS')
      const { prefix, stream, ttlMs } = output
      const connect = () => RedisConnection.open(redis)
      return new RedisOutbox({ owner, prefix, stream: stream === '' ? null : stream, ttlMs, connect })
    }
    case 'postgres': {
      const { postgres } = access
      if (postgres === undefined) throw missing(owner, 'PostgreSQL', 'MILLRACE_SINK_POSTGRES')
      const rows = rowsOf(output.table, owner.sink)
      return new PostgresOutbox({ owner, rows, connect: () => openPostgres(postgres) })
    }
    case 'http': {
      const { url, encoding, timeoutMs, retryMs } = output
      const post = httpPost(url, timeoutMs, scheduler)
      return new HttpOutbox({ owner, url, encoding, token: tokenFor(url, access, owner), post, scheduler, retryMs })
    }
    case 'kafka': {
      const brokers = output.brokers.split(',').map((broker) => broker.trim())
      return new KafkaOutbox({ brokers, topic: output.topic, owner, onEnded, ...access.kafka }, ports)
    }
  }
}

function rowsOf(table: string, sink: string): PostgresRows {
  if (sink === DEAD_LETTERS_SINK) return new SideTable(table, 'deadLetters')
  return sink === LATE_SINK ? new SideTable(table, 'late') : new MetricTable(table)
}

function missing({ sink }: OutboxOwner, what: string, setting: string): MillraceError {
  return new MillraceError('SINK_FAILED', `sink ${sink} writes to ${what}, but this server has none: set ${setting}`, {
    domain: 'user',
    retry: 'never',
  })
}

/** The token of the host; null for none. Throws SINK_FAILED where it would travel in the clear. */
function tokenFor(text: string, { httpTokens = {}, allowPlaintext }: SinkAccess, { sink }: OutboxOwner): string | null {
  const url = new URL(text)
  const entry = Object.keys(httpTokens).find((host) => URL.parse(`${url.protocol}//${host}`)?.host === url.host)
  if (entry === undefined) return null
  const local = /^(localhost|\[::1\]|127(\.\d{1,3}){3})$/.test(url.hostname)
  if (url.protocol === 'https:' || local || allowPlaintext === true) return httpTokens[entry]!
  throw new MillraceError(
    'SINK_FAILED',
    `sink ${sink} would send the token of ${url.host} in the clear: use https://, or set MILLRACE_ALLOW_PLAINTEXT=yes`,
    { domain: 'user', retry: 'never' },
  )
}
