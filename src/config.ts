/**
 * Settings from the environment: `MILLRACE_*` texts in, one typed and checked value out, once, at start.
 *
 * Owns: every setting's name, default, unit and check, as one table (docs/reference/configuration.md is made from it).
 * Does not own: what a job says (job/), or what a flag of one command overrides (cli/). All mistakes are reported at
 * once. An empty variable counts as unset.
 */
import { MillraceError, type Violation } from './core/errors.ts'

/** One setting: what it is called, what it means, and how its text is read. */
export interface Setting<T> {
  /** Environment variable. */
  readonly name: string
  /** Text that is read when the variable is not set. */
  readonly fallback: string
  /** Unit, or the shape of the text. */
  readonly unit: string
  /** What it does: one or two sentences. */
  readonly help: string
  /** The value, or what is wrong with the text, as a sentence without its subject. */
  readonly parse: (text: string) => { readonly value: T } | { readonly wrong: string }
}

type Parse<T> = Setting<T>['parse']

/** What `parseConfig` makes of the environment. Times in ms, sizes in bytes. */
export interface Config {
  /** `host:port,host:port` of the cluster that sources and sinks use unless a job says otherwise; '' for none. */
  readonly brokers: string
  /** URL of the Redis that holds checkpoints; '' keeps them in `dataDir`. */
  readonly redisUrl: string
  /** First part of every key in Redis. */
  readonly redisPrefix: string
  /** Folder of checkpoints (without Redis) and of the embedded log. */
  readonly dataDir: string
  /** Names this server in leases: the same after a restart, different from any other that shares the store. */
  readonly instanceId: string
  /** Worker threads; 0 for one per core. */
  readonly threads: number
  readonly grpc: { readonly host: string; readonly port: number; readonly maxMessageBytes: number }
  /** `port` -1 serves no HTTP. */
  readonly http: { readonly host: string; readonly port: number }
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'auto' | 'json' | 'text' }
  /** Where the command line finds its server, `host:port`. */
  readonly server: string
}

const text: Parse<string> = (value) => ({ value })

function matching(pattern: RegExp, shape: string): Parse<string> {
  return (value) => (value === '' || pattern.test(value) ? { value } : { wrong: `is not ${shape}` })
}

function integer(min: number, max: number): Parse<number> {
  return (value) => {
    const number = Number(value)
    if (!/^-?\d+$/.test(value) || number < min || number > max) {
      return { wrong: `is not a whole number from ${min} to ${max}` }
    }
    return { value: number }
  }
}

function oneOf<const T extends string>(...values: readonly T[]): Parse<T> {
  return (value) => {
    const found = values.find((candidate) => candidate === value)
    return found === undefined ? { wrong: `is not one of ${values.join(', ')}` } : { value: found }
  }
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }

function size(min: number, max: number): Parse<number> {
  return (value) => {
    const match = /^(\d+)(Ki|Mi|Gi)?$/.exec(value)
    const bytes = match === null ? Number.NaN : Number(match[1]) * (sizeUnits[match[2] ?? ''] ?? Number.NaN)
    if (!(bytes >= min && bytes <= max)) return { wrong: `is not a size from ${min} to ${max} bytes, such as 4Mi` }
    return { value: bytes }
  }
}

/** True for the names and addresses of this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

const loopbackHost: Parse<string> = (value) =>
  isLoopback(value)
    ? { value }
    : { wrong: 'is not a loopback address; there is no authentication yet, so nothing else is served' }

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
  redisUrl: {
    name: 'MILLRACE_REDIS',
    fallback: '',
    unit: 'redis:// or rediss:// URL',
    help: 'Redis that holds checkpoints and jobs. Unset, they are kept in files under the data folder.',
    parse: matching(/^rediss?:\/\/\S+$/, 'a redis:// or rediss:// URL'),
  },
  redisPrefix: {
    name: 'MILLRACE_REDIS_PREFIX',
    fallback: 'millrace',
    unit: 'name',
    help: 'First part of every key in Redis, so that deployments can share one.',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, 'a name of letters, digits, `_`, `.` and `-`'),
  },
  dataDir: {
    name: 'MILLRACE_DATA_DIR',
    fallback: '.millrace',
    unit: 'folder',
    help: 'Folder of checkpoints (without Redis) and of the embedded log.',
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
    unit: 'loopback address',
    help: 'Address on which gRPC is served.',
    parse: loopbackHost,
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
  httpHost: {
    name: 'MILLRACE_HTTP_HOST',
    fallback: '127.0.0.1',
    unit: 'loopback address',
    help: 'Address on which /metrics, /healthz and /readyz are served.',
    parse: loopbackHost,
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
} as const satisfies Record<string, Setting<unknown>>

type Values = {
  [K in keyof typeof settings]: (typeof settings)[K] extends { parse: Parse<infer T> } ? T : never
}

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
        message: `${JSON.stringify(given)} ${parsed.wrong}`,
        line: 0,
        column: 0,
      })
    } else values[key] = parsed.value
  }
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
    redisUrl: values.redisUrl,
    redisPrefix: values.redisPrefix,
    dataDir: values.dataDir,
    instanceId: values.instanceId,
    threads: values.threads,
    grpc: { host: values.grpcHost, port: values.grpcPort, maxMessageBytes: values.grpcMaxMessageBytes },
    http: { host: values.httpHost, port: values.httpPort },
    log: { level: values.logLevel, format: values.logFormat },
    server: values.server,
  }
}

function misspelt(env: Readonly<Record<string, string | undefined>>): Violation[] {
  const names = new Set<string>(Object.values<Setting<unknown>>(settings).map((setting) => setting.name))
  const violations: Violation[] = []
  for (const name of Object.keys(env)) {
    if (!name.startsWith('MILLRACE_') || names.has(name) || elsewhere.test(name)) continue
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
