/**
 * Files that survive a crash: the few operations the directory store is made of.
 *
 * Owns: writing a file so that it is there whole or not at all, and errors. A file is written under a temporary name,
 * synced, then renamed (replace) or linked (create if absent) into place, then its directory is synced. A crash leaves
 * the old state or the new one, and at most a temporary file, which `removeTemporary` finds by its name.
 *
 * A temporary file may be removed by another process that cleans up; whoever wrote it then writes it again.
 */
import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MillraceError } from '../core/errors.ts'

const TEMPORARY = '.tmp-'
/** Writes of one file before another's cleaning is taken for something else. */
const ATTEMPTS_MAX = 5

let temporaryCount = 0

/** File operations of one store. `tag` (unique per opener) keeps temporary names of different openers apart. */
export class DirectoryFiles {
  readonly root: string
  readonly #tag: string
  readonly #sync: boolean

  constructor(root: string, tag: string, sync: boolean) {
    this.root = root
    this.#tag = tag
    this.#sync = sync
  }

  /** The path of a name within the store. */
  path(...names: readonly string[]): string {
    return join(this.root, ...names)
  }

  /** Makes a directory and its parents, durably. */
  async makeDirectory(path: string): Promise<void> {
    await this.guard('create directory', path, async () => {
      const first = await mkdir(path, { recursive: true })
      if (first === undefined) return
      // Every new entry is made durable in its parent, from the innermost up to the first that existed.
      for (let at = path; ; at = dirname(at)) {
        await this.#syncDirectory(dirname(at))
        if (at === first || dirname(at) === at) return
      }
    })
  }

  /** Puts `bytes` at `path`, replacing what was there. The directory must exist. */
  async replace(path: string, bytes: Uint8Array): Promise<void> {
    await this.#place('write', path, bytes, async (temporary) => {
      await rename(temporary, path)
      return true
    })
  }

  /** Puts `bytes` at `path` unless something is there; says whether it did. Of several at once one wins. */
  async create(path: string, bytes: Uint8Array): Promise<boolean> {
    return this.#place('create', path, bytes, async (temporary) => {
      try {
        await link(temporary, path)
        return true
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
        return false
      } finally {
        await rm(temporary, { force: true })
      }
    })
  }

  /** The bytes of a file, or undefined when there is none. */
  async read(path: string): Promise<Uint8Array | undefined> {
    return this.guard('read', path, async () => {
      try {
        return await readFile(path)
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw error
      }
    })
  }

  /** Names in a directory, temporary ones left out; none when it does not exist. */
  async list(path: string): Promise<readonly string[]> {
    return (await this.#entries(path)).filter((name) => !name.startsWith(TEMPORARY))
  }

  /** Removes files of one directory durably; those that are not there are no error. */
  async remove(directory: string, names: readonly string[]): Promise<void> {
    await this.guard('delete from', directory, async () => {
      let removed = false
      for (const name of names) {
        try {
          await unlink(join(directory, name))
          removed = true
        } catch (error) {
          if (!isAbsent(error)) throw error
        }
      }
      if (removed) await this.#syncDirectory(directory)
    })
  }

  /** Renames a file or directory, durably at both ends; one that is not there is no error. */
  async move(from: string, to: string): Promise<void> {
    await this.guard('move', from, async () => {
      try {
        await rename(from, to)
      } catch (error) {
        if (!isAbsent(error)) throw error
      }
      await this.#syncDirectory(dirname(to))
      await this.#syncDirectory(dirname(from))
    })
  }

  /** Gives a file a second name, durably. Neither a name that is taken nor a file that is gone is an error. */
  async linkInto(from: string, to: string): Promise<void> {
    await this.guard('link', from, async () => {
      try {
        await link(from, to)
      } catch (error) {
        if (!isAbsent(error) && errnoOf(error) !== 'EEXIST') throw error
      }
      await this.#syncDirectory(dirname(to))
    })
  }

  /** Removes a directory with everything in it, durably. */
  async removeTree(path: string): Promise<void> {
    await this.guard('delete', path, async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 5 })
      await this.#syncDirectory(dirname(path))
    })
  }

  /** Removes what crashed writers left in a directory. */
  async removeTemporary(path: string): Promise<void> {
    const names = (await this.#entries(path)).filter((name) => name.startsWith(TEMPORARY))
    await this.remove(path, names)
  }

  /** Runs `act`, turning what the file system throws into STORE_UNREACHABLE with what was tried. */
  async guard<T>(what: string, path: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      if (error instanceof MillraceError) throw error
      const message = error instanceof Error ? error.message : String(error)
      throw new MillraceError(
        'STORE_UNREACHABLE',
        `checkpoint directory: cannot ${what} ${path}: ${message}. Check that the disk is there, writable and not full`,
        { cause: error },
      )
    }
  }

  async #entries(path: string): Promise<readonly string[]> {
    return this.guard('list', path, async () => {
      try {
        return await readdir(path)
      } catch (error) {
        if (isAbsent(error)) return []
        throw error
      }
    })
  }

  async #place(
    what: string,
    path: string,
    bytes: Uint8Array,
    put: (temporary: string) => Promise<boolean>,
  ): Promise<boolean> {
    return this.guard(what, path, async () => {
      for (let attempt = 1; ; attempt++) {
        const directory = dirname(path)
        const temporary = join(directory, `${TEMPORARY}${this.#tag}-${++temporaryCount}`)
        try {
          await this.#write(temporary, bytes)
          const done = await put(temporary)
          // Synced also when another was first: who is told "it exists" may rely on it.
          await this.#syncDirectory(directory)
          return done
        } catch (error) {
          await rm(temporary, { force: true }).catch(() => undefined)
          if (!isAbsent(error) || attempt >= ATTEMPTS_MAX) throw error
        }
      }
    })
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await open(path, 'wx')
    try {
      await file.writeFile(bytes)
      if (this.#sync) await file.sync()
    } finally {
      await file.close()
    }
  }

  async #syncDirectory(path: string): Promise<void> {
    if (!this.#sync) return
    let directory: FileHandle
    try {
      directory = await open(path, 'r')
    } catch (error) {
      // Removed by another process: its removal made the parent durable.
      if (isAbsent(error)) return
      throw error
    }
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

function isAbsent(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT'
}
