/**
 * Descriptor sets in the server's folder of schemas: the only files that a job definition may name.
 *
 * Owns: that nothing outside the folder is read, whatever the path says, and no file that is too large.
 */
import { open, realpath } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import { DESCRIPTOR_BYTES_MAX } from '../event/descriptor-index.ts'

/** Reads a descriptor set by its path in `folder`. Rejects SCHEMA_NOT_FOUND, DESCRIPTOR_INVALID. */
export async function readSchemaFile(folder: string, path: string): Promise<Uint8Array> {
  if (isAbsolute(path) || path.split(/[\\/]/).includes('..') || path.includes('\0')) {
    throw notFound(path, folder, 'the path must be relative and stay inside the folder of schemas')
  }
  let file: Awaited<ReturnType<typeof open>>
  try {
    const root = await realpath(folder)
    const real = await realpath(resolve(root, path))
    const inside = relative(root, real)
    if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
      throw notFound(path, folder, 'it leads out of the folder of schemas')
    }
    file = await open(real, 'r')
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw notFound(path, folder, 'there is no such file')
  }
  try {
    const { size } = await file.stat()
    if (size > DESCRIPTOR_BYTES_MAX) {
      throw new MillraceError(
        'DESCRIPTOR_INVALID',
        `descriptor set "${path}" has ${size} bytes; at most ${DESCRIPTOR_BYTES_MAX} are allowed`,
      )
    }
    return await file.readFile()
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw notFound(path, folder, 'it is no file')
  } finally {
    await file.close()
  }
}

function notFound(path: string, folder: string, why: string): MillraceError {
  return new MillraceError(
    'SCHEMA_NOT_FOUND',
    `descriptor set "${path}" cannot be read from ${folder} (MILLRACE_SCHEMA_DIR): ${why}`,
  )
}
