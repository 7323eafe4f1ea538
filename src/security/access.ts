/**
 * Who may come in: names, roles, and how each is known.
 *
 * Owns: the form of an access file, and finding the caller that a token or a certificate stands for. Does not own: what
 * a role may call (rpc/method-access.ts), reading the file again (secret-files.ts).
 *
 * One entry a line, three columns, `#` begins a comment:
 *
 *   # name     role       known by
 *   alice      operator   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 *   grafana    viewer     certificate:grafana.example.com
 *
 * The file holds hashes, never tokens: whoever reads it gains nothing. A name may have several lines, so that a token can
 * be replaced without a gap.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import { DIGEST_BYTES, digestOf, sameDigest } from './digest.ts'

/** What a caller may do: look, run jobs (and look), or bring events in. */
export const roles = ['viewer', 'operator', 'ingest'] as const

/** One of the roles. */
export type Role = (typeof roles)[number]

/** Who calls. */
export interface Identity {
  /** From the access file; `local` where everybody may come in. */
  readonly name: string
  readonly role: Role
  readonly knownBy: 'token' | 'certificate' | 'process' | 'loopback'
}

/** What a call shows of its caller. */
export interface Caller {
  /** Hash of the bearer token; null without one. */
  readonly digest: Uint8Array | null
  /** Common name and alternative names of a client certificate that our authority signed. */
  readonly certificateNames: readonly string[]
}

/** Says who calls; null for nobody we know. */
export interface Access {
  identify(caller: Caller): Identity | null
}

/** The caller of a server without an access file: it serves loopback only. */
export const openAccess: Access = {
  identify: () => ({ name: 'local', role: 'operator', knownBy: 'loopback' }),
}

/** Most lines with an entry: every call looks at all of them, so that time tells nothing. */
const ENTRIES_MAX = 1000

interface TokenEntry {
  readonly digest: Uint8Array
  readonly identity: Identity
}

/** The entries of an access file. */
export class AccessTable implements Access {
  readonly #tokens: readonly TokenEntry[]
  readonly #certificates: ReadonlyMap<string, Identity>

  constructor(tokens: readonly TokenEntry[], certificates: ReadonlyMap<string, Identity>) {
    this.#tokens = tokens
    this.#certificates = certificates
  }

  /** A token that is shown decides, also when it is wrong; without one, the certificate does. */
  identify(caller: Caller): Identity | null {
    const { digest, certificateNames } = caller
    if (digest !== null) {
      let found: Identity | null = null
      // No early end: how long this takes must not say which entry, or how much of it, fitted.
      for (const entry of this.#tokens) if (sameDigest(entry.digest, digest)) found = entry.identity
      return found
    }
    for (const name of certificateNames) {
      const identity = this.#certificates.get(name)
      if (identity !== undefined) return identity
    }
    return null
  }
}

/** Reads an access file. CONFIG_INVALID with a violation for every line that is wrong; none repeats a secret. */
export function parseAccess(text: string, file: string): AccessTable {
  const tokens: TokenEntry[] = []
  const certificates = new Map<string, Identity>()
  const violations: Violation[] = []
  for (const [index, whole] of text.split('\n').entries()) {
    const line = whole.replace(/(^|\s)#.*$/, '').trim()
    if (line === '') continue
    const wrong = (message: string) => violations.push({ field: file, message, line: index + 1, column: 1 })
    const [name, role, key, ...rest] = line.split(/\s+/)
    if (name === undefined || role === undefined || key === undefined || rest.length > 0) {
      wrong('a line is `name role sha256:HASH` or `name role certificate:NAME`')
    } else if (!isSubjectName(name)) {
      wrong('the name may have letters, digits, `.`, `_`, `@` and `-`, 100 at most')
    } else if (!isRole(role)) {
      wrong(`the role is not one of ${roles.join(', ')}`)
    } else if (key.startsWith('certificate:') && key.length > 12) {
      const subject = key.slice(12)
      if (certificates.has(subject)) wrong('this certificate has an entry already')
      certificates.set(subject, { name, role, knownBy: 'certificate' })
    } else if (/^sha256:[0-9a-fA-F]{64}$/.test(key)) {
      const digest = new Uint8Array(Buffer.from(key.slice(7), 'hex'))
      if (tokens.some((entry) => sameDigest(entry.digest, digest))) wrong('this token has an entry already')
      tokens.push({ digest, identity: { name, role, knownBy: 'token' } })
    } else {
      wrong(`the third column is not sha256: and ${DIGEST_BYTES * 2} hex digits, or certificate: and a name`)
    }
  }
  if (tokens.length + certificates.size > ENTRIES_MAX) {
    violations.push({ field: file, message: `has more than ${ENTRIES_MAX} entries`, line: 0, column: 0 })
  }
  if (violations.length > 0) {
    const list = violations.map(({ line, message }) => (line > 0 ? `line ${line}: ${message}` : message)).join('; ')
    throw new MillraceError('CONFIG_INVALID', `the access file ${file} is not usable: ${list}`)
  }
  return new AccessTable(tokens, certificates)
}

/** Whether a text can name a caller. */
export function isSubjectName(text: string): boolean {
  return /^[A-Za-z0-9._@-]{1,100}$/.test(text)
}

/** Whether a text is a role. */
export function isRole(text: string): text is Role {
  return roles.some((role) => role === text)
}

/** Access for one token that never leaves this process. */
export function processAccess(token: string): Access {
  const identity: Identity = { name: 'process', role: 'operator', knownBy: 'process' }
  return new AccessTable([{ digest: digestOf(token), identity }], new Map())
}
