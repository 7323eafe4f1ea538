/** The Lua scripts of the Redis store and of the Redis sink: one file an operation, read from beside this one. */
import { readFileSync } from 'node:fs'

/** A script of src/checkpoint/lua, by the name of its file. */
export type ScriptName =
  | 'acquire-lease'
  | 'renew-lease'
  | 'release-lease'
  | 'publish-manifest'
  | 'delete-checkpoint'
  | 'swap-definition'
  | 'outbox-open'
  | 'outbox-apply'

/** A script as the client wants it. */
export interface RedisScript {
  readonly name: ScriptName
  readonly lua: string
  /** How many of its arguments, the first ones, are keys; null where each call says so. */
  readonly keyCount: number | null
}

const keyCounts: Readonly<Record<ScriptName, number | null>> = {
  'acquire-lease': 2,
  'renew-lease': 2,
  'release-lease': 2,
  'publish-manifest': 2,
  'delete-checkpoint': 2,
  'swap-definition': 1,
  'outbox-open': 1,
  'outbox-apply': null,
}

/** Whether each call of a script says how many keys it has. */
export function isVariadic(name: ScriptName): boolean {
  return keyCounts[name] === null
}

/** Reads all scripts. */
export function loadScripts(): readonly RedisScript[] {
  return Object.entries(keyCounts).map(([name, keyCount]) => ({
    name: name as ScriptName,
    lua: readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8'),
    keyCount,
  }))
}
