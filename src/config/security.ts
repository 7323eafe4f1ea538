/**
 * Settings of who may come in and how secrets are found: TLS, access, brokers, Redis, the command line's own identity.
 *
 * Owns: these settings and the rules between them. Every secret is named by a file, never given itself: an environment is
 * listed by `ps`, `docker inspect` and crash reports. What the files hold is read by security/.
 */
import type { Violation } from '../core/errors.ts'
import { areLoopback, hostOf, isLoopback, matching, oneOf, type Setting, text, type ValuesOf } from './setting.ts'

/** A key pair and the authority that the other side is checked against. Files in PEM; '' where there is none. */
export interface TlsFiles {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

/** Settings of security. Files are paths; '' means none. */
export interface SecurityConfig {
  /** Serving gRPC and HTTP. `caFile`: who signs client certificates; set, every client must show one. */
  readonly serve: TlsFiles
  /** Who may call what; '' lets everybody, on loopback only. */
  readonly accessFile: string
  /** Whether tokens and passwords may cross a network in the clear. */
  readonly allowPlaintext: boolean
  readonly kafka: TlsFiles & {
    readonly tls: boolean
    readonly sasl: '' | 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    readonly user: string
    readonly passwordFile: string
  }
  readonly redis: TlsFiles & { readonly user: string; readonly passwordFile: string }
  /** How the command line talks to its server. */
  readonly client: TlsFiles & {
    readonly tls: 'auto' | 'on' | 'off'
    readonly serverName: string
    readonly tokenFile: string
  }
}

function file(name: string, help: string): Setting<string> {
  return { name, fallback: '', unit: 'file', help, parse: text }
}

/** The settings, in the order of the reference. */
export const securitySettings = {
  tlsCert: file(
    'MILLRACE_TLS_CERT',
    'Certificate chain (PEM) with which gRPC and HTTP are served; read again when it changes.',
  ),
  tlsKey: file('MILLRACE_TLS_KEY', 'Private key (PEM) of that certificate.'),
  tlsClientCa: file(
    'MILLRACE_TLS_CLIENT_CA',
    'Authority (PEM) that signs client certificates. Set, a gRPC client without one is turned away before its first call.',
  ),
  accessFile: file(
    'MILLRACE_ACCESS_FILE',
    'Who may call what: a line each of name, role, and the hash of a token (`millrace token` makes one) or the name of a certificate; read again when it changes. Unset, everybody may do everything, and only loopback addresses are served.',
  ),
  allowPlaintext: {
    name: 'MILLRACE_ALLOW_PLAINTEXT',
    fallback: 'no',
    unit: 'yes or no',
    help: 'Lets tokens and passwords cross a network without TLS: for a proxy in front that ends TLS, or a network that is trusted.',
    parse: oneOf('yes', 'no'),
  },
  kafkaTls: {
    name: 'MILLRACE_KAFKA_TLS',
    fallback: 'off',
    unit: 'on or off',
    help: 'TLS to the brokers of MILLRACE_BROKERS.',
    parse: oneOf('on', 'off'),
  },
  kafkaCa: file(
    'MILLRACE_KAFKA_CA',
    'Authority (PEM) that signs the certificates of the brokers; unset, those that Node trusts.',
  ),
  kafkaCert: file('MILLRACE_KAFKA_CERT', 'Client certificate (PEM) shown to brokers.'),
  kafkaKey: file('MILLRACE_KAFKA_KEY', 'Private key (PEM) of that certificate.'),
  kafkaSasl: {
    name: 'MILLRACE_KAFKA_SASL',
    fallback: '',
    unit: 'PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512',
    help: 'How to log in at the brokers of MILLRACE_BROKERS.',
    parse: oneOf('', 'PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'),
  },
  kafkaUser: { name: 'MILLRACE_KAFKA_USER', fallback: '', unit: 'name', help: 'User at the brokers.', parse: text },
  kafkaPasswordFile: file(
    'MILLRACE_KAFKA_PASSWORD_FILE',
    'File that holds the password of that user, and nothing else.',
  ),
  redisUser: {
    name: 'MILLRACE_REDIS_USER',
    fallback: '',
    unit: 'name',
    help: 'User (ACL) at Redis; unset, the default user.',
    parse: text,
  },
  redisPasswordFile: file('MILLRACE_REDIS_PASSWORD_FILE', 'File that holds the password at Redis, and nothing else.'),
  redisCa: file(
    'MILLRACE_REDIS_CA',
    'Authority (PEM) of the certificate of a rediss:// server; unset, those that Node trusts.',
  ),
  redisCert: file('MILLRACE_REDIS_CERT', 'Client certificate (PEM) shown to Redis.'),
  redisKey: file('MILLRACE_REDIS_KEY', 'Private key (PEM) of that certificate.'),
  clientTls: {
    name: 'MILLRACE_CLIENT_TLS',
    fallback: 'auto',
    unit: 'auto, on or off',
    help: 'Whether commands talk TLS to the server: `auto` does with one that is not on loopback, and wherever MILLRACE_CLIENT_CA or MILLRACE_CLIENT_CERT is set.',
    parse: oneOf('auto', 'on', 'off'),
  },
  clientCa: file(
    'MILLRACE_CLIENT_CA',
    'Authority (PEM) that signs the certificate of the server; unset, those that Node trusts.',
  ),
  clientCert: file('MILLRACE_CLIENT_CERT', 'Client certificate (PEM) that commands show.'),
  clientKey: file('MILLRACE_CLIENT_KEY', 'Private key (PEM) of that certificate.'),
  clientServerName: {
    name: 'MILLRACE_CLIENT_SERVER_NAME',
    fallback: '',
    unit: 'host name',
    help: 'Name that the certificate of the server must be for, where it is reached under another.',
    parse: matching(/^[A-Za-z0-9.-]{1,253}$/, 'a host name'),
  },
  tokenFile: file('MILLRACE_TOKEN_FILE', 'File that holds the bearer token that commands send, and nothing else.'),
} as const satisfies Record<string, Setting<unknown>>

/** The values of these settings. */
export type SecurityValues = ValuesOf<typeof securitySettings>

/** What the rules look at besides. */
export interface Surroundings {
  readonly brokers: string
  readonly redisUrl: string
  readonly grpcHost: string
  readonly httpHost: string
  readonly httpPort: number
  readonly server: string
}

/** The settings as one value. */
export function toSecurityConfig(values: SecurityValues): SecurityConfig {
  return {
    serve: { caFile: values.tlsClientCa, certFile: values.tlsCert, keyFile: values.tlsKey },
    accessFile: values.accessFile,
    allowPlaintext: values.allowPlaintext === 'yes',
    kafka: {
      tls: values.kafkaTls === 'on',
      caFile: values.kafkaCa,
      certFile: values.kafkaCert,
      keyFile: values.kafkaKey,
      sasl: values.kafkaSasl,
      user: values.kafkaUser,
      passwordFile: values.kafkaPasswordFile,
    },
    redis: {
      caFile: values.redisCa,
      certFile: values.redisCert,
      keyFile: values.redisKey,
      user: values.redisUser,
      passwordFile: values.redisPasswordFile,
    },
    client: {
      tls: values.clientTls,
      caFile: values.clientCa,
      certFile: values.clientCert,
      keyFile: values.clientKey,
      serverName: values.clientServerName,
      tokenFile: values.tokenFile,
    },
  }
}

/** What the settings, each right by itself, say wrong together. */
export function checkSecurity(values: SecurityValues, around: Surroundings): Violation[] {
  const violations: Violation[] = []
  const wrong = (field: string, message: string) => violations.push({ field, message, line: 0, column: 0 })
  const pair = (cert: { readonly name: string; readonly value: string }, key: typeof cert) => {
    if (cert.value !== '' && key.value === '') wrong(cert.name, `is set without ${key.name}: set both, or neither`)
    if (cert.value === '' && key.value !== '') wrong(key.name, `is set without ${cert.name}: set both, or neither`)
  }
  const named = (key: keyof SecurityValues) => ({ name: securitySettings[key].name, value: values[key] })
  pair(named('tlsCert'), named('tlsKey'))
  pair(named('kafkaCert'), named('kafkaKey'))
  pair(named('redisCert'), named('redisKey'))
  pair(named('clientCert'), named('clientKey'))

  checkAddress(values, 'MILLRACE_GRPC_HOST', around.grpcHost, wrong)
  if (around.httpPort >= 0) checkAddress(values, 'MILLRACE_HTTP_HOST', around.httpHost, wrong)
  if (values.tlsClientCa !== '' && values.tlsCert === '') {
    wrong('MILLRACE_TLS_CLIENT_CA', 'needs TLS: set MILLRACE_TLS_CERT and MILLRACE_TLS_KEY too')
  }
  checkKafka(values, around.brokers, wrong)
  if (!isRedisUrl(around.redisUrl)) {
    const hint =
      'write redis://host:port, or redis://host:port/NUMBER; a password belongs into MILLRACE_REDIS_PASSWORD_FILE'
    wrong('MILLRACE_REDIS', `its value cannot be read: ${hint}`)
  }
  if (values.redisCa + values.redisCert !== '' && !around.redisUrl.startsWith('rediss://')) {
    wrong('MILLRACE_REDIS_CA', 'and MILLRACE_REDIS_CERT are for TLS: write MILLRACE_REDIS as rediss://host:port')
  }
  if (values.redisUser + values.redisPasswordFile !== '' && /^rediss?:\/\/[^/]*@/.test(around.redisUrl)) {
    wrong(
      'MILLRACE_REDIS',
      'holds a user or password, as MILLRACE_REDIS_USER and MILLRACE_REDIS_PASSWORD_FILE do: leave it out of the URL',
    )
  }
  const redisLogin = values.redisUser + values.redisPasswordFile !== '' || around.redisUrl.includes('@')
  const plainRedis = /^redis:/i.test(around.redisUrl) && !isLoopback(hostOfUrl(around.redisUrl))
  if (redisLogin && plainRedis && values.allowPlaintext === 'no') {
    wrong(
      'MILLRACE_REDIS',
      'would send the password in the clear: write it as rediss://host:port, or set MILLRACE_ALLOW_PLAINTEXT=yes',
    )
  }
  const plainClient = values.clientTls === 'off' && !isLoopback(hostOf(around.server))
  if (values.tokenFile !== '' && plainClient && values.allowPlaintext === 'no') {
    wrong('MILLRACE_CLIENT_TLS', 'off would send the token in the clear: set it on, or MILLRACE_ALLOW_PLAINTEXT=yes')
  }
  return violations
}

function hostOfUrl(url: string): string {
  return (URL.parse(url)?.hostname ?? '').replace(/^\[(.*)\]$/, '$1')
}

/** Whether a URL has a host and at most the number of a database: what else there is could be a part of a password. */
function isRedisUrl(url: string): boolean {
  if (url === '') return true
  const parsed = URL.parse(url)
  return parsed !== null && parsed.host !== '' && /^\/?\d*$/.test(parsed.pathname) && parsed.hash === ''
}

function checkAddress(
  values: SecurityValues,
  name: string,
  host: string,
  wrong: (field: string, message: string) => void,
): void {
  if (isLoopback(host)) return
  if (values.accessFile === '') {
    wrong(
      name,
      `${JSON.stringify(host)} is not a loopback address, and nothing says who may call: set MILLRACE_ACCESS_FILE (\`millrace token\` makes an entry), or serve 127.0.0.1`,
    )
  }
  if (values.tlsCert === '' && values.allowPlaintext === 'no') {
    wrong(
      name,
      `${JSON.stringify(host)} is not a loopback address, and tokens would cross the network in the clear: set MILLRACE_TLS_CERT and MILLRACE_TLS_KEY, or MILLRACE_ALLOW_PLAINTEXT=yes behind a proxy that ends TLS`,
    )
  }
}

function checkKafka(values: SecurityValues, brokers: string, wrong: (field: string, message: string) => void): void {
  const { kafkaTls, kafkaSasl, kafkaUser, kafkaPasswordFile } = values
  if (values.kafkaCa + values.kafkaCert !== '' && kafkaTls === 'off') {
    wrong(
      'MILLRACE_KAFKA_TLS',
      'is off, but a certificate is set: set it on, or unset MILLRACE_KAFKA_CA and MILLRACE_KAFKA_CERT',
    )
  }
  if (kafkaSasl === '') {
    if (kafkaUser + kafkaPasswordFile !== '') {
      wrong(
        'MILLRACE_KAFKA_SASL',
        'is not set, but a user or a password is: set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512',
      )
    }
  } else {
    if (kafkaUser === '') wrong('MILLRACE_KAFKA_USER', 'is not set, and MILLRACE_KAFKA_SASL needs it')
    if (kafkaPasswordFile === '') wrong('MILLRACE_KAFKA_PASSWORD_FILE', 'is not set, and MILLRACE_KAFKA_SASL needs it')
  }
  if (brokers === '' && (kafkaSasl !== '' || kafkaTls === 'on')) {
    wrong('MILLRACE_BROKERS', 'is not set: TLS and SASL are for the brokers that it names, and for no others')
  } else if (kafkaSasl === 'PLAIN' && kafkaTls === 'off' && !areLoopback(brokers) && values.allowPlaintext === 'no') {
    wrong(
      'MILLRACE_KAFKA_SASL',
      'PLAIN without TLS would send the password in the clear: set MILLRACE_KAFKA_TLS=on, use SCRAM, or set MILLRACE_ALLOW_PLAINTEXT=yes',
    )
  }
}

/** Variables that people try, and that would hold a secret, with what to set in their place. */
export const misplacedSecrets: Readonly<Record<string, string>> = {
  MILLRACE_TOKEN: 'MILLRACE_TOKEN_FILE',
  MILLRACE_KAFKA_PASSWORD: 'MILLRACE_KAFKA_PASSWORD_FILE',
  MILLRACE_REDIS_PASSWORD: 'MILLRACE_REDIS_PASSWORD_FILE',
  MILLRACE_SINK_REDIS_PASSWORD: 'MILLRACE_SINK_REDIS_PASSWORD_FILE',
  MILLRACE_SINK_POSTGRES_PASSWORD: 'MILLRACE_SINK_POSTGRES_PASSWORD_FILE',
  MILLRACE_SINK_HTTP_TOKEN: 'MILLRACE_SINK_HTTP_TOKENS',
  MILLRACE_SCHEMA_REGISTRY_PASSWORD: 'MILLRACE_SCHEMA_REGISTRY_PASSWORD_FILE',
}
