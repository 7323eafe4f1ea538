/**
 * The connection to Redis: the one importer of ioredis.
 *
 * Owns: how the client is set up, the scripts, and its errors. Does not own: keys, and what commands mean.
 *
 * Set-up: no command is ever queued for a server that is away, or sent a second time: it fails at once, or when its
 * connection does, with STORE_UNREACHABLE, and the caller decides. The client reconnects by itself in the background.
 * A connection on which commands wait and nothing comes is given up, so that half-open ones heal.
 */
import { Redis } from 'ioredis'
import { MillraceError } from '../core/errors.ts'
import { isVariadic, loadScripts, type ScriptName } from './redis-scripts.ts'

/** What a script returns: its table, texts as bytes. */
export type ScriptReply = readonly (number | Buffer)[]

/** A command without an answer for this long has failed, unless told otherwise. */
export const COMMAND_TIMEOUT_MS = 4000
const RECONNECT_FIRST_MS = 20
const RECONNECT_MAX_MS = 1000
/** Most keys in one UNLINK, so that no command holds the server up. */
const UNLINK_KEYS_MAX = 500
const SCAN_COUNT = 1000

/** Where to connect. */
export interface RedisConnectionOptions {
  readonly url: string
  /** User and password, where the URL has none. */
  readonly username?: string
  readonly password?: string
  /** What TLS needs beyond a `rediss://` URL, PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly commandTimeoutMs?: number
}

/** One connection; many commands may be under way on it. */
export class RedisConnection {
  /** Host and port, for messages: never the password. */
  readonly location: string
  /** How often it has been made: after a break another server may answer. */
  connection = 0
  readonly #client: Redis
  readonly #timeoutMs: number
  #closed = false

  private constructor(options: RedisConnectionOptions) {
    this.location = locationOf(options.url)
    const commandTimeout = options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS
    this.#timeoutMs = commandTimeout
    const { username, password, tls } = options
    this.#client = new Redis(options.url, {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined || !options.url.startsWith('rediss:') ? {} : { tls: { ...tls } }),
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      commandTimeout,
      socketTimeout: commandTimeout * 2,
      connectTimeout: commandTimeout,
      connectionName: 'millrace',
      disableClientInfo: true,
      retryStrategy: (times) => Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** Math.min(times, 10)),
      scripts: Object.fromEntries(
        loadScripts().map(({ name, lua, keyCount }) => [
          commandName(name),
          { lua, ...(keyCount === null ? {} : { numberOfKeys: keyCount }) },
        ]),
      ),
    })
    // Without a listener the client prints to the console; commands report the same errors to whoever sent them.
    this.#client.on('error', () => undefined)
    this.#client.on('ready', () => {
      this.connection++
    })
  }

  /** Connects and waits until the server serves. Rejects with STORE_UNREACHABLE or CONFIG_INVALID. */
  static async open(options: RedisConnectionOptions): Promise<RedisConnection> {
    const connection = new RedisConnection(options)
    const client = connection.#client
    let first: unknown
    client.once('error', (error) => {
      first = error
    })
    try {
      await client.connect()
      return connection
    } catch (error) {
      const mapped = connection.#mapped('connect', first ?? error)
      await connection.close()
      throw mapped
    }
  }

  /** The value of a key as bytes; undefined when there is none. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return (await this.#run('GET', () => this.#client.getBuffer(key))) ?? undefined
  }

  async set(key: string, value: Uint8Array | string): Promise<void> {
    await this.#run('SET', () => this.#client.set(key, typeof value === 'string' ? value : asBuffer(value)))
  }

  /** Sets unless there is a value; says whether it did. */
  async setIfAbsent(key: string, value: string): Promise<boolean> {
    return (await this.#run('SET', () => this.#client.set(key, value, 'NX'))) !== null
  }

  /** Removes keys; those that are not there are no error. */
  async unlink(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += UNLINK_KEYS_MAX) {
      await this.#run('UNLINK', () => this.#client.unlink(...keys.slice(i, i + UNLINK_KEYS_MAX)))
    }
  }

  async addToSet(key: string, member: string): Promise<void> {
    await this.#run('SADD', () => this.#client.sadd(key, member))
  }

  async removeFromSet(key: string, member: string): Promise<void> {
    await this.#run('SREM', () => this.#client.srem(key, member))
  }

  async setMembers(key: string): Promise<readonly string[]> {
    return this.#run('SMEMBERS', () => this.#client.smembers(key))
  }

  async hashFields(key: string): Promise<readonly string[]> {
    return this.#run('HKEYS', () => this.#client.hkeys(key))
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#run('EXISTS', () => this.#client.exists(key))) === 1
  }

  /** All keys that match a pattern, each once. Walks the whole key space of the server. */
  async scan(pattern: string): Promise<readonly string[]> {
    const keys = new Set<string>()
    let cursor = '0'
    do {
      const [next, page] = await this.#run('SCAN', () =>
        this.#client.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT),
      )
      for (const key of page) keys.add(key)
      cursor = next
    } while (cursor !== '0')
    return [...keys]
  }

  /** Runs a script; loads it first where the server does not have it. */
  async script(
    name: ScriptName,
    keys: readonly string[],
    args: readonly (string | Uint8Array)[],
  ): Promise<ScriptReply> {
    const commands = this.#client as unknown as Record<
      string,
      (...args: readonly (string | number | Buffer)[]) => Promise<ScriptReply>
    >
    const values = args.map((arg) => (typeof arg === 'string' ? arg : asBuffer(arg)))
    const count = isVariadic(name) ? [keys.length] : []
    return this.#run(name, () =>
      commands[`${commandName(name)}Buffer`]!.apply(this.#client, [...count, ...keys, ...values]),
    )
  }

  /** Settings by name; those that the server does not tell are left out. */
  async settings(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    for (const name of names) {
      try {
        const flat = (await this.#run('CONFIG GET', () => this.#client.config('GET', name))) as readonly string[]
        if (flat[1] !== undefined) found.set(name, flat[1])
      } catch (error) {
        // Managed servers forbid the command; being away is another matter.
        if (error instanceof MillraceError && error.code === 'STORE_UNREACHABLE') throw error
      }
    }
    return found
  }

  /**
   * Resolves when `count` replicas have every write made so far on this connection. Rejects with STORE_UNREACHABLE when
   * fewer have within the time of a command: the writes may have taken effect.
   */
  async replicated(count: number): Promise<void> {
    if (count === 0) return
    const waitMs = this.#timeoutMs / 2
    const have = Number(await this.#run('WAIT', () => this.#client.wait(count, waitMs)))
    if (have >= count) return
    const text = `${have} of ${count} replicas of Redis at ${this.location} have acknowledged a write within ${waitMs} ms`
    throw new MillraceError('STORE_UNREACHABLE', text)
  }

  /** `master`, `slave` or `sentinel`, with how many replicas are connected; nothing when the server does not tell. */
  async role(): Promise<{ readonly role?: string; readonly replicas?: number }> {
    try {
      const [role, , replicas] = (await this.#run('ROLE', () => this.#client.role())) as readonly unknown[]
      return { role: String(role), ...(Array.isArray(replicas) ? { replicas: replicas.length } : {}) }
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'STORE_UNREACHABLE') throw error
      return {}
    }
  }

  /** Ends the connection; commands under way fail. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#client.disconnect()
  }

  async #run<T>(what: string, command: () => Promise<T>): Promise<T> {
    try {
      return await command()
    } catch (error) {
      throw this.#mapped(what, error)
    }
  }

  #mapped(what: string, error: unknown): MillraceError {
    const message = error instanceof Error ? error.message : String(error)
    const where = `Redis at ${this.location}`
    const options = { cause: error }
    if (/^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR invalid password)/.test(message)) {
      return new MillraceError(
        'CONFIG_INVALID',
        `${where} refuses ${what}: ${message}. Check user and password`,
        options,
      )
    }
    if (/^(OOM|MISCONF)/.test(message)) {
      return new MillraceError('CHECKPOINT_FAILED', `${where} refuses to write (${what}): ${message}`, options)
    }
    if (/^(ERR|WRONGTYPE|CROSSSLOT|NOSCRIPT)/.test(message)) {
      return new MillraceError('INTERNAL', `${where} does not understand ${what}: ${message}`, options)
    }
    if (/certificate|self.signed|altname|\bSSL\b|\bTLS\b/i.test(message)) {
      return new MillraceError(
        'STORE_UNREACHABLE',
        `TLS with ${where} failed: ${message}. Check MILLRACE_REDIS_CA`,
        options,
      )
    }
    const hint = this.#closed ? 'the connection has been closed' : 'check that it runs and can be reached'
    return new MillraceError('STORE_UNREACHABLE', `${where} did not answer ${what}: ${message}; ${hint}`, options)
  }
}

/** The bytes as a Buffer over the same memory: the client takes no plain Uint8Array. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function commandName(name: ScriptName): string {
  return `millrace_${name.replaceAll('-', '_')}`
}

function locationOf(url: string): string {
  try {
    const { host, pathname } = new URL(url)
    return `${host}${pathname === '/' ? '' : pathname}`
  } catch {
    throw new MillraceError('CONFIG_INVALID', 'the Redis URL cannot be read: write redis://host:port')
  }
}
