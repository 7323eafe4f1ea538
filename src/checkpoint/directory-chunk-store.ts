/**
 * Chunks as files: `jobs/<job>/chunks/<name>` under the store's directory.
 *
 * Owns: nothing but those files; needs no lease and no clock, so that it is light enough for every worker thread.
 */
import { checkJobName, splitChunkKey } from './chunk-key.ts'
import { DirectoryFiles } from './directory-files.ts'
import type { ChunkStore } from './store.ts'
import { closedError } from './store-errors.ts'

/** Directory of everything of a job. */
export function jobDirectory(files: DirectoryFiles, job: string): string {
  checkJobName(job)
  return files.path('jobs', job)
}

/** The chunk half of a directory store. */
export class DirectoryChunkStore implements ChunkStore {
  protected readonly files: DirectoryFiles
  /** Chunk directories known to exist. */
  readonly #made = new Set<string>()
  #closed = false

  /** `tag` must be unique among all openers of the directory. */
  constructor(path: string, tag: string, sync: boolean) {
    this.files = new DirectoryFiles(path, tag, sync)
  }

  async putChunk(key: string, bytes: Uint8Array): Promise<void> {
    this.checkOpen()
    const { job, name } = splitChunkKey(key)
    const directory = this.#directory(job)
    const path = `${directory}/${name}`
    if (this.#made.has(directory)) {
      try {
        await this.files.replace(path, bytes)
        return
      } catch {
        // The job may have been deleted since; whatever else it is, the second try meets it too.
        this.#made.delete(directory)
      }
    }
    await this.files.makeDirectory(directory)
    this.#made.add(directory)
    await this.files.replace(path, bytes)
  }

  async readChunk(key: string): Promise<Uint8Array | undefined> {
    this.checkOpen()
    const { job, name } = splitChunkKey(key)
    return this.files.read(`${this.#directory(job)}/${name}`)
  }

  async deleteChunks(keys: readonly string[]): Promise<void> {
    this.checkOpen()
    const byJob = new Map<string, string[]>()
    for (const key of keys) {
      const { job, name } = splitChunkKey(key)
      const names = byJob.get(job)
      if (names === undefined) byJob.set(job, [name])
      else names.push(name)
    }
    for (const [job, names] of byJob) await this.files.remove(this.#directory(job), names)
  }

  async listChunks(job: string): Promise<readonly string[]> {
    this.checkOpen()
    return (await this.files.list(this.#directory(job))).map((name) => `${job}/${name}`)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** Throws STORE_UNREACHABLE after `close`. */
  protected checkOpen(): void {
    if (this.#closed) throw closedError(this.files.root)
  }

  #directory(job: string): string {
    return `${jobDirectory(this.files, job)}/chunks`
  }
}
