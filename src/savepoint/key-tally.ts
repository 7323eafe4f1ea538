/** Counts different keys, and rows by key group. Pure. */
import { hashBytes } from '../core/hash.ts'
import { keyGroupOf } from '../core/key-groups.ts'

/** How rows are spread over key groups. */
export interface Spread {
  /** Key groups in all, and those that have a row. */
  readonly groups: number
  readonly used: number
  /** Rows of the emptiest and of the fullest of all groups, and on average. */
  readonly least: number
  readonly most: number
  readonly mean: number
}

/** Different keys are told apart by 53 bits of hash: with ten million keys, one of them is lost in two hundred savepoints. */
export class KeyTally {
  readonly #keys = new Set<number>()
  readonly #rows: Float64Array

  constructor(keyGroups: number) {
    this.#rows = new Float64Array(keyGroups)
  }

  /** A row of `key`, in the key group of `routing`, the part of it that says who owns it. */
  add(key: Uint8Array, routing: Uint8Array): void {
    this.addIn(keyGroupOf(hashBytes(routing, 0, routing.length), this.#rows.length), key)
  }

  /** A row of `key` in a key group that is known. */
  addIn(group: number, key: Uint8Array): void {
    this.#keys.add(hashBytes(key, 0, key.length, 11) * 0x200000 + (hashBytes(key, 0, key.length, 12) & 0x1fffff))
    this.#rows[group]!++
  }

  /** Different keys. */
  get keys(): number {
    return this.#keys.size
  }

  /** How the rows are spread. */
  get spread(): Spread {
    const rows = this.#rows
    const total = rows.reduce((a, b) => a + b, 0)
    return {
      groups: rows.length,
      used: rows.filter((count) => count > 0).length,
      least: rows.length === 0 ? 0 : rows.reduce((a, b) => Math.min(a, b)),
      most: rows.length === 0 ? 0 : rows.reduce((a, b) => Math.max(a, b)),
      mean: rows.length === 0 ? 0 : total / rows.length,
    }
  }
}
