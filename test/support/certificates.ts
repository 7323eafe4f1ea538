/**
 * Certificates for tests, made by openssl: an authority, and key pairs that it signs.
 *
 * Owns: a folder of PEM files, removed with `remove`. Keys are on the curve P-256 in PKCS #8, which Node, grpc, Kafka and
 * Redis all read.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeDataDir, removeDataDir } from './infra-process.ts'

/** A key pair in files and as text. */
export interface KeyPair {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

/** An authority and what it signs. */
export class TestAuthority {
  readonly folder: string
  readonly caFile: string
  readonly #keyFile: string

  constructor(name = 'test authority') {
    this.folder = makeDataDir('certificates')
    this.caFile = join(this.folder, 'ca.pem')
    this.#keyFile = join(this.folder, 'ca-key.pem')
    newKey(this.#keyFile)
    openssl(
      ...['req', '-x509', '-new', '-key', this.#keyFile, '-out', this.caFile, '-days', '2', '-subj', `/CN=${name}`],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    )
  }

  /** The authority's certificate. */
  get ca(): string {
    return readFileSync(this.caFile, 'utf8')
  }

  /** A key pair for servers on loopback, or for `names` (as `DNS:example.com`), and for clients called `name`. */
  issue(name: string, names = 'IP:127.0.0.1,DNS:localhost'): KeyPair {
    const base = join(this.folder, name.replaceAll(/[^A-Za-z0-9.-]/g, '_'))
    const [certFile, keyFile, request, extensions] = [`${base}.pem`, `${base}-key.pem`, `${base}.csr`, `${base}.ext`]
    newKey(keyFile)
    openssl('req', '-new', '-key', keyFile, '-out', request, '-subj', `/CN=${name}`)
    writeFileSync(
      extensions,
      `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n`,
    )
    openssl(
      ...['x509', '-req', '-in', request, '-CA', this.caFile, '-CAkey', this.#keyFile, '-CAcreateserial'],
      ...['-days', '2', '-extfile', extensions, '-out', certFile],
    )
    return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  }

  /** Writes a file beside the certificates; its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  /** Removes all files. */
  remove(): void {
    removeDataDir(this.folder)
  }
}

function newKey(path: string): void {
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', path)
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
