/**
 * HTTP to a schema registry: the adapter behind event/schema-registry.ts, and the only file that asks one.
 *
 * Owns: the request, its deadline, the size of an answer, the words for what goes wrong. Passwords appear in no message.
 * Redirects are refused: the address is the operator's choice, not the registry's.
 */
import type { Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { type RegistryGet, type RegistryResponse, SchemaRegistry } from './schema-registry.ts'

/** How a registry is reached. */
export interface RegistryAddress {
  /** `http://host:port` or `https://…`, with or without a path. */
  readonly url: string
  /** '' sends no credentials. */
  readonly user: string
  readonly password: string
}

const TIMEOUT_MS = 10_000
const BODY_BYTES_MAX = 4 * 1024 * 1024

/** The registry at an address; null where there is none. */
export function openSchemaRegistry(
  address: RegistryAddress,
  { clock, scheduler }: { readonly clock: Clock; readonly scheduler: Scheduler },
): SchemaRegistry | null {
  return address.url === '' ? null : new SchemaRegistry(registryOverHttp(address, scheduler), clock)
}

/** GET against a registry. */
export function registryOverHttp(
  { url, user, password }: RegistryAddress,
  scheduler: Scheduler,
  timeoutMs = TIMEOUT_MS,
): RegistryGet {
  const base = url.replace(/\/+$/, '')
  const headers: Record<string, string> = {
    accept: 'application/vnd.schemaregistry.v1+json, application/json',
  }
  if (user !== '') headers.authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  return async (path) => {
    const abort = new AbortController()
    const cancel = scheduler.after(timeoutMs, () => abort.abort())
    try {
      const ask = () => fetch(`${base}${path}`, { headers, redirect: 'error', signal: abort.signal })
      // A connection that was kept may have been closed by the other side meanwhile: once more, on a new one.
      const response = await ask().catch(ask)
      return await read(response, base)
    } catch (thrown) {
      if (thrown instanceof MillraceError) throw thrown
      const why = abort.signal.aborted ? `it did not answer within ${timeoutMs} ms` : reasonOf(thrown)
      throw new MillraceError('SCHEMA_REGISTRY_UNREACHABLE', `the schema registry at ${base} cannot be asked: ${why}`, {
        cause: thrown,
      })
    } finally {
      cancel()
    }
  }
}

async function read(response: Response, base: string): Promise<RegistryResponse> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw failed(base, `its answer has more than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  try {
    return { status: response.status, body: JSON.parse(text) }
  } catch (cause) {
    if (response.ok) throw failed(base, 'its answer is no JSON', cause)
    return { status: response.status, body: null }
  }
}

function failed(base: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError('SCHEMA_REGISTRY_ERROR', `the schema registry at ${base} was not understood: ${what}`, {
    cause,
  })
}

/** `fetch` says "fetch failed" and keeps the reason in the cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  const { code, message } = cause as { readonly code?: string; readonly message?: string }
  return message || code || String(thrown)
}
