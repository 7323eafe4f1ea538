/**
 * Opens connections to brokers: which implementation serves which options.
 *
 * Plain TCP is our own (plain-connection.ts). The library is loaded only where TLS or SASL asks for it: it takes about
 * 60 MB and 0.3 s a thread.
 */
import type { KafkaConnect } from './connection.ts'
import { connectPlain } from './plain-connection.ts'

/** Opens a connection: our own over plain TCP, the library's where TLS or SASL is asked for. */
export const connectKafka: KafkaConnect = async (host, port, options) => {
  if (options.tls === undefined && options.sasl === undefined) return connectPlain(host, port, options)
  const { connectSecure } = await import('./library-connection.ts')
  return connectSecure(host, port, options)
}
