/**
 * What a store directory knows of a job beside its checkpoints: `definition-1`, `definition-2`, ..., of which the highest
 * counts. `definition`, without a number, is that of older versions of the program, and comes before all others.
 *
 * Owns: replacing one by the next so that of several who do it at once one wins. A number is taken by making its file,
 * which fails when it is there. The highest is never removed, only those below it are; so whoever makes a number that
 * had been removed again finds a higher one beside it, takes his back, and nobody has ever read it.
 */
import { join } from 'node:path'
import type { DirectoryFiles } from './directory-files.ts'
import { sameBytes } from './store-errors.ts'

const pattern = /^definition(?:-(\d{1,15}))?$/

/** The definition that counts. */
export interface NumberedDefinition {
  /** -1 when there is none. */
  readonly number: number
  readonly bytes: Uint8Array | undefined
}

/** Whether a file of a job's directory is a definition. */
export function isDefinition(name: string): boolean {
  return pattern.test(name)
}

/** The definition in the directory of a job. Rejects with STORE_UNREACHABLE. */
export async function readDefinition(files: DirectoryFiles, directory: string): Promise<NumberedDefinition> {
  for (;;) {
    const number = (await numbers(files, directory)).at(-1) ?? -1
    if (number < 0) return { number, bytes: undefined }
    const bytes = await files.read(join(directory, nameOf(number)))
    // Gone between the two calls: there is a higher one, or the job has been deleted.
    if (bytes !== undefined) return { number, bytes }
  }
}

/** See CheckpointStore.swapJob. Rejects with STORE_UNREACHABLE. */
export async function swapDefinition(
  files: DirectoryFiles,
  directory: string,
  before: Uint8Array | undefined,
  bytes: Uint8Array,
): Promise<boolean> {
  await files.makeDirectory(directory)
  const there = await readDefinition(files, directory)
  if (sameBytes(there.bytes, bytes)) return true
  if (!sameBytes(there.bytes, before)) return false
  const next = Math.max(1, there.number + 1)
  if (!(await files.create(join(directory, nameOf(next)), bytes))) return false
  const all = await numbers(files, directory)
  if (all.at(-1)! > next) {
    await files.remove(directory, [nameOf(next)])
    return false
  }
  await files.remove(directory, all.filter((number) => number < next).map(nameOf))
  return true
}

async function numbers(files: DirectoryFiles, directory: string): Promise<readonly number[]> {
  const names = (await files.list(directory)).filter(isDefinition)
  return names.map((name) => Number(pattern.exec(name)?.[1] ?? 0)).sort((a, b) => a - b)
}

function nameOf(number: number): string {
  return number === 0 ? 'definition' : `definition-${number}`
}
