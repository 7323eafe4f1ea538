/**
 * Names of savepoints: what one may be, and where one is within the folder of savepoints.
 *
 * Pure. A name becomes a folder, so nothing in it can lead out of another one: letters, digits, `.`, `_` and `-`, not
 * beginning with a dot.
 */
import { MillraceError } from '../core/errors.ts'

const pattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/

/** Which savepoint is meant. */
export interface SavepointRef {
  readonly job: string
  readonly name: string
}

/** A savepoint in messages. */
export function refText({ job, name }: SavepointRef): string {
  return `${job}/${name}`
}

/** Whether a folder of that name can be a savepoint, or a job's folder of them. */
export function isSavepointName(name: string): boolean {
  return pattern.test(name)
}

/** Throws INPUT_INVALID unless `name` can name a savepoint. */
export function checkSavepointName(name: string): void {
  if (isSavepointName(name)) return
  throw new MillraceError(
    'INPUT_INVALID',
    `${JSON.stringify(name)} cannot name a savepoint: use 1 to 128 letters, digits, ".", "_" and "-", no dot first`,
  )
}

/**
 * The savepoint that a person means by `text` when they speak of job `job`: its name, `job/name`, or its path in the
 * folder of savepoints `root`. INPUT_INVALID.
 */
export function parseSavepointRef(text: string, job: string, root: string): SavepointRef {
  const inside = text.startsWith(`${root}/`) ? text.slice(root.length + 1) : text
  const parts = inside.replace(/\/+$/, '').split('/')
  const [first = '', second] = parts
  const ref = second === undefined ? { job, name: first } : { job: first, name: second }
  if (parts.length > 2 || !isSavepointName(ref.job) || !isSavepointName(ref.name)) {
    throw new MillraceError(
      'INPUT_INVALID',
      `${JSON.stringify(text)} does not name a savepoint: give its name, or job/name, of one in the server's folder of ` +
        'savepoints (MILLRACE_SAVEPOINT_DIR)',
    )
  }
  return ref
}

/** The name of a savepoint that nobody has named: when it was made, and of which checkpoint. */
export function defaultSavepointName(nowMs: number, checkpointId: number): string {
  const stamp = new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '').replace('T', '-')
  return `${stamp}-${checkpointId}`
}
