/**
 * How a client's channel is set up: TLS, the token, limits.
 *
 * The token goes with every call by an interceptor, so that no method can forget it. Whether it may travel in the clear is
 * decided where it is read (security/load.ts).
 */
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { type ChannelCredentials, type ClientOptions, credentials, InterceptingCall } from '@grpc/grpc-js'
import { MillraceError } from '../core/errors.ts'

/** TLS as a client has it: PEM texts. */
export interface ClientTls {
  /** Authority of the server's certificate; those that Node trusts unless given. */
  readonly ca?: string
  /** The client's own certificate and key, for a server that asks for one. */
  readonly cert?: string
  readonly key?: string
  /** Name that the server's certificate must be for, in place of the one in the address. */
  readonly serverName?: string
}

const maxAnswerBytes = 64 * 1024 * 1024

/** What is sent for a server's name where its address is an IP: TLS has no name for those, and grpc-js sends the address. */
const NO_NAME = 'address.invalid'

/** Credentials and options of a channel to `address`. CONFIG_INVALID when a certificate or key cannot be used. */
export function channelOf(
  address: string,
  tls: ClientTls | undefined,
  token: string | undefined,
): { readonly credentials: ChannelCredentials; readonly channelOptions: ClientOptions } {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  const byIp = isIP(host) !== 0 && tls?.serverName === undefined
  const name = byIp ? NO_NAME : tls?.serverName
  const channelOptions: ClientOptions = {
    'grpc.max_receive_message_length': maxAnswerBytes,
    // The address is meant as it is written; a proxy from the environment would be asked for loopback too.
    'grpc.enable_http_proxy': 0,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.service_config_disable_resolution': 1,
    ...(tls === undefined || name === undefined ? {} : { 'grpc.ssl_target_name_override': name }),
    ...(token === undefined
      ? {}
      : {
          interceptors: [
            (options, next) =>
              new InterceptingCall(next(options), {
                start: (metadata, listener, pass) => {
                  metadata.set('authorization', `Bearer ${token}`)
                  pass(metadata, listener)
                },
              }),
          ],
        }),
  }
  return {
    credentials: tls === undefined ? credentials.createInsecure() : secure(tls, byIp ? host : null),
    channelOptions,
  }
}

/** `ip`: the certificate must be for this address; else for the name. */
function secure({ ca, cert, key }: ClientTls, ip: string | null): ChannelCredentials {
  const bytes = (pem: string | undefined) => (pem === undefined ? null : Buffer.from(pem))
  try {
    const verify =
      ip === null ? {} : { checkServerIdentity: (_: string, peer: PeerCertificate) => checkServerIdentity(ip, peer) }
    return credentials.createSsl(bytes(ca), bytes(key), bytes(cert), verify)
  } catch (thrown) {
    throw new MillraceError('CONFIG_INVALID', `TLS cannot be set up: ${MillraceError.from(thrown).message}`, {
      cause: thrown,
    })
  }
}
