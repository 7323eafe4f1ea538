/**
 * What a Redis is worth as a checkpoint store, judged by its settings.
 *
 * Pure. With `appendfsync always` Redis answers a write after fsync, so what was acked survives a crash; with less, or
 * when Redis may evict keys, checkpoints that were reported can be gone after one.
 */

/** What was asked of the server; undefined where it would not say. */
export interface RedisSettings {
  readonly appendonly: string | undefined
  readonly appendfsync: string | undefined
  readonly maxmemoryPolicy: string | undefined
  readonly noAppendfsyncOnRewrite: string | undefined
  /** `master` or `slave`, from ROLE. */
  readonly role?: string | undefined
  /** Replicas that are connected. */
  readonly replicas?: number | undefined
  /** Replicas that are waited for. */
  readonly wantedReplicas: number
}

/** Names for CONFIG GET. */
export const redisSettingNames = ['appendonly', 'appendfsync', 'maxmemory-policy', 'no-appendfsync-on-rewrite'] as const

/** Why checkpoints in a Redis with these settings are not durable, with what to change; empty when they are. */
export function durabilityReasons(settings: RedisSettings): readonly string[] {
  const { appendonly, appendfsync, maxmemoryPolicy, noAppendfsyncOnRewrite, role, replicas, wantedReplicas } = settings
  const reasons: string[] = []
  if (appendonly === undefined || appendfsync === undefined || maxmemoryPolicy === undefined) {
    reasons.push(
      'Redis does not let its settings be read (CONFIG GET), so nothing is known of its durability: permit the command',
    )
  }
  if (appendonly !== undefined && appendonly !== 'yes') {
    reasons.push(`appendonly is ${appendonly}: Redis loses checkpoints when it restarts. Set appendonly yes`)
  } else if (appendfsync !== undefined && appendfsync !== 'always') {
    reasons.push(
      `appendfsync is ${appendfsync}: a crash can take back the last checkpoints. Set appendfsync always ` +
        '(waiting by WAITAOF, Redis 7.2 and later, is not implemented)',
    )
  } else if (noAppendfsyncOnRewrite === 'yes') {
    reasons.push(
      'no-appendfsync-on-rewrite is yes: while the log is rewritten nothing is synced. Set no-appendfsync-on-rewrite no',
    )
  }
  if (maxmemoryPolicy !== undefined && maxmemoryPolicy !== 'noeviction') {
    reasons.push(
      `maxmemory-policy is ${maxmemoryPolicy}: Redis may drop parts of a checkpoint. Set maxmemory-policy noeviction`,
    )
  }
  if (role !== undefined && role !== 'master') {
    reasons.push(`this Redis is a replica (${role}): what it holds is behind its primary. Name the primary`)
  }
  if (replicas !== undefined && replicas < wantedReplicas) {
    reasons.push(
      `${replicas} replicas are connected, and ${wantedReplicas} are waited for: no checkpoint completes. Connect them, or ` +
        'set MILLRACE_REDIS_REPLICAS lower',
    )
  }
  if (replicas !== undefined && replicas > wantedReplicas) {
    reasons.push(
      `${replicas} replicas are connected, and ${wantedReplicas} are waited for: a failover to one that is behind loses the ` +
        'newest checkpoints. Set MILLRACE_REDIS_REPLICAS to the number of replicas that may take over',
    )
  }
  return reasons
}
