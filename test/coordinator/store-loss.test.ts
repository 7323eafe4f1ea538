/** A live job whose store has lost data takes its lease again, and leaves the job to another process that keeps it. */
import { describe, expect, it } from 'vitest'
import { fencedError } from '../../src/checkpoint/store-errors.ts'
import { reclaimStore, type StoreLoss } from '../../src/coordinator/store-loss.ts'
import { MillraceError } from '../../src/core/errors.ts'

/** A lease that another process holds for the first `denials` times that it is asked for. */
async function reclaim(denials: number): Promise<{ readonly owned: readonly string[]; readonly checkpoints: number }> {
  const owned: string[] = []
  let checkpoints = 0
  const lease = {
    acquire: async (onWaiting: (heldBy: string) => void) => {
      for (let i = 0; i < denials && owned.length === 0; i++) onWaiting('other')
      if (owned.length > 0) throw new MillraceError('CANCELLED', 'not wanted any more')
    },
  }
  const loss = {
    ports: { store: { storeId: async () => 'new' }, log: () => {}, scheduler: {} },
    lease,
    memory: { lastCheckpointId: 7, storeId: 'old' },
    run: {
      spec: { plan: { jobName: 'shop' } },
      rewriteAll: () => {},
      checkpoint: async () => {
        checkpoints++
      },
    },
    wanted: () => owned.length === 0,
    listener: { storeRecord: async () => {} },
    onOwned: (error: MillraceError) => owned.push(`${error.code} ${error.message}`),
  }
  await reclaimStore(loss as unknown as StoreLoss)
  return { owned, checkpoints }
}

describe('a store that has lost data under a live job', () => {
  it('is written again when the lease that it remembers runs out', async () => {
    expect(await reclaim(3)).toEqual({ owned: [], checkpoints: 1 })
  })

  it('is left to another process that keeps the lease', async () => {
    const { owned, checkpoints } = await reclaim(10)
    expect(owned).toEqual([expect.stringMatching(/^STORE_FENCED .*other owns the job now/)])
    expect(checkpoints).toBe(0)
  })

  it('is told from a new owner by the generation: that only rises', () => {
    expect(fencedError('shop', 3, 2)).toMatchObject({ code: 'STORE_LOST' })
    expect(fencedError('shop', 3, 3)).toMatchObject({ code: 'STORE_FENCED' })
    expect(fencedError('shop', 3, 4)).toMatchObject({ code: 'STORE_FENCED' })
    expect(fencedError('shop', 3, undefined)).toMatchObject({ code: 'STORE_FENCED' })
  })
})
