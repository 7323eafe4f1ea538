/**
 * A checkpoint store that is opened by its first use, for a server that starts while its store is away.
 *
 * Owns: opening once and again until it succeeds. Does not own: waiting (callers have their own rhythm), or what a store
 * does. Every call rejects with what opening fails with; after it has succeeded the store looks after its connection.
 */

import type { CheckpointStore } from './store.ts'
import { closedError } from './store-errors.ts'

/** A store behind `open`, which is called by the first call and, for as long as it rejects, by each later one. */
export function lazyCheckpointStore(kind: string, open: () => Promise<CheckpointStore>): CheckpointStore {
  let opening: Promise<CheckpointStore> | undefined
  let closed = false
  let opened: CheckpointStore | undefined
  const store = async (): Promise<CheckpointStore> => {
    if (closed) throw closedError(kind)
    opening ??= open().then(
      (store) => {
        opened = store
        return store
      },
      (error: unknown) => {
        opening = undefined
        throw error
      },
    )
    return opening
  }
  return {
    putChunk: async (...args) => (await store()).putChunk(...args),
    readChunk: async (...args) => (await store()).readChunk(...args),
    deleteChunks: async (...args) => (await store()).deleteChunks(...args),
    listChunks: async (...args) => (await store()).listChunks(...args),
    acquireLease: async (...args) => (await store()).acquireLease(...args),
    renewLease: async (...args) => (await store()).renewLease(...args),
    releaseLease: async (...args) => (await store()).releaseLease(...args),
    publishManifest: async (...args) => (await store()).publishManifest(...args),
    listCheckpoints: async (...args) => (await store()).listCheckpoints(...args),
    readManifest: async (...args) => (await store()).readManifest(...args),
    deleteCheckpoint: async (...args) => (await store()).deleteCheckpoint(...args),
    swapJob: async (...args) => (await store()).swapJob(...args),
    readJob: async (...args) => (await store()).readJob(...args),
    deleteJob: async (...args) => (await store()).deleteJob(...args),
    listJobs: async () => (await store()).listJobs(),
    storeId: async () => (await store()).storeId(),
    get connection() {
      return opened?.connection ?? 0
    },
    describe: async () => (await store()).describe(),
    close: async () => {
      closed = true
      await opening?.catch(() => undefined)
      await opened?.close()
    },
  }
}
