/**
 * Who writes a partition: a lock file a partition, `<partition>.lock` in the topic's folder.
 *
 * Owns: taking locks, taking over those that are left behind. A lock names the process (`processIdentity`) and, in a second
 * line, the owner within it: what is left by a process that is gone, or by a thread of this one that had the same owner,
 * may be taken over. What an outbox writes has commits in place of a lock (commits.ts), and belongs to it for good. Taking over goes through a second file, so that of several who find a lock left behind one gets it.
 */
import { join } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import { newestCommit } from './commits.ts'
import { createExclusive, isRunning, processIdentity, readText, remove } from './log-files.ts'
import { partitionPath, topicPath } from './topic.ts'

function lockPath(root: string, topic: string, partition: number): string {
  return join(topicPath(root, topic), `${partition}.lock`)
}

/** Takes the lock of one partition. Throws LEASE_HELD while another writer has it. Returns its path. */
export function lockPartition(root: string, topic: string, partition: number): string {
  const path = lockPath(root, topic, partition)
  const commit = newestCommit(partitionPath(root, topic, partition))
  if (commit !== undefined) {
    throw new MillraceError(
      'LEASE_HELD',
      `partition ${partition} of topic ${topic} of the embedded log belongs to the results of ${commit.writer}, which ` +
        'are written exactly once; write another topic',
    )
  }
  if (take(path, null)) return path
  const [process] = (readText(path) ?? '').split(' ')
  throw new MillraceError(
    'LEASE_HELD',
    `topic ${topic} of the embedded log is being written by process ${process}; stop it, or write another topic`,
  )
}

/** Keeps others from choosing a partition of a topic for an outbox. Throws LEASE_HELD while one does. Returns its path. */
export function lockClaims(root: string, topic: string): string {
  const path = join(topicPath(root, topic), 'claims.lock')
  if (take(path, null)) return path
  throw new MillraceError(
    'LEASE_HELD',
    `another writer of topic ${topic} of the embedded log is being set up: try again`,
  )
}

/**
 * Takes a partition of a topic for an owner who needs just one: the one that it left, else one that nobody has, else one
 * that somebody left. Throws LEASE_HELD when all have a writer.
 */
export function claimPartition(
  root: string,
  topic: string,
  partitions: number,
  owner: string,
): { readonly partition: number; readonly path: string } {
  const all = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    path: lockPath(root, topic, partition),
  }))
  const owners = all.map(({ path }) => readText(path)?.split('\n')[1])
  const order = [
    ...all.filter((_, i) => owners[i] === owner),
    ...all.filter((_, i) => owners[i] === undefined),
    ...all.filter((_, i) => owners[i] !== undefined && owners[i] !== owner),
  ]
  for (const claimed of order) {
    if (!take(claimed.path, owner)) continue
    // Looked at under the lock: an outbox takes a partition for good under it.
    if (newestCommit(partitionPath(root, topic, claimed.partition)) === undefined) return claimed
    remove(claimed.path)
  }
  throw new MillraceError(
    'LEASE_HELD',
    `each of the ${partitions} partitions of topic ${topic} of the embedded log has a writer: write another topic`,
  )
}

/** `owner` null: one that shares no name with any, not with itself either. */
function take(path: string, owner: string | null): boolean {
  const own = `${processIdentity()}\n${owner ?? ''}`
  const mine = owner === null ? undefined : own
  if (createExclusive(path, own)) return true
  if (!isLeft(readText(path), mine)) return false
  const takeover = `${path}.takeover`
  if (!createExclusive(takeover, own)) {
    // Somebody else is at it, unless it died there.
    if (isLeft(readText(takeover), mine)) remove(takeover)
    return false
  }
  try {
    // It may have been taken over, or given back, since it was looked at.
    const holder = readText(path)
    if (holder !== undefined && !isLeft(holder, mine)) return false
    remove(path)
    return createExclusive(path, own)
  } finally {
    remove(takeover)
  }
}

/** Whether a lock's holder is gone, or is who asks. */
function isLeft(holder: string | undefined, own: string | undefined): boolean {
  return (own !== undefined && holder === own) || !isRunning(holder?.split('\n')[0] ?? '')
}
