/** The Lua scripts of the Redis store: one file an operation, read from beside this one. */
import { readFileSync } from 'node:fs'

/** A script of src/checkpoint/lua, by the name of its file. */
export type ScriptName =
  | 'acquire-lease'
  | 'renew-lease'
  | 'release-lease'
  | 'publish-manifest'
  | 'delete-checkpoint'
  | 'swap-definition'

/** A script as the client wants it. */
export interface RedisScript {
  readonly name: ScriptName
  readonly lua: string
  /** How many of its arguments, the first ones, are keys. */
  readonly keyCount: number
}

const keyCounts: Readonly<Record<ScriptName, number>> = {
  'acquire-lease': 2,
  'renew-lease': 2,
  'release-lease': 2,
  'publish-manifest': 2,
  'delete-checkpoint': 2,
  'swap-definition': 1,
}

/** Reads all scripts. */
export function loadScripts(): readonly RedisScript[] {
  return Object.entries(keyCounts).map(([name, keyCount]) => ({
    name: name as ScriptName,
    lua: readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8'),
    keyCount,
  }))
}
