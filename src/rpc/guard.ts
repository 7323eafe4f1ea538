/**
 * What every call passes before its handler: who calls, what they may, how much and how long.
 *
 * Owns: the one interceptor of the server. A call that it refuses is answered before its message is read. Does not own:
 * who is who (security/access.ts), what a role may (method-access.ts), the size of messages and the number of calls at a
 * time on a connection (HTTP/2 and grpc-js, set in server.ts).
 *
 * Invariants
 * 1. A method without an entry in the table is refused.
 * 2. Handlers never see the `authorization` header, and nothing here keeps or repeats a token: its hash is all.
 * 3. Every stream that was admitted is given back once, whoever ends it.
 * 4. When access changes, streams of callers that are no longer known, or no longer may, end.
 */
import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { Access, Caller, Identity } from '../security/access.ts'
import { digestOf } from '../security/digest.ts'
import type { Audit } from './audit.ts'
import { type AuditDetails, requestDetails, responseDetails } from './audit-details.ts'
import { detailsKey, toCallError } from './errors.ts'
import { Malformed } from './malformed.ts'
import { type MethodAccess, methodAccess } from './method-access.ts'
import { decodeStatusDetails } from './status-details.ts'

/** What bounds callers. */
export interface CallLimits {
  /** Streams at a time, over all connections. */
  readonly streams: number
  readonly streamsPerConnection: number
  /** Deadline of a unary call whose client sets none, and the latest that one may set. */
  readonly deadlineMs: number
  readonly maxDeadlineMs: number
}

/** What a guard is made of. */
export interface GuardOptions {
  readonly access: Access
  readonly limits: CallLimits
  readonly audit: Audit
  readonly clock: Clock
  readonly scheduler: Scheduler
}

interface OpenStream {
  readonly caller: Caller
  readonly path: string
  readonly peer: string
  readonly end: (error: MillraceError) => void
}

type InterceptedCall = Parameters<ServerInterceptor>[1]

/** Longest token that is hashed, in characters. */
const TOKEN_CHARS_MAX = 1000

/** Admits calls. */
export class Guard {
  readonly #options: GuardOptions
  readonly #streams = new Set<OpenStream>()
  #access: Access

  constructor(options: GuardOptions) {
    this.#options = options
    this.#access = options.access
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams.size
  }

  /** From now on `access` says who is who; streams that it would not admit end. */
  replaceAccess(access: Access): void {
    this.#access = access
    for (const stream of [...this.#streams]) {
      try {
        this.#admitCaller(stream.path, stream.caller)
      } catch (thrown) {
        stream.end(MillraceError.from(thrown))
      }
    }
  }

  /** Whether a caller with this header of an HTTP request may look at numbers. */
  mayLook(authorization: string | undefined): 'allowed' | 'unknown' | 'forbidden' {
    const token = authorization === undefined ? null : tokenIn(authorization)
    if (authorization !== undefined && token === null) return 'unknown'
    const identity = this.#access.identify({ digest: token === null ? null : digestOf(token), certificateNames: [] })
    if (identity === null) return 'unknown'
    return identity.role === 'ingest' ? 'forbidden' : 'allowed'
  }

  /** The interceptor, for the server's options. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const { clock, scheduler, audit } = this.#options
    const startMs = clock.monotonicMs()
    const access = methodAccess[method.path]
    let identity: Identity | null = null
    let refused = false
    let job = ''
    let outcome = 'CANCELLED'
    let details: AuditDetails = {}
    let stream: OpenStream | null = null
    let cancelDeadline: Cancel = () => {}
    const peer = call.getPeer()
    const intercepted: ServerInterceptingCall = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            try {
              const caller = callerOf(metadata, call)
              // Known before it is admitted, so that the audit can name who was refused.
              identity = this.#access.identify(caller)
              this.#admitCaller(method.path, caller)
              const end = (error: MillraceError) => intercepted.sendStatus(toCallError(error))
              if (method.responseStream) stream = this.#admitStream({ caller, path: method.path, peer, end })
              else cancelDeadline = scheduler.after(this.#timeLeftMs(call), () => end(tooLong()))
            } catch (thrown) {
              refused = true
              intercepted.sendStatus(toCallError(thrown))
              return
            }
            metadata.remove('authorization')
            pass(metadata)
          },
          onReceiveMessage: (message: unknown, pass) => {
            if (message instanceof Malformed) {
              intercepted.sendStatus(toCallError(message.toError()))
              return
            }
            job = nameIn(message) || job
            details = requestDetails(method.path, message)
            pass(message)
          },
          onCancel: () => {
            cancelDeadline()
            if (stream !== null) this.#streams.delete(stream)
            stream = null
            const durationMs = clock.monotonicMs() - startMs
            const ended = { path: method.path, identity, peer, job, details, outcome, durationMs }
            if (refused) audit.refused(ended)
            else if (access?.audited === true) audit.ended(ended)
          },
        }),
      sendMessage: (message: unknown, pass) => {
        job ||= nameIn((message as { readonly job?: unknown } | null)?.job) || nameIn(message)
        details = { ...details, ...responseDetails(method.path, message) }
        pass(message)
      },
      sendStatus: (sent, pass) => {
        outcome = outcomeOf(sent.code ?? status.UNKNOWN, sent.metadata ?? null)
        pass(sent)
      },
    })
    return intercepted
  }

  #admitCaller(path: string, caller: Caller): void {
    const access: MethodAccess | undefined = methodAccess[path]
    if (access === undefined) throw new MillraceError('PERMISSION_DENIED', `nobody may call ${path.slice(1)}`)
    if (access.roles === 'anyone') return
    const identity = this.#access.identify(caller)
    if (identity === null) throw unknownCaller(caller)
    if (access.roles.includes(identity.role)) return
    throw new MillraceError(
      'PERMISSION_DENIED',
      `${path.slice(path.lastIndexOf('/') + 1)} is for the role ${access.roles.join(' or ')}, and ${identity.name} has the role ${identity.role}`,
    )
  }

  #admitStream(stream: OpenStream): OpenStream {
    const { streams, streamsPerConnection } = this.#options.limits
    if (this.#streams.size >= streams) {
      throw new MillraceError('LIMIT_EXCEEDED', `the server has ${streams} streams open already; try again later`, {
        domain: 'external',
        retry: 'backoff',
      })
    }
    let ofPeer = 0
    for (const open of this.#streams) if (open.peer === stream.peer) ofPeer++
    if (ofPeer >= streamsPerConnection) {
      throw new MillraceError(
        'LIMIT_EXCEEDED',
        `this connection has ${streamsPerConnection} streams open already: end some, or use another connection`,
      )
    }
    this.#streams.add(stream)
    return stream
  }

  #timeLeftMs(call: InterceptedCall): number {
    const { deadlineMs, maxDeadlineMs } = this.#options.limits
    const deadline = Number(call.getDeadline())
    if (deadline === Number.POSITIVE_INFINITY) return Math.min(deadlineMs, maxDeadlineMs)
    return Math.min(Math.max(0, deadline - this.#options.clock.nowMs()), maxDeadlineMs)
  }
}

function tooLong(): MillraceError {
  return new MillraceError(
    'DEADLINE_EXCEEDED',
    'the call took longer than its deadline, or than the server lets any call take (MILLRACE_GRPC_DEADLINE, MILLRACE_GRPC_MAX_DEADLINE)',
  )
}

function unknownCaller(caller: Caller): MillraceError {
  if (caller.digest !== null) {
    return new MillraceError('UNAUTHENTICATED', 'the token is not known here; it may have been replaced')
  }
  const [name] = caller.certificateNames
  if (name !== undefined) {
    return new MillraceError(
      'UNAUTHENTICATED',
      `the certificate of ${JSON.stringify(name)} has no entry in the access file of the server`,
    )
  }
  return new MillraceError(
    'UNAUTHENTICATED',
    'this server takes calls only from those it knows: send `authorization: Bearer TOKEN`; on the command line set MILLRACE_TOKEN_FILE',
  )
}

/** What a call shows. UNAUTHENTICATED when the header is not one bearer token. */
function callerOf(metadata: Metadata, call: InterceptedCall): Caller {
  const headers = metadata.get('authorization')
  const certificateNames = namesOf(call)
  if (headers.length === 0) return { digest: null, certificateNames }
  const token = headers.length === 1 ? tokenIn(String(headers[0])) : null
  if (token === null) {
    throw new MillraceError('UNAUTHENTICATED', 'the `authorization` header is not `Bearer TOKEN`')
  }
  return { digest: digestOf(token), certificateNames }
}

/** The token of an `authorization` header; null when it is not one bearer token. */
function tokenIn(header: string): string | null {
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1]
  return token === undefined || token.length > TOKEN_CHARS_MAX ? null : token
}

/** Names of a client certificate that our authority signed: the common name, then DNS names and URIs. */
function namesOf(call: InterceptedCall): readonly string[] {
  const certificate = call.getAuthContext().sslPeerCertificate
  if (certificate === undefined) return []
  const names = [certificate.subject?.CN ?? []].flat()
  for (const part of (certificate.subjectaltname ?? '').split(', ')) {
    const match = /^(?:DNS|URI):([^"]+)$/.exec(part)
    if (match !== null) names.push(match[1]!)
  }
  return names
}

/** The `name` of a message that has one. */
function nameIn(message: unknown): string {
  const name = typeof message === 'object' && message !== null ? (message as { readonly name?: unknown }).name : ''
  return typeof name === 'string' ? name : ''
}

function outcomeOf(code: status, metadata: Metadata | null): string {
  if (code === status.OK) return 'OK'
  const trailer = metadata?.get(detailsKey)[0]
  const details = trailer instanceof Uint8Array ? decodeStatusDetails(trailer) : null
  return details === null || details.reason === '' ? (status[code] ?? String(code)) : details.reason
}
