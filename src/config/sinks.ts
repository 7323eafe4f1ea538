/**
 * Settings of where results may go: the Redis and the PostgreSQL of sinks, the hosts that are posted to.
 *
 * Servers and secrets are the operator's choice and never a job's: a job that could name a server could make this one write
 * to any that it reaches, and a job's definition is shown to whoever may look.
 */
import type { Violation } from '../core/errors.ts'
import type { TlsFiles } from './security.ts'
import { duration, isLoopback, matching, oneOf, type Setting, text, type ValuesOf } from './setting.ts'

/** Where results may go. Files and folders are paths; '' means none. */
export interface SinksConfig {
  /** Most time that sinks have, when a job starts, to say which results they have, ms. */
  readonly openMs: number
  /** Time that an epoch may take to be written to Kafka, ms. */
  readonly transactionTimeoutMs: number
  /** How long a transaction may hold back a partition of a source or a sink before that is warned of, ms. */
  readonly heldBackMs: number
  readonly redis: TlsFiles & { readonly url: string; readonly user: string; readonly passwordFile: string }
  readonly postgres: TlsFiles & {
    readonly url: string
    readonly user: string
    readonly passwordFile: string
    readonly tls: boolean
  }
  readonly http: {
    /** `host` or `host:port`, with commas between. */
    readonly hosts: string
    /** Folder of tokens, each in a file of the name that its host has in `hosts`. */
    readonly tokenFolder: string
  }
}

function file(name: string, help: string): Setting<string> {
  return { name, fallback: '', unit: 'file', help, parse: text }
}

const hostList = /^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(,(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?)*$/

/** The settings, in the order of the reference. */
export const sinkSettings = {
  sinkOpenTimeout: {
    name: 'MILLRACE_SINK_OPEN_TIMEOUT',
    fallback: '2m',
    unit: 'duration',
    help: 'Most time that exactly-once sinks have, when a job starts, to say which results they have. A sink that takes longer fails the attempt (SINK_FAILED); the restart strategy says what follows.',
    parse: duration(1000, 3_600_000),
  },
  sinkTransactionTimeout: {
    name: 'MILLRACE_KAFKA_TRANSACTION_TIMEOUT',
    fallback: '60s',
    unit: 'duration',
    help: 'Most time that the results of one checkpoint may take to be written to Kafka: the broker ends a transaction that is open for longer. Raise it where a job fails again and again because of that; at most `transaction.max.timeout.ms` of the broker (15m).',
    parse: duration(1000, 3_600_000),
  },
  heldBack: {
    name: 'MILLRACE_HELD_BACK_AFTER',
    fallback: '90s',
    unit: 'duration',
    help: 'A partition whose last stable offset stands below its end for so long is warned of (log, `describe`, metrics). Keep it above the timeout of transactions, 60 s for those of sinks.',
    parse: duration(1000, 24 * 3_600_000),
  },
  sinkRedis: {
    name: 'MILLRACE_SINK_REDIS',
    fallback: '',
    unit: 'redis:// or rediss:// URL',
    help: 'Redis that `redis` sinks write to. It may be that of the checkpoints.',
    parse: matching(/^rediss?:\/\/[^\s@]+$/, 'a redis:// or rediss:// URL without user and password'),
    // People write user:password@ into it.
    secret: true,
  },
  sinkRedisUser: {
    name: 'MILLRACE_SINK_REDIS_USER',
    fallback: '',
    unit: 'name',
    help: 'User (ACL) there.',
    parse: text,
  },
  sinkRedisPasswordFile: file(
    'MILLRACE_SINK_REDIS_PASSWORD_FILE',
    'File that holds the password there, and nothing else.',
  ),
  sinkRedisCa: file(
    'MILLRACE_SINK_REDIS_CA',
    'Authority (PEM) of the certificate of a rediss:// server; unset, those that Node trusts.',
  ),
  sinkRedisCert: file('MILLRACE_SINK_REDIS_CERT', 'Client certificate (PEM) shown to it.'),
  sinkRedisKey: file('MILLRACE_SINK_REDIS_KEY', 'Private key (PEM) of that certificate.'),
  sinkPostgres: {
    name: 'MILLRACE_SINK_POSTGRES',
    fallback: '',
    unit: 'postgres:// URL',
    help: 'PostgreSQL that `postgres` sinks write to, as `postgres://host:port/database`.',
    parse: matching(/^postgres(ql)?:\/\/[^\s@?#]+$/, 'a postgres:// URL without user, password and parameters'),
    secret: true,
  },
  sinkPostgresUser: {
    name: 'MILLRACE_SINK_POSTGRES_USER',
    fallback: 'millrace',
    unit: 'name',
    help: 'User there. It needs to write the tables of sinks, and `millrace_outbox`; to create them only if they are missing.',
    parse: text,
  },
  sinkPostgresPasswordFile: file(
    'MILLRACE_SINK_POSTGRES_PASSWORD_FILE',
    'File that holds the password there, and nothing else.',
  ),
  sinkPostgresTls: {
    name: 'MILLRACE_SINK_POSTGRES_TLS',
    fallback: 'auto',
    unit: 'auto, on or off',
    help: 'TLS to it: `auto` with one that is not on loopback, and wherever MILLRACE_SINK_POSTGRES_CA or _CERT is set.',
    parse: oneOf('auto', 'on', 'off'),
  },
  sinkPostgresCa: file(
    'MILLRACE_SINK_POSTGRES_CA',
    'Authority (PEM) that signs its certificate; unset, those that Node trusts.',
  ),
  sinkPostgresCert: file('MILLRACE_SINK_POSTGRES_CERT', 'Client certificate (PEM) shown to it.'),
  sinkPostgresKey: file('MILLRACE_SINK_POSTGRES_KEY', 'Private key (PEM) of that certificate.'),
  sinkHttpHosts: {
    name: 'MILLRACE_SINK_HTTP_HOSTS',
    fallback: '',
    unit: 'host, or host:port, with commas between',
    help: 'Hosts that `http` sinks of submitted jobs may post to; without a port, that of the scheme. Empty: none.',
    parse: matching(hostList, 'a list of hosts'),
  },
  sinkHttpTokens: {
    name: 'MILLRACE_SINK_HTTP_TOKENS',
    fallback: '',
    unit: 'folder',
    help: 'Folder of bearer tokens, each in a file named as its host is in MILLRACE_SINK_HTTP_HOSTS. They go to that host only.',
    parse: text,
  },
} as const satisfies Record<string, Setting<unknown>>

/** The values of these settings. */
type SinkValues = ValuesOf<typeof sinkSettings>

/** The settings as one value. */
export function toSinksConfig(values: SinkValues): SinksConfig {
  return {
    openMs: values.sinkOpenTimeout,
    transactionTimeoutMs: values.sinkTransactionTimeout,
    heldBackMs: values.heldBack,
    redis: {
      url: values.sinkRedis,
      user: values.sinkRedisUser,
      passwordFile: values.sinkRedisPasswordFile,
      caFile: values.sinkRedisCa,
      certFile: values.sinkRedisCert,
      keyFile: values.sinkRedisKey,
    },
    postgres: {
      url: values.sinkPostgres,
      user: values.sinkPostgresUser,
      passwordFile: values.sinkPostgresPasswordFile,
      tls: postgresTls(values),
      caFile: values.sinkPostgresCa,
      certFile: values.sinkPostgresCert,
      keyFile: values.sinkPostgresKey,
    },
    http: { hosts: values.sinkHttpHosts, tokenFolder: values.sinkHttpTokens },
  }
}

function postgresTls({ sinkPostgresTls, sinkPostgres, sinkPostgresCa, sinkPostgresCert }: SinkValues): boolean {
  if (sinkPostgresTls !== 'auto') return sinkPostgresTls === 'on'
  return sinkPostgres !== '' && (sinkPostgresCa + sinkPostgresCert !== '' || !isLoopback(hostOfUrl(sinkPostgres)))
}

/** What the settings, each right by itself, say wrong together. */
export function checkSinks(values: SinkValues & { readonly allowPlaintext: 'yes' | 'no' }): Violation[] {
  const violations: Violation[] = []
  const wrong = (field: string, message: string) => violations.push({ field, message, line: 0, column: 0 })
  const pair = (cert: 'sinkRedisCert' | 'sinkPostgresCert', key: 'sinkRedisKey' | 'sinkPostgresKey') => {
    if ((values[cert] === '') === (values[key] === '')) return
    wrong(sinkSettings[cert].name, `and ${sinkSettings[key].name} belong together: set both, or neither`)
  }
  pair('sinkRedisCert', 'sinkRedisKey')
  pair('sinkPostgresCert', 'sinkPostgresKey')
  for (const [name, value] of [
    ['MILLRACE_SINK_REDIS', values.sinkRedis],
    ['MILLRACE_SINK_POSTGRES', values.sinkPostgres],
  ] as const) {
    if (value !== '' && hostOfUrl(value) === '') wrong(name, 'its value cannot be read: write scheme://host:port')
  }
  const inTheClear = (url: string): boolean => !isLoopback(hostOfUrl(url)) && values.allowPlaintext === 'no'
  if (values.sinkRedisPasswordFile !== '' && values.sinkRedis.startsWith('redis:') && inTheClear(values.sinkRedis)) {
    wrong(
      'MILLRACE_SINK_REDIS',
      'would send the password in the clear: write it as rediss://host:port, or set MILLRACE_ALLOW_PLAINTEXT=yes',
    )
  }
  if (values.sinkPostgres !== '' && !postgresTls(values) && inTheClear(values.sinkPostgres)) {
    wrong(
      'MILLRACE_SINK_POSTGRES_TLS',
      'off would send results in the clear to a server that is not on loopback: set it on, or MILLRACE_ALLOW_PLAINTEXT=yes',
    )
  }
  if (values.sinkRedisCa + values.sinkRedisCert !== '' && !values.sinkRedis.startsWith('rediss:')) {
    wrong('MILLRACE_SINK_REDIS_CA', 'and _CERT are for TLS: write MILLRACE_SINK_REDIS as rediss://host:port')
  }
  return violations
}

function hostOfUrl(url: string): string {
  return (URL.parse(url)?.hostname ?? '').replace(/^\[(.*)\]$/, '$1')
}
