/** Reads the blobs of a savepoint, and refuses those that are not what was written. */
import { crc32c } from '../event/crc32c.ts'
import { corruptSavepoint, type Savepoint } from './savepoint.ts'
import type { SavepointReader } from './store.ts'

/** A reader over `read`, which gives undefined for a blob that is not there. `what` names the savepoint in messages. */
export function blobReader(
  savepoint: Savepoint,
  what: string,
  read: (name: string) => Promise<Uint8Array | undefined>,
): SavepointReader {
  const blobs = new Map(savepoint.blobs.map((blob) => [blob.name, blob]))
  return {
    savepoint,
    readChunk: async (name) => {
      const blob = blobs.get(name)
      if (blob === undefined) return undefined
      const bytes = await read(name)
      if (bytes === undefined) throw corruptSavepoint(what, `${name} is missing`)
      if (bytes.length !== blob.sizeBytes) {
        throw corruptSavepoint(what, `${name} has ${bytes.length} bytes instead of ${blob.sizeBytes}`)
      }
      if (crc32c(bytes) !== blob.crc) throw corruptSavepoint(what, `the checksum of ${name} is wrong`)
      return bytes
    },
  }
}
