/**
 * Security settings with the files behind them: what servers, clients, brokers and stores are handed.
 *
 * Owns: reading all of it at start, so that a mistake is told then and not at the first connection. What is loaded is
 * plain data (it is sent to worker threads); it never goes into a job, an answer or a log line.
 */
import { MillraceError } from '../core/errors.ts'
import { type Access, openAccess, parseAccess } from './access.ts'
import { isCertificate, keyPairMistake } from './digest.ts'
import { mistake, readSecret, readSecretFile, readSecrets } from './secret-files.ts'

/** A key pair and an authority, PEM; absent where there is none. */
export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** The files that hold them; '' where there is none. */
export interface TlsPaths {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

/** How to reach the brokers of this deployment. */
export interface BrokerAccess {
  readonly tls?: TlsMaterial
  readonly sasl?: {
    readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    readonly username: string
    readonly password: string
  }
}

/** How to reach its Redis. */
export interface RedisAccess {
  readonly username?: string
  readonly password?: string
  readonly tls?: TlsMaterial
}

/** How to reach the servers that results go to. */
export interface SinkServers {
  readonly redis?: RedisAccess & { readonly url: string }
  readonly postgres?: {
    readonly url: string
    readonly username: string
    readonly password?: string
    readonly tls?: TlsMaterial
  }
  readonly httpTokens: Readonly<Record<string, string>>
  readonly allowPlaintext: boolean
}

/** How the command line reaches its server. */
export interface ClientAccess {
  /** Absent: plain text. */
  readonly tls?: TlsMaterial & { readonly serverName?: string }
  readonly token?: string
}

/** Reads a key pair and an authority. `prefix` is what their settings begin with, as `MILLRACE_KAFKA_`. */
export function loadTls(paths: TlsPaths, prefix: string, caSetting = `${prefix}CA`): TlsMaterial {
  const material: { ca?: string; cert?: string; key?: string } = {}
  if (paths.caFile !== '') {
    material.ca = readSecretFile(paths.caFile, caSetting)
    if (!isCertificate(material.ca)) throw mistake(caSetting, paths.caFile, 'it holds no certificate in PEM')
  }
  if (paths.certFile !== '') {
    material.cert = readSecretFile(paths.certFile, `${prefix}CERT`)
    material.key = readSecretFile(paths.keyFile, `${prefix}KEY`)
    const wrong = keyPairMistake(material.cert, material.key)
    if (wrong !== '') throw mistake(`${prefix}CERT`, `${paths.certFile} with ${paths.keyFile}`, wrong)
  }
  return material
}

/** Reads an access file; without one, everybody on loopback may do everything. */
export function loadAccess(file: string): Access {
  return file === '' ? openAccess : parseAccess(readSecretFile(file, 'MILLRACE_ACCESS_FILE'), file)
}

/** Reads what the brokers want. */
export function loadBrokerAccess(
  settings: TlsPaths & {
    readonly tls: boolean
    readonly sasl: '' | 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    readonly user: string
    readonly passwordFile: string
  },
): BrokerAccess {
  const { tls, sasl, user, passwordFile } = settings
  return {
    ...(tls ? { tls: loadTls(settings, 'MILLRACE_KAFKA_') } : {}),
    ...(sasl === ''
      ? {}
      : {
          sasl: { mechanism: sasl, username: user, password: readSecret(passwordFile, 'MILLRACE_KAFKA_PASSWORD_FILE') },
        }),
  }
}

/** Reads what Redis wants. */
export function loadRedisAccess(
  settings: TlsPaths & { readonly user: string; readonly passwordFile: string },
  url: string,
  prefix = 'MILLRACE_REDIS_',
): RedisAccess {
  const { user, passwordFile } = settings
  return {
    ...(user === '' ? {} : { username: user }),
    ...(passwordFile === '' ? {} : { password: readSecret(passwordFile, `${prefix}PASSWORD_FILE`) }),
    ...(url.startsWith('rediss:') ? { tls: loadTls(settings, prefix) } : {}),
  }
}

/** Reads what the servers of sinks want. */
export function loadSinkServers(
  settings: {
    readonly redis: TlsPaths & { readonly url: string; readonly user: string; readonly passwordFile: string }
    readonly postgres: TlsPaths & {
      readonly url: string
      readonly user: string
      readonly passwordFile: string
      readonly tls: boolean
    }
    readonly http: { readonly tokenFolder: string }
  },
  allowPlaintext: boolean,
): SinkServers {
  const { redis, postgres, http } = settings
  return {
    ...(redis.url === ''
      ? {}
      : { redis: { url: redis.url, ...loadRedisAccess(redis, redis.url, 'MILLRACE_SINK_REDIS_') } }),
    ...(postgres.url === ''
      ? {}
      : {
          postgres: {
            url: postgres.url,
            username: postgres.user,
            ...(postgres.passwordFile === ''
              ? {}
              : { password: readSecret(postgres.passwordFile, 'MILLRACE_SINK_POSTGRES_PASSWORD_FILE') }),
            ...(postgres.tls ? { tls: loadTls(postgres, 'MILLRACE_SINK_POSTGRES_') } : {}),
          },
        }),
    httpTokens: http.tokenFolder === '' ? {} : readSecrets(http.tokenFolder, 'MILLRACE_SINK_HTTP_TOKENS'),
    allowPlaintext,
  }
}

/** Reads what the command line shows to the server at `host`. CONFIG_INVALID where a token would travel in the clear. */
export function loadClientAccess(
  settings: TlsPaths & {
    readonly tls: 'auto' | 'on' | 'off'
    readonly serverName: string
    readonly tokenFile: string
  },
  local: boolean,
  allowPlaintext: boolean,
): ClientAccess {
  const { serverName, tokenFile } = settings
  const secure =
    settings.tls === 'on' || (settings.tls === 'auto' && (!local || settings.caFile + settings.certFile !== ''))
  if (tokenFile !== '' && !secure && !local && !allowPlaintext) {
    throw new MillraceError(
      'CONFIG_INVALID',
      'the token would cross the network in the clear: set MILLRACE_CLIENT_TLS=on, or MILLRACE_ALLOW_PLAINTEXT=yes',
    )
  }
  return {
    ...(secure
      ? { tls: { ...loadTls(settings, 'MILLRACE_CLIENT_'), ...(serverName === '' ? {} : { serverName }) } }
      : {}),
    ...(tokenFile === '' ? {} : { token: readSecret(tokenFile, 'MILLRACE_TOKEN_FILE') }),
  }
}
