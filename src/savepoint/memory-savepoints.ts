/** Savepoints in memory, for tests and simulation: what is committed is kept as long as the process. */
import { MillraceError } from '../core/errors.ts'
import { blobReader } from './blob-reader.ts'
import { checkSavepointName, refText, type SavepointRef } from './names.ts'
import { decodeSavepoint } from './savepoint.ts'
import type { SavepointEntry, SavepointReader, SavepointStore, SavepointWriter } from './store.ts'

/** Name of the manifest among the files of a savepoint. */
export const MEMORY_MANIFEST = 'savepoint.binpb'

/** Savepoints by `job/name`, their files by name. */
export class MemorySavepoints implements SavepointStore {
  readonly root = 'memory'
  readonly files = new Map<string, Map<string, Uint8Array>>()

  async create(ref: SavepointRef): Promise<SavepointWriter> {
    checkSavepointName(ref.name)
    const key = refText(ref)
    if (this.files.has(key)) throw savepointExists(ref)
    const files = new Map<string, Uint8Array>()
    return {
      putBlob: async (name, bytes) => void files.set(name, bytes.slice()),
      commit: async (manifest) => {
        if (this.files.has(key)) throw savepointExists(ref)
        files.set(MEMORY_MANIFEST, manifest.slice())
        this.files.set(key, files)
      },
      abandon: async () => {},
    }
  }

  async open(ref: SavepointRef): Promise<SavepointReader> {
    const files = this.files.get(refText(ref))
    const manifest = files?.get(MEMORY_MANIFEST)
    if (files === undefined || manifest === undefined) throw savepointNotFound(ref, this.root)
    const what = `savepoint ${refText(ref)}`
    return blobReader(decodeSavepoint(manifest, what), what, async (name) => files.get(name)?.slice())
  }

  async list(job: string | null): Promise<readonly SavepointEntry[]> {
    const entries: SavepointEntry[] = []
    for (const key of this.files.keys()) {
      const [of = '', name = ''] = key.split('/')
      if (job !== null && of !== job) continue
      entries.push(await entryOf({ job: of, name }, this))
    }
    return entries
  }

  async delete(ref: SavepointRef): Promise<void> {
    if (!this.files.delete(refText(ref))) throw savepointNotFound(ref, this.root)
  }

  pathOf(ref: SavepointRef): string {
    return `${this.root}/${refText(ref)}`
  }
}

/** What a listing says of one savepoint, whatever state it is in. */
export async function entryOf(ref: SavepointRef, store: SavepointStore): Promise<SavepointEntry> {
  const path = store.pathOf(ref)
  try {
    return { ...ref, path, savepoint: (await store.open(ref)).savepoint, problem: '' }
  } catch (thrown) {
    return { ...ref, path, savepoint: null, problem: MillraceError.from(thrown).message }
  }
}

/** SAVEPOINT_EXISTS. */
export function savepointExists(ref: SavepointRef): MillraceError {
  return new MillraceError('SAVEPOINT_EXISTS', `there is a savepoint ${refText(ref)} already`)
}

/** SAVEPOINT_NOT_FOUND. */
export function savepointNotFound(ref: SavepointRef, root: string): MillraceError {
  return new MillraceError('SAVEPOINT_NOT_FOUND', `there is no savepoint ${refText(ref)} in ${root}`)
}
