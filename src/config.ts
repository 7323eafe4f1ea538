/**
 * Settings from the environment: `MILLRACE_*` texts in, one typed and checked value out, once, at start.
 *
 * Owns: every setting's name, default, unit and check, as one table (docs/reference/configuration.md is made from it).
 * Does not own: what a job says (job/), or what a flag of one command overrides (cli/). All mistakes are reported at
 * once. An empty variable counts as unset.
 */

import { type JobsConfig, jobSettings, toJobsConfig } from './config/jobs.ts'
import { checkSchemas, type SchemasConfig, schemaSettings, toSchemasConfig } from './config/schemas.ts'
import {
  checkSecurity,
  misplacedSecrets,
  type SecurityConfig,
  securitySettings,
  toSecurityConfig,
} from './config/security.ts'
import { duration, integer, matching, oneOf, type Setting, size, text, type ValuesOf } from './config/setting.ts'
import { checkSinks, type SinksConfig, sinkSettings, toSinksConfig } from './config/sinks.ts'
import { MillraceError, type Violation } from './core/errors.ts'

/** What `parseConfig` makes of the environment. Times in ms, sizes in bytes. */
export interface Config {
  /** `host:port,host:port` of the cluster that sources and sinks use unless a job says otherwise; '' for none. */
  readonly brokers: string
  /** First part of transactional ids, and of the topic that keeps what sinks have applied. */
  readonly kafkaPrefix: string
  /** URL of the Redis that holds checkpoints; '' keeps them in `dataDir`. */
  readonly redisUrl: string
  /** First part of every key in Redis. */
  readonly redisPrefix: string
  /** Replicas of Redis that are waited for before a checkpoint counts. */
  readonly redisReplicas: number
  /** Folder of checkpoints (without Redis) and of the embedded log. */
  readonly dataDir: string
  /** Folder of savepoints; '' for `savepoints` in `dataDir`. */
  readonly savepointDir: string
  /** Names this server in leases: the same after a restart, different from any other that shares the store. */
  readonly instanceId: string
  /** Worker threads; 0 for one per core. */
  readonly threads: number
  readonly grpc: { readonly host: string; readonly port: number } & GrpcLimits
  /** Largest job definition that is taken, bytes. */
  readonly maxDefinitionBytes: number
  /** `port` -1 serves no HTTP. */
  readonly http: { readonly host: string; readonly port: number }
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'auto' | 'json' | 'text' }
  /** Where the command line finds its server, `host:port`. */
  readonly server: string
  readonly security: SecurityConfig
  readonly schemas: SchemasConfig
  readonly jobs: JobsConfig
  readonly sinks: SinksConfig
}

/** What bounds the clients of a gRPC server. */
export interface GrpcLimits {
  /** Largest request that is read; answers may be four times that. */
  readonly maxMessageBytes: number
  /** Connections at a time. */
  readonly connections: number
  /** Streams (watches) at a time, over all connections. */
  readonly streams: number
  readonly streamsPerConnection: number
  /** Deadline of a unary call whose client sets none, and the latest that one may set. */
  readonly deadlineMs: number
  readonly maxDeadlineMs: number
}

const host = matching(/^[A-Za-z0-9.:-]{1,253}$/, 'an address or a host name')
const brokerList = /^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$/
const address = /^(\[[0-9a-fA-F:]+\]|[^\s,:]+):\d{1,5}$/

/** Every setting, in the order of the reference. */
export const settings = {
  brokers: {
    name: 'MILLRACE_BROKERS',
    fallback: '',
    unit: 'host:port,host:port',
    help: 'Redpanda or Kafka cluster of sources and sinks that name none.',
    parse: matching(brokerList, 'host:port, or several with commas between'),
  },
  kafkaPrefix: {
    name: 'MILLRACE_KAFKA_PREFIX',
    fallback: 'millrace',
    unit: 'name',
    help: 'First part of transactional ids and of the topic PREFIX-markers: one for each deployment that writes to a cluster.',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, 'a name of letters, digits, `_`, `.` and `-`'),
  },
  redisUrl: {
    name: 'MILLRACE_REDIS',
    fallback: '',
    unit: 'redis:// or rediss:// URL',
    help: 'Redis that holds checkpoints and jobs. Unset, they are kept in files under the data folder.',
    parse: matching(/^rediss?:\/\/\S+$/, 'a redis:// or rediss:// URL'),
    // People write user:password@ into it.
    secret: true,
  },
  redisPrefix: {
    name: 'MILLRACE_REDIS_PREFIX',
    fallback: 'millrace',
    unit: 'name',
    help: 'First part of every key in Redis, so that deployments can share one.',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, 'a name of letters, digits, `_`, `.` and `-`'),
  },
  redisReplicas: {
    name: 'MILLRACE_REDIS_REPLICAS',
    fallback: '0',
    unit: 'replicas',
    help: 'Replicas of Redis that must have a checkpoint before it counts (WAIT): as many as may take over from the primary.',
    parse: integer(0, 100),
  },
  dataDir: {
    name: 'MILLRACE_DATA_DIR',
    fallback: '.millrace',
    unit: 'folder',
    help: 'Folder of checkpoints (without Redis) and of the embedded log.',
    parse: text,
  },
  savepointDir: {
    name: 'MILLRACE_SAVEPOINT_DIR',
    fallback: '',
    unit: 'folder',
    help: 'Folder of savepoints, a folder each, by job and name. Unset: `savepoints` in MILLRACE_DATA_DIR. Servers that exchange savepoints share it.',
    parse: text,
  },
  instanceId: {
    name: 'MILLRACE_INSTANCE_ID',
    fallback: 'millrace',
    unit: 'name',
    help: 'Names this server in leases. Keep it over restarts, so that the server takes its jobs back at once; give each server that shares a store its own.',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, 'a name of letters, digits, `_`, `.` and `-`'),
  },
  threads: {
    name: 'MILLRACE_THREADS',
    fallback: '0',
    unit: 'threads',
    help: 'Worker threads; 0 for one per core.',
    parse: integer(0, 256),
  },
  grpcHost: {
    name: 'MILLRACE_GRPC_HOST',
    fallback: '127.0.0.1',
    unit: 'address',
    help: 'Address on which gRPC is served; one that is not loopback needs MILLRACE_ACCESS_FILE and TLS.',
    parse: host,
  },
  grpcPort: {
    name: 'MILLRACE_GRPC_PORT',
    fallback: '7420',
    unit: 'port; 0 for any free one',
    help: 'Port on which gRPC is served.',
    parse: integer(0, 65_535),
  },
  grpcMaxMessageBytes: {
    name: 'MILLRACE_GRPC_MAX_MESSAGE',
    fallback: '4Mi',
    unit: 'bytes, with Ki, Mi or Gi',
    help: 'Largest gRPC request that is read.',
    parse: size(2 ** 16, 2 ** 30),
  },
  grpcConnections: {
    name: 'MILLRACE_GRPC_CONNECTIONS',
    fallback: '1000',
    unit: 'connections',
    help: 'Most gRPC connections at a time; more are closed as they come.',
    parse: integer(1, 1_000_000),
  },
  grpcStreams: {
    name: 'MILLRACE_GRPC_STREAMS',
    fallback: '1000',
    unit: 'streams',
    help: 'Most streams (watches) at a time, over all connections.',
    parse: integer(1, 1_000_000),
  },
  grpcStreamsPerConnection: {
    name: 'MILLRACE_GRPC_STREAMS_PER_CONNECTION',
    fallback: '100',
    unit: 'streams',
    help: 'Most streams (watches) at a time on one connection.',
    parse: integer(1, 200),
  },
  grpcDeadline: {
    name: 'MILLRACE_GRPC_DEADLINE',
    fallback: '60s',
    unit: 'duration',
    help: 'Longest a call may take whose client sets no deadline. Watches have none.',
    parse: duration(1, 3_600_000),
  },
  grpcMaxDeadline: {
    name: 'MILLRACE_GRPC_MAX_DEADLINE',
    fallback: '10m',
    unit: 'duration',
    help: 'Longest a call may take, whatever deadline its client sets. Watches have none.',
    parse: duration(1, 24 * 3_600_000),
  },
  maxDefinition: {
    name: 'MILLRACE_MAX_DEFINITION',
    fallback: '1Mi',
    unit: 'bytes, with Ki, Mi or Gi',
    help: 'Largest job definition that is taken, with its descriptor set. A text is refused beyond 128Ki whatever this says.',
    parse: size(2 ** 10, 2 ** 28),
  },
  httpHost: {
    name: 'MILLRACE_HTTP_HOST',
    fallback: '127.0.0.1',
    unit: 'address',
    help: 'Address on which /metrics, /healthz and /readyz are served; one that is not loopback needs MILLRACE_ACCESS_FILE and TLS.',
    parse: host,
  },
  httpPort: {
    name: 'MILLRACE_HTTP_PORT',
    fallback: '7425',
    unit: 'port; 0 for any free one, -1 for none',
    help: 'Port on which /metrics, /healthz and /readyz are served.',
    parse: integer(-1, 65_535),
  },
  logLevel: {
    name: 'MILLRACE_LOG_LEVEL',
    fallback: 'info',
    unit: 'debug, info, warn or error',
    help: 'Least level of the log lines that are written to standard error.',
    parse: oneOf('debug', 'info', 'warn', 'error'),
  },
  logFormat: {
    name: 'MILLRACE_LOG_FORMAT',
    fallback: 'auto',
    unit: 'auto, json or text',
    help: 'Form of log lines: `auto` is text on a terminal and JSON elsewhere.',
    parse: oneOf('auto', 'json', 'text'),
  },
  server: {
    name: 'MILLRACE_SERVER',
    fallback: '127.0.0.1:7420',
    unit: 'host:port',
    help: 'Server that the commands of `millrace` talk to; `--server` overrides it.',
    parse: matching(address, 'host:port'),
  },
  ...securitySettings,
  ...schemaSettings,
  ...jobSettings,
  ...sinkSettings,
} as const satisfies Record<string, Setting<unknown>>

type Values = ValuesOf<typeof settings>

/** Variables that only tests and tools of the repository read. */
const elsewhere = /^MILLRACE_(TEST_|BENCH_|FULL$)/

/**
 * Reads the settings out of an environment. CONFIG_INVALID with a violation for every variable that is wrong, and for
 * every `MILLRACE_` variable that is none but nearly is one.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const violations: Violation[] = []
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries<Setting<unknown>>(settings)) {
    const given = env[setting.name]?.trim()
    const parsed = setting.parse(given === undefined || given === '' ? setting.fallback : given)
    if ('wrong' in parsed) {
      violations.push({
        field: setting.name,
        message: setting.secret === true ? `its value ${parsed.wrong}` : `${JSON.stringify(given)} ${parsed.wrong}`,
        line: 0,
        column: 0,
      })
    } else values[key] = parsed.value
  }
  if (violations.length === 0)
    violations.push(
      ...checkSecurity(values as Values, values as Values),
      ...checkSchemas(values as Values),
      ...checkSinks(values as Values),
    )
  violations.push(...misspelt(env))
  if (violations.length > 0) {
    const list = violations.map((violation) => `${violation.field}: ${violation.message}`).join('; ')
    throw new MillraceError('CONFIG_INVALID', `the environment is not usable: ${list}`, { violations })
  }
  return nest(values as Values)
}

function nest(values: Values): Config {
  return {
    brokers: values.brokers,
    kafkaPrefix: values.kafkaPrefix,
    redisUrl: values.redisUrl,
    redisPrefix: values.redisPrefix,
    redisReplicas: values.redisReplicas,
    dataDir: values.dataDir,
    savepointDir: values.savepointDir,
    instanceId: values.instanceId,
    threads: values.threads,
    grpc: {
      host: values.grpcHost,
      port: values.grpcPort,
      maxMessageBytes: values.grpcMaxMessageBytes,
      connections: values.grpcConnections,
      streams: values.grpcStreams,
      streamsPerConnection: values.grpcStreamsPerConnection,
      deadlineMs: values.grpcDeadline,
      maxDeadlineMs: values.grpcMaxDeadline,
    },
    maxDefinitionBytes: values.maxDefinition,
    http: { host: values.httpHost, port: values.httpPort },
    log: { level: values.logLevel, format: values.logFormat },
    server: values.server,
    security: toSecurityConfig(values),
    schemas: toSchemasConfig(values),
    jobs: toJobsConfig(values),
    sinks: toSinksConfig(values),
  }
}

function misspelt(env: Readonly<Record<string, string | undefined>>): Violation[] {
  const names = new Set<string>(Object.values<Setting<unknown>>(settings).map((setting) => setting.name))
  const violations: Violation[] = []
  for (const name of Object.keys(env)) {
    if (!name.startsWith('MILLRACE_') || names.has(name) || elsewhere.test(name)) continue
    const place = misplacedSecrets[name]
    if (place !== undefined) {
      const message = `is not read: a secret does not belong into an environment. Write it to a file and set ${place}`
      violations.push({ field: name, message, line: 0, column: 0 })
      continue
    }
    for (const known of names) {
      if (editDistance(name, known) > 2) continue
      violations.push({ field: name, message: `is not a setting; did you mean ${known}?`, line: 0, column: 0 })
      break
    }
  }
  return violations
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
