/** The Redis that holds the checkpoints of one run: durable as exactly-once needs, and counted as Millrace's. */
import { exchange } from '../test/support/infra-process.ts'
import { startRedis } from '../test/support/redis.ts'

/** A Redis of the bench's own. */
export interface BenchRedis {
  readonly url: string
  /** Its process on this machine; undefined when it runs elsewhere, then its memory and CPU are not seen. */
  readonly pid: number | undefined
  stop(): Promise<void>
}

/** Starts one, empty. */
export async function startBenchRedis(): Promise<BenchRedis> {
  const redis = await startRedis({ own: true })
  const stop = (): Promise<void> => redis.stop()
  if (redis.kind !== 'server') return { url: redis.url, pid: undefined, stop }
  const info = await exchange(Number(new URL(redis.url).port), 'INFO server\r\n', 1_000)
  const found = /process_id:(\d+)/.exec(info.toString('latin1'))
  return { url: redis.url, pid: found === null ? undefined : Number(found[1]), stop }
}
