/**
 * Secrets and certificates as node:crypto knows them: the adapter of this folder.
 *
 * Owns: hashing tokens, comparing hashes in constant time, making tokens, and telling whether a key pair fits. Does not
 * own: what a token is good for (access.ts).
 */
import { createHash, createPrivateKey, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto'

/** Bytes of a token's hash. */
export const DIGEST_BYTES = 32

/** SHA-256 of a token. Tokens are long and random, so that a slow hash would add nothing. */
export function digestOf(token: string): Uint8Array {
  return createHash('sha256').update(token, 'utf8').digest()
}

/** Whether two hashes are equal, in the same time wherever they differ. */
export function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** A new token: 256 random bits, with a beginning that scanners for leaked secrets can look for. */
export function newToken(): string {
  return `mrt_${randomBytes(32).toString('base64url')}`
}

/** What is wrong with a certificate chain and its key, PEM; '' when they fit. Never says anything of the key itself. */
export function keyPairMistake(cert: string, key: string): string {
  const first = certificateOf(cert)
  if (first === null) return 'the certificate is not one in PEM'
  try {
    if (!first.checkPrivateKey(createPrivateKey(key))) return 'the key does not belong to the certificate'
  } catch {
    return 'the key is not an unencrypted private key in PEM'
  }
  return ''
}

/** Whether a text holds certificates in PEM. */
export function isCertificate(pem: string): boolean {
  return certificateOf(pem) !== null
}

function certificateOf(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}
