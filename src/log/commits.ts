/**
 * How far a partition is committed that one outbox writes: a chain of small files beside its segments.
 *
 *   <partition>/<sequence, 20 digits>.commit          JSON, created once, never changed
 *   <partition>/<sequence>-<base offset>.segment      what the owner of that sequence writes, before its first commit
 *
 * Owns: who may commit, what readers may see. Does not own: records (outbox-partition.ts). The partition has no lock: an
 * owner that stands still for an hour and wakes up must do no harm.
 * Invariants:
 * 1. A commit is created by link(2), so of two with one number only one ever exists. Taking over is a commit too: the
 *    owner before finds its next number taken, whenever it gets there.
 * 2. The truth is the commit with the highest number; what is created below it has no effect. The first one stays, as
 *    the sign that the partition has commits, and so does the one before the newest: a folder is not listed in one step.
 * 3. An owner writes only to files of its own. They get names as other segments have after the commit that lists them,
 *    and are found under both; a commit carries on the names that the one before may not have given.
 * 4. Readers stop at `end`, and at the base of the next segment: behind that, a segment may hold what an owner that was
 *    replaced has written in vain.
 */
import { join } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import {
  createDurably,
  type FileHandle,
  linkFile,
  listNames,
  openToRead,
  readText,
  remove,
  syncDirectory,
} from './log-files.ts'
import { segmentPath, segmentsIn } from './segments.ts'

const FORMAT_VERSION = 1

/** Who may commit. */
export interface CommitOwner {
  readonly jobId: string
  readonly generation: number
  readonly nonce: string
}

/** The newest epoch that is in the partition. */
export interface CommitMarker {
  readonly jobId: string
  readonly generation: number
  readonly epoch: number
}

/** One commit. */
export interface Commit {
  readonly sequence: number
  /** Whose partition it is, for ever: job and sink. */
  readonly writer: string
  readonly owner: CommitOwner
  /** Null before the first epoch. */
  readonly marker: CommitMarker | null
  /** Offset after the last record that readers may see. */
  readonly end: number
  /** Segments that this commit, or the one before, has made: their base offsets and the files that hold them. */
  readonly segments: readonly { readonly base: number; readonly file: string }[]
}

/** The numbers of the commits among the names of a partition's folder, ascending. */
function sequencesIn(names: readonly string[]): number[] {
  const found: number[] = []
  for (const name of names) if (/^\d{20}\.commit$/.test(name)) found.push(Number(name.slice(0, 20)))
  return found.sort((a, b) => a - b)
}

function commitPath(directory: string, sequence: number): string {
  return join(directory, `${String(sequence).padStart(20, '0')}.commit`)
}

/** The newest commit of a partition; undefined for one that no outbox writes. `names` saves listing the folder. */
export function newestCommit(
  directory: string,
  names: readonly string[] | undefined = listNames(directory),
): Commit | undefined {
  let sequences = sequencesIn(names ?? [])
  for (;;) {
    const newest = sequences.at(-1)
    if (newest === undefined) return undefined
    const path = commitPath(directory, newest)
    const text = readText(path)
    if (text !== undefined) return parseCommit(path, newest, text)
    // A newer one has taken its place since the folder was listed.
    sequences = sequencesIn(listNames(directory) ?? [])
  }
}

function parseCommit(path: string, sequence: number, text: string): Commit {
  let parsed: Partial<Commit> & { readonly version?: unknown }
  try {
    parsed = JSON.parse(text) as typeof parsed
  } catch (cause) {
    throw new MillraceError('LOG_CORRUPT', `${path} is not JSON; restore it from a copy`, { cause })
  }
  const { version, writer, owner, marker = null, end, segments } = parsed
  if (version !== FORMAT_VERSION) {
    throw new MillraceError(
      'LOG_CORRUPT',
      `${path} has format version ${JSON.stringify(version)}; this release reads ${FORMAT_VERSION}`,
    )
  }
  if (writer === undefined || owner === undefined || end === undefined || segments === undefined) {
    throw new MillraceError('LOG_CORRUPT', `${path} lacks a writer, an owner, an end or its segments`)
  }
  return { sequence, writer, owner, marker, end, segments }
}

/** A partition as readers see it. */
export interface PartitionView {
  /** Undefined for one that no outbox writes. */
  readonly commit: Commit | undefined
  /** Base offsets of the segments, ascending. */
  readonly segments: readonly number[]
}

/** What readers see of a partition now; undefined when there is none. */
export function viewPartition(directory: string): PartitionView | undefined {
  const names = listNames(directory)
  if (names === undefined) return undefined
  const named = segmentsIn(names)
  const commit = newestCommit(directory, names)
  const unnamed = commit?.segments.map(({ base }) => base).filter((base) => !named.includes(base)) ?? []
  return { commit, segments: unnamed.length === 0 ? named : [...named, ...unnamed].sort((a, b) => a - b) }
}

/** Opens a segment to read, under either of its names; undefined when it has just got the other, or is gone. */
export function openSegment(directory: string, base: number, commit: Commit | undefined): FileHandle | undefined {
  const file = openToRead(segmentPath(directory, base))
  const own = commit?.segments.find((segment) => segment.base === base)
  return file === undefined && own !== undefined ? openToRead(join(directory, own.file)) : file
}

/** Creates a commit; false when its number is taken or passed: somebody else owns the partition. */
export function createCommit(directory: string, commit: Commit): boolean {
  const { sequence, ...rest } = commit
  if (!createDurably(commitPath(directory, sequence), `${JSON.stringify({ version: FORMAT_VERSION, ...rest })}\n`)) {
    return false
  }
  // One that was taken over long ago finds its number free again: what had it is gone.
  if (sequencesIn(listNames(directory) ?? []).at(-1) !== sequence) return false
  publishSegments(directory, commit)
  return true
}

/** Gives the segments of a commit the names that readers look for, durably; what has one keeps it. */
export function publishSegments(directory: string, { sequence, segments }: Commit): void {
  for (const { base, file } of segments) linkFile(join(directory, file), segmentPath(directory, base))
  if (segments.length > 0) syncDirectory(directory)
  for (const { file } of segments) remove(join(directory, file))
  for (const old of sequencesIn(listNames(directory) ?? []))
    if (old > 1 && old < sequence - 1) remove(commitPath(directory, old))
}

/** Name of the file in which the owner of `sequence` writes the segment that begins at `base`. */
export function ownFile(sequence: number, base: number): string {
  return `${sequence}-${base}.segment`
}

/** Removes the files that owners before `sequence` have left. */
export function removeForeignFiles(directory: string, sequence: number): void {
  for (const name of listNames(directory) ?? []) {
    const match = /^(\d+)-\d+\.segment$/.exec(name)
    if (match !== null && Number(match[1]) < sequence) remove(join(directory, name))
  }
}
