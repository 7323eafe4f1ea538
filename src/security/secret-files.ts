/**
 * Secrets in files: reading them, and noticing that one has changed.
 *
 * Owns: the one place where files of secrets are read. A failure names the setting and the file, never what is in it.
 * Changes are found by asking again, every few seconds: mounted secrets are swapped by links that no watch sees.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'

/** Largest file that is read. */
const FILE_BYTES_MAX = 1024 * 1024

/** The text of a file that `setting` names. CONFIG_INVALID when it cannot be read, is empty or too large. */
export function readSecretFile(path: string, setting: string): string {
  let text: string
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new Error('it is larger than 1 MiB')
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    const { code, message } = thrown as { readonly code?: string; readonly message: string }
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EACCES: 'this user may not read it',
      EISDIR: 'it is a folder',
    }
    throw mistake(setting, path, reasons[code ?? ''] ?? message)
  }
  if (text.trim() === '') throw mistake(setting, path, 'it is empty')
  return text
}

/** A file that holds one secret in one line: without the line's end. CONFIG_INVALID as above. */
export function readSecret(path: string, setting: string): string {
  const secret = readSecretFile(path, setting).replace(/\r?\n$/, '')
  if (/[\r\n]/.test(secret)) throw mistake(setting, path, 'it has more than one line')
  return secret
}

/** The secrets of a folder, by the names of their files; hidden ones are none. CONFIG_INVALID as above. */
export function readSecrets(folder: string, setting: string): Readonly<Record<string, string>> {
  let names: string[]
  try {
    names = readdirSync(folder).filter((name) => !name.startsWith('.'))
  } catch (thrown) {
    throw mistake(setting, folder, (thrown as Error).message)
  }
  return Object.fromEntries(names.map((name) => [name, readSecret(join(folder, name), setting)]))
}

/** CONFIG_INVALID about a file that a setting names. */
export function mistake(setting: string, path: string, reason: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', `${setting}: ${path} is not usable: ${reason}`)
}

/** Calls `changed` whenever one of the files is not as it was; asks every `everyMs`. The answer stops that. */
export function watchFiles(
  paths: readonly string[],
  scheduler: Scheduler,
  everyMs: number,
  changed: () => void,
): Cancel {
  let stopped = false
  let cancel: Cancel = () => {}
  let last: string | null = null
  const look = async (): Promise<void> => {
    const now = (await Promise.all(paths.map(stampOf))).join('\n')
    if (stopped) return
    const before = last
    last = now
    cancel = scheduler.after(everyMs, () => void look())
    if (before !== null && before !== now) changed()
  }
  void look()
  return () => {
    stopped = true
    cancel()
  }
}

/** What changes with a file: also when it is replaced by one of the same age and size. */
async function stampOf(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, ctimeMs, size } = await stat(path)
    return `${ino} ${mtimeMs} ${ctimeMs} ${size}`
  } catch {
    return 'none'
  }
}
