/**
 * Savepoints as folders on disk: `<root>/<job>/<name>/savepoint.binpb` and blobs beside it.
 *
 * Owns: paths, and that a savepoint is there whole or not at all. It is written into a folder of another name: blobs, each
 * synced, then the manifest, then the folder is synced and renamed into place and its parent synced. A crash leaves at
 * most a folder whose name begins with `.making-`, which nothing takes for a savepoint and the next savepoint of the job
 * removes once it is a day old.
 *
 * What is followed by name stays inside: names have no separators (names.ts), and a link in the place of a savepoint or of
 * a job's folder is refused.
 */
import { lstat, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { blobReader } from './blob-reader.ts'
import { entryOf, savepointExists, savepointNotFound } from './memory-savepoints.ts'
import { checkSavepointName, isSavepointName, refText, type SavepointRef } from './names.ts'
import { corruptSavepoint, decodeSavepoint } from './savepoint.ts'
import type { SavepointEntry, SavepointReader, SavepointStore, SavepointWriter } from './store.ts'

/** Name of the manifest in the folder of a savepoint. */
export const MANIFEST_FILE = 'savepoint.binpb'

const MAKING = '.making-'
const LEFTOVER_MS = 86_400_000
const MANIFEST_BYTES_MAX = 1 << 30

/** Savepoints in the folder `root`. `tag` tells this process from others that write there. */
export class SavepointFiles implements SavepointStore {
  readonly root: string
  readonly #tag: string
  readonly #clock: Clock
  #made = 0

  constructor(root: string, tag: string, clock: Clock) {
    this.root = root
    this.#tag = tag
    this.#clock = clock
  }

  pathOf(ref: SavepointRef): string {
    return join(this.root, ref.job, ref.name)
  }

  async create(ref: SavepointRef): Promise<SavepointWriter> {
    checkSavepointName(ref.name)
    checkSavepointName(ref.job)
    const path = this.pathOf(ref)
    const parent = dirname(path)
    return guard('make', path, async () => {
      await makeFolder(parent)
      await this.#checkFolder(parent, ref)
      if (await exists(path)) throw savepointExists(ref)
      await this.#removeLeftovers(parent)
      const making = join(parent, `${MAKING}${ref.name}-${this.#tag}-${++this.#made}`)
      await mkdir(making)
      return new FolderWriter(ref, making, path)
    })
  }

  async open(ref: SavepointRef): Promise<SavepointReader> {
    if (!isSavepointName(ref.job) || !isSavepointName(ref.name)) throw savepointNotFound(ref, this.root)
    const path = this.pathOf(ref)
    await this.#checkFolder(dirname(path), ref)
    await this.#checkFolder(path, ref)
    return openSavepointFolder(path, `savepoint ${refText(ref)}`, () => savepointNotFound(ref, this.root))
  }

  async list(job: string | null): Promise<readonly SavepointEntry[]> {
    const entries: SavepointEntry[] = []
    for (const of of job === null ? await namesIn(this.root) : [job]) {
      if (!isSavepointName(of)) continue
      for (const name of await namesIn(join(this.root, of))) {
        const ref = { job: of, name }
        if (isSavepointName(name) && (await exists(join(this.pathOf(ref), MANIFEST_FILE)))) {
          entries.push(await entryOf(ref, this))
        }
      }
    }
    return entries
  }

  async delete(ref: SavepointRef): Promise<void> {
    if (!isSavepointName(ref.job) || !isSavepointName(ref.name)) throw savepointNotFound(ref, this.root)
    const path = this.pathOf(ref)
    await this.#checkFolder(dirname(path), ref)
    await this.#checkFolder(path, ref)
    await guard('delete', path, async () => {
      // First out of sight, so that a crash in the middle leaves no half one.
      const gone = join(dirname(path), `${MAKING}${ref.name}-${this.#tag}-${++this.#made}`)
      await rename(path, gone)
      await syncFolder(dirname(path))
      await rm(gone, { recursive: true, force: true, maxRetries: 5 })
    })
  }

  async #checkFolder(path: string, ref: SavepointRef): Promise<void> {
    const stats = await guard('look at', path, async () => lstat(path).catch(absent))
    if (stats === undefined) throw savepointNotFound(ref, this.root)
    if (stats.isDirectory()) return
    throw new MillraceError('SAVEPOINT_NOT_FOUND', `${path} is no folder: links out of ${this.root} are not followed`)
  }

  async #removeLeftovers(parent: string): Promise<void> {
    for (const name of await namesIn(parent)) {
      if (!name.startsWith(MAKING)) continue
      const path = join(parent, name)
      const stats = await stat(path).catch(absent)
      if (stats !== undefined && this.#clock.nowMs() - stats.mtimeMs > LEFTOVER_MS) {
        await rm(path, { recursive: true, force: true })
      }
    }
  }
}

/** The savepoint in the folder `path`, wherever that is. `notFound` is thrown when it holds none. */
export async function openSavepointFolder(
  path: string,
  what: string,
  notFound: () => MillraceError,
): Promise<SavepointReader> {
  const manifest = await readIn(path, MANIFEST_FILE, what)
  if (manifest === undefined) throw notFound()
  return blobReader(decodeSavepoint(manifest, what), what, (name) => readIn(path, name, what))
}

/** Writes into a folder that is renamed into place at the end. */
class FolderWriter implements SavepointWriter {
  readonly #ref: SavepointRef
  readonly #making: string
  readonly #path: string

  constructor(ref: SavepointRef, making: string, path: string) {
    this.#ref = ref
    this.#making = making
    this.#path = path
  }

  async putBlob(name: string, bytes: Uint8Array): Promise<void> {
    await guard('write', this.#path, () => writeSynced(join(this.#making, name), bytes))
  }

  async commit(manifest: Uint8Array): Promise<void> {
    await guard('write', this.#path, async () => {
      await writeSynced(join(this.#making, MANIFEST_FILE), manifest)
      await syncFolder(this.#making)
      // A rename replaces an empty folder, and nothing else.
      if (await exists(this.#path)) throw savepointExists(this.#ref)
      await rename(this.#making, this.#path).catch((thrown: unknown) => {
        throw errnoOf(thrown) === 'ENOTEMPTY' || errnoOf(thrown) === 'EEXIST' ? savepointExists(this.#ref) : thrown
      })
      await syncFolder(dirname(this.#path))
    })
  }

  async abandon(): Promise<void> {
    await rm(this.#making, { recursive: true, force: true }).catch(() => {})
  }
}

async function readIn(folder: string, name: string, what: string): Promise<Uint8Array | undefined> {
  const path = join(folder, name)
  return guard('read', path, async () => {
    const stats = await lstat(path).catch(absent)
    if (stats === undefined) return undefined
    if (!stats.isFile()) throw corruptSavepoint(what, `${name} is no file`)
    if (stats.size > MANIFEST_BYTES_MAX) throw corruptSavepoint(what, `${name} has ${stats.size} bytes`)
    return readFile(path).catch(absent)
  })
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let at = path; ; at = dirname(at)) {
    await syncFolder(dirname(at))
    if (at === first || dirname(at) === at) return
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function namesIn(path: string): Promise<readonly string[]> {
  return guard('list', path, async () => {
    const entries = (await readdir(path, { withFileTypes: true }).catch(absent)) ?? []
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  })
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(absent)) !== undefined
}

function absent(thrown: unknown): undefined {
  if (errnoOf(thrown) === 'ENOENT' || errnoOf(thrown) === 'ENOTDIR') return undefined
  throw thrown
}

function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined
}

async function guard<T>(what: string, path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    throw new MillraceError(
      'SAVEPOINT_FAILED',
      `cannot ${what} savepoint ${path}: ${message}. Check that the disk is there, writable and not full`,
      { cause: thrown },
    )
  }
}
