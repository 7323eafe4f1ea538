/**
 * A topic of the embedded log: its directory, its id, its partitions.
 *
 *   <root>/<topic>/topic.json                                version, name, topic id, partitions
 *   <root>/<topic>/<partition>.lock                          the process that writes that partition
 *   <root>/<topic>/<partition>/<base offset, 20 digits>.log  record batches v2, exactly as on the wire
 *   <root>/<topic>/<partition>/… .commit, … .segment          where an outbox writes: commits.ts
 *
 * Owns: creating, describing, growing and deleting topics. Does not own: their records (log-writer.ts, segments.ts).
 * Invariant: a topic exists from the moment topic.json is there, with all its partitions; the id is new each time.
 */
import { join } from 'node:path'
import type { Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { listNames, makeDirectory, readText, remove, syncDirectory, writeTextDurably } from './log-files.ts'

const FORMAT_VERSION = 1

/** Most partitions of a topic. */
export const PARTITIONS_MAX = 10_000

/** What topic.json says. */
export interface TopicDescription {
  readonly name: string
  /** A UUID, new for every creation: what tells a re-created topic from the one a position belongs to. */
  readonly topicId: string
  readonly partitions: number
}

/** The directory of a topic. Throws CONFIG_INVALID for a name that no topic can have. */
export function topicPath(root: string, topic: string): string {
  // Kafka's rule, which also keeps a name inside its root.
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(topic) || topic === '.' || topic === '..') {
    throw new MillraceError(
      'CONFIG_INVALID',
      `topic name ${JSON.stringify(topic)} is not allowed: use 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'`,
    )
  }
  return join(root, topic)
}

/** The directory of one partition. */
export function partitionPath(root: string, topic: string, partition: number): string {
  return join(topicPath(root, topic), String(partition))
}

/** The TOPIC_NOT_FOUND error of the embedded log. */
export function logTopicNotFound(root: string, topic: string): MillraceError {
  return new MillraceError(
    'TOPIC_NOT_FOUND',
    `there is no topic ${topic} in the embedded log at ${root}; create it, or check the path and the name`,
  )
}

/** What the topic says of itself, undefined when there is none. Throws LOG_CORRUPT when topic.json is not one. */
export function findTopic(root: string, topic: string): TopicDescription | undefined {
  const path = join(topicPath(root, topic), 'topic.json')
  const text = readText(path)
  if (text === undefined) return undefined
  let parsed: Partial<Record<string, unknown>>
  try {
    parsed = JSON.parse(text) as Partial<Record<string, unknown>>
  } catch (cause) {
    throw new MillraceError('LOG_CORRUPT', `${path} is not JSON; restore it from a copy`, { cause })
  }
  const { version, name, topicId, partitions } = parsed
  if (version !== FORMAT_VERSION) {
    throw new MillraceError(
      'LOG_CORRUPT',
      `${path} has format version ${JSON.stringify(version)}; this release reads ${FORMAT_VERSION}`,
    )
  }
  if (typeof name !== 'string' || typeof topicId !== 'string' || !isPartitionCount(partitions)) {
    throw new MillraceError('LOG_CORRUPT', `${path} lacks a name, a topic id or a number of partitions`)
  }
  return { name, topicId, partitions }
}

/** What the topic says of itself. Throws TOPIC_NOT_FOUND, LOG_CORRUPT. */
export function describeTopic(root: string, topic: string): TopicDescription {
  const found = findTopic(root, topic)
  if (found === undefined) throw logTopicNotFound(root, topic)
  return found
}

/** Creates a topic; its id is drawn from `random`. Throws CONFIG_INVALID when it exists or the numbers are wrong. */
export function createTopic(root: string, topic: string, partitions: number, random: Random): TopicDescription {
  if (!isPartitionCount(partitions)) throw partitionCountWrong(topic, partitions)
  const path = topicPath(root, topic)
  if (findTopic(root, topic) !== undefined) {
    throw new MillraceError('CONFIG_INVALID', `topic ${topic} is already in the embedded log at ${root}`)
  }
  const description = { name: topic, topicId: newUuid(random), partitions }
  writeTopic(root, description, 0)
  syncDirectory(path)
  return description
}

/** Raises the number of partitions; the new ones are empty. Throws CONFIG_INVALID unless it is more than there are. */
export function addPartitions(root: string, topic: string, partitions: number): TopicDescription {
  const old = describeTopic(root, topic)
  if (!isPartitionCount(partitions) || partitions < old.partitions) throw partitionCountWrong(topic, partitions)
  const description = { ...old, partitions }
  writeTopic(root, description, old.partitions)
  return description
}

/** Deletes a topic and its records; nothing to do when there is none. */
export function deleteTopic(root: string, topic: string): void {
  const path = topicPath(root, topic)
  // First what makes it a topic, so that a crash in between leaves none.
  remove(join(path, 'topic.json'))
  remove(path)
}

/** Names of all topics under `root`, sorted. */
export function listTopics(root: string): string[] {
  const names = listNames(root) ?? []
  return names.filter((name) => /^[a-zA-Z0-9._-]{1,249}$/.test(name) && findTopic(root, name) !== undefined).sort()
}

function writeTopic(root: string, description: TopicDescription, from: number): void {
  const { name, topicId, partitions } = description
  for (let partition = from; partition < partitions; partition++) {
    clear(partitionPath(root, name, partition))
    makeDirectory(partitionPath(root, name, partition))
  }
  const text = JSON.stringify({ version: FORMAT_VERSION, name, topicId, partitions }, null, 2)
  writeTextDurably(join(topicPath(root, name), 'topic.json'), `${text}\n`)
}

/** Removes what a crash in the middle of an earlier creation left; refuses a folder with anything else in it. */
function clear(path: string): void {
  const names = listNames(path)
  if (names === undefined) return
  const foreign = names.find((file) => !/^(\d{20}\.(log|commit)|\d+-\d+\.segment)$/.test(file))
  if (foreign !== undefined) {
    throw new MillraceError(
      'CONFIG_INVALID',
      `${path} holds ${JSON.stringify(foreign)}, which is no part of a log: give the topic another name, or the log a folder of its own`,
    )
  }
  remove(path)
}

function isPartitionCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= PARTITIONS_MAX
}

function partitionCountWrong(topic: string, partitions: number): MillraceError {
  return new MillraceError(
    'CONFIG_INVALID',
    `topic ${topic} cannot have ${partitions} partitions: at least one, at most ${PARTITIONS_MAX}, never fewer than before`,
  )
}

/** A random (version 4) UUID. */
function newUuid(random: Random): string {
  const words = Array.from({ length: 4 }, () => random.nextUint32())
  words[1] = (words[1]! & 0xffff0fff) | 0x4000
  words[2] = (words[2]! & 0x3fffffff) | 0x80000000
  const hex = words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
