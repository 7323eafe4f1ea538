/**
 * The files of the embedded log: the adapter for `node:fs`, and the only file of the log that touches it.
 *
 * Small reads and writes are synchronous: they go to the page cache and take microseconds. Reading records and flushing
 * to the disk are asynchronous. Whatever fails for a reason of the machine (disk full, permission) is BROKER_ERROR with
 * the path: for a job, the log is its broker.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { MillraceError } from '../core/errors.ts'

/** An open file. */
export type FileHandle = number

function ioError(action: string, path: string, cause: unknown): MillraceError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new MillraceError('BROKER_ERROR', `cannot ${action} ${path} of the embedded log: ${why}`, { cause })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

function attempt<T>(action: string, path: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw ioError(action, path, error)
  }
}

/** Names in a directory, in no order; undefined when there is no such directory. */
export function listNames(path: string): string[] | undefined {
  try {
    return fs.readdirSync(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw ioError('list', path, error)
  }
}

/** Makes a directory and its parents; nothing to do when it is there. */
export function makeDirectory(path: string): void {
  attempt('make', path, () => fs.mkdirSync(path, { recursive: true }))
}

/** Removes a file or a directory with all that is in it; nothing to do when there is none. */
export function remove(path: string): void {
  attempt('remove', path, () => fs.rmSync(path, { recursive: true, force: true }))
}

/** The text of a file; undefined when there is none. */
export function readText(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw ioError('read', path, error)
  }
}

/** Replaces a file whole and durably: after a crash it has the old text or the new. */
export function writeTextDurably(path: string, text: string): void {
  attempt('write', path, () => {
    const fd = fs.openSync(`${path}.new`, 'w')
    try {
      fs.writeFileSync(fd, text)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(`${path}.new`, path)
    syncDirectory(dirname(path))
  })
}

/** Makes names added to or removed from a directory durable. */
export function syncDirectory(path: string): void {
  attempt('sync', path, () => {
    const fd = fs.openSync(path, 'r')
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  })
}

/** Creates a file with `text` unless there is one; false when there is. */
export function createExclusive(path: string, text: string): boolean {
  // By a link to a file that is complete: nobody must see it half written.
  let folder: string | undefined
  try {
    folder = fs.mkdtempSync(`${path}.`)
    fs.writeFileSync(join(folder, 'complete'), text)
    fs.linkSync(join(folder, 'complete'), path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw ioError('create', path, error)
  } finally {
    if (folder !== undefined) fs.rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Creates a file with `text` unless there is one, and makes it durable; false when there is one. Of several at once one
 * wins, and nobody sees it half written.
 */
export function createDurably(path: string, text: string): boolean {
  const folder = dirname(path)
  let temporary: string | undefined
  try {
    temporary = fs.mkdtempSync(join(dirname(folder), '.commit-'))
    const complete = join(temporary, 'complete')
    const fd = fs.openSync(complete, 'w')
    try {
      fs.writeFileSync(fd, text)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.linkSync(complete, path)
    syncDirectory(folder)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error instanceof MillraceError ? error : ioError('create', path, error)
  } finally {
    if (temporary !== undefined) fs.rmSync(temporary, { recursive: true, force: true })
  }
}

/** Gives a file a second name; nothing to do when that name is taken, or the file is gone. */
export function linkFile(from: string, to: string): void {
  try {
    fs.linkSync(from, to)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST' && codeOf(error) !== 'ENOENT') throw ioError('link', to, error)
  }
}

/** Opens a file for reading; undefined when there is none. */
export function openToRead(path: string): FileHandle | undefined {
  try {
    return fs.openSync(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw ioError('open', path, error)
  }
}

/** Opens a file for reading and writing; creates it when there is none. */
export function openToWrite(path: string): FileHandle {
  return attempt('open', path, () => fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644))
}

/** Closes a file. */
export function closeFile(file: FileHandle): void {
  fs.closeSync(file)
}

/** Size of an open file in bytes, as of now. */
export function fileSize(file: FileHandle): number {
  return fs.fstatSync(file).size
}

/** When a file was last written to, epoch ms; undefined when there is none. */
export function modifiedMs(path: string): number | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs
}

/** Reads up to `length` bytes at `position` of the file to `into[at ..]`; returns how many there were. */
export function readNow(file: FileHandle, into: Uint8Array, at: number, length: number, position: number): number {
  return attempt('read', `file ${file}`, () => {
    let done = 0
    while (done < length) {
      const n = fs.readSync(file, into, at + done, length - done, position + done)
      if (n === 0) break
      done += n
    }
    return done
  })
}

/** As `readNow`, later: `done` is called with the bytes read, or -1 and what went wrong. Never calls it at once. */
export function readLater(
  file: FileHandle,
  into: Uint8Array,
  length: number,
  position: number,
  done: (bytesRead: number, error: MillraceError | undefined) => void,
): void {
  fs.read(file, into, 0, length, position, (error, bytesRead) => {
    if (error === null) done(bytesRead, undefined)
    else done(-1, ioError('read', `file ${file}`, error))
  })
}

/** Writes all of `bytes` at `position` of the file. When it throws, some of them may have been written. */
export function writeNow(file: FileHandle, bytes: Uint8Array, position: number, path: string): void {
  attempt('write to', path, () => {
    let done = 0
    while (done < bytes.length) done += fs.writeSync(file, bytes, done, bytes.length - done, position + done)
  })
}

/** Cuts a file to `size` bytes. */
export function truncateFile(file: FileHandle, size: number, path: string): void {
  attempt('truncate', path, () => fs.ftruncateSync(file, size))
}

/** Makes what was written to a file durable, at once. */
export function syncNow(file: FileHandle, path: string): void {
  attempt('sync', path, () => fs.fsyncSync(file))
}

/** Makes what was written to a file durable. */
export function syncLater(file: FileHandle, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(file, (error) => {
      if (error === null) resolve()
      else reject(ioError('sync', path, error))
    })
  })
}

/** A text that names this process among all that ever ran on this machine: its id and, on Linux, when it started. */
export function processIdentity(pid: number = process.pid): string {
  const stat = readText(`/proc/${pid}/stat`)
  // Field 22, counted after the command name, which may hold spaces and ends with the last ')'.
  const startTicks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return startTicks === undefined ? `${pid}` : `${pid} ${startTicks}`
}

/** Whether the process that `identity` names is still running. */
export function isRunning(identity: string): boolean {
  const pid = Number.parseInt(identity, 10)
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: there is such a process, of somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  return processIdentity(pid) === identity
}
