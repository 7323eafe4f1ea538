/**
 * Broadcast state: a map that every subtask of an operator holds the same of, because every subtask is sent every
 * record that changes it.
 *
 * Small by nature: it is written whole when it changed.
 */
import type { MapKey } from './keys.ts'

/** Entries by key. */
export class BroadcastStore {
  readonly entries = new Map<MapKey, unknown>()
  /** Changed since the last checkpoint. */
  changed = false

  get(key: MapKey): unknown {
    return this.entries.get(key)
  }

  set(key: MapKey, value: unknown): void {
    this.entries.set(key, value)
    this.changed = true
  }

  delete(key: MapKey): void {
    if (this.entries.delete(key)) this.changed = true
  }
}
