/**
 * Keeps a running server's access and certificates as their files are: a token is revoked, a certificate renewed, without
 * a restart.
 *
 * Owns: when files are read again, and that a file with a mistake changes nothing: what held before goes on holding, and a
 * log line says why. Does not own: what is in the files (security/).
 */
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { loadAccess, loadTls, type TlsPaths } from '../security/load.ts'
import { watchFiles } from '../security/secret-files.ts'
import type { ServingTls } from './listener.ts'
import type { RpcServer } from './server.ts'

/** How often files are looked at, unless told otherwise. */
const LOOK_EVERY_MS = 5000

/** What is kept up to date, and with what. */
export interface ReloadOptions {
  readonly server: Pick<RpcServer, 'replaceAccess' | 'replaceTls'>
  /** '' where there is none. */
  readonly accessFile: string
  readonly tls: TlsPaths
  readonly scheduler: Scheduler
  readonly log: (level: 'info' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
  readonly everyMs?: number
}

/** The key pair to serve with; null where none is set. CONFIG_INVALID. */
export function loadServingTls(paths: TlsPaths): ServingTls | null {
  const { ca, cert, key } = loadTls(paths, 'MILLRACE_TLS_', 'MILLRACE_TLS_CLIENT_CA')
  if (cert === undefined || key === undefined) return null
  return ca === undefined ? { cert, key } : { cert, key, ca }
}

/** Begins; the answer ends it. */
export function followFiles(options: ReloadOptions): Cancel {
  const { server, accessFile, tls, scheduler, log, everyMs = LOOK_EVERY_MS } = options
  const cancels: Cancel[] = []
  const follow = (paths: readonly string[], what: string, read: () => void) => {
    const changed = () => {
      try {
        read()
        log('info', `${what} was read again`, { files: paths })
      } catch (thrown) {
        const { code, message } = MillraceError.from(thrown)
        log('error', `${what} has changed but cannot be used; what held before still holds: ${message}`, { code })
      }
    }
    cancels.push(watchFiles(paths, scheduler, everyMs, changed))
  }
  if (accessFile !== '') {
    follow([accessFile], 'the access file', () => server.replaceAccess(loadAccess(accessFile)))
  }
  if (tls.certFile !== '') {
    const paths = [tls.certFile, tls.keyFile, tls.caFile].filter((path) => path !== '')
    follow(paths, 'the certificate', () => {
      const loaded = loadServingTls(tls)
      if (loaded !== null) server.replaceTls(loaded)
    })
  }
  return () => {
    for (const cancel of cancels.splice(0)) cancel()
  }
}
