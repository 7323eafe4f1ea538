/**
 * Key groups: the unit in which keyed state is owned, moved and rescaled.
 *
 * Arithmetic as Flink's KeyGroupRangeAssignment; the key hash is ours (`core/hash.ts`), because a hash of another
 * language's objects is not portable.
 */
import { invariant } from './errors.ts'

/** Key groups of a job unless it says otherwise. It can never change for existing state. */
export const DEFAULT_KEY_GROUPS = 128

/** Most key groups a job may have. */
export const KEY_GROUPS_MAX = 32_768

/** An inclusive range of key groups; empty when `end < start`. */
export interface KeyGroupRange {
  readonly start: number
  readonly end: number
}

/** The key group of a key hash: murmur's integer mix, its absolute value, modulo `keyGroups`. */
export function keyGroupOf(hash: number, keyGroups: number): number {
  let h = Math.imul(hash, 0xcc9e2d51)
  h = (h << 15) | (h >>> 17)
  h = Math.imul(h, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  h = (Math.imul(h, 5) + 0xe6546b64) | 0
  h ^= 4
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  h ^= h >>> 16
  if (h < 0) h = h === -0x8000_0000 ? 0 : -h
  return h % keyGroups
}

/** The subtask, of `parallelism`, that owns `keyGroup`. */
export function subtaskOf(keyGroup: number, keyGroups: number, parallelism: number): number {
  return Math.floor((keyGroup * parallelism) / keyGroups)
}

/** The key groups that subtask `index` of `parallelism` owns. */
export function keyGroupRangeOf(index: number, keyGroups: number, parallelism: number): KeyGroupRange {
  invariant(index >= 0 && index < parallelism, `subtask ${index} of ${parallelism}`)
  return {
    start: Math.floor((index * keyGroups + parallelism - 1) / parallelism),
    end: Math.floor(((index + 1) * keyGroups - 1) / parallelism),
  }
}
