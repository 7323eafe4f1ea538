import { describe, expect, it } from 'vitest'
import { lossOfCode } from '../../src/coordinator/attempt-threads.ts'
import { watchBuffers } from '../../src/coordinator/buffer-watch.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

/** What was told while the MiB held were `looks`, one a look, bound 100; after them the thread has ended. */
async function told(looks: readonly number[]): Promise<string[]> {
  const scheduler = new ManualScheduler(new ManualClock(), 1)
  const reasons: string[] = []
  const left = [...looks]
  let over = false
  const next = async (): Promise<number> => {
    const held = left.shift()
    if (held !== undefined) return held * 2 ** 20
    over = true
    throw new Error('the thread has ended')
  }
  const cancel = watchBuffers(next, 100 * 2 ** 20, scheduler, (why) => {
    reasons.push(why)
    over = true
  })
  await scheduler.runUntil(() => over, 'all looks')
  cancel()
  return reasons
}

describe('buffers of a thread', () => {
  it('may be above the bound for a moment', async () => {
    expect(await told([100, 150, 150, 90, 150, 150, 100, 0])).toEqual([])
  })

  it('that stay above it are told once', async () => {
    expect(await told([100, 150, 150, 150])).toEqual([
      'reaching memory limit: 150 MiB of buffers outside the heap, of 100 MiB at most',
    ])
  })

  it('far above it are told at once, as a fault of the code', async () => {
    const [why = ''] = await told([250])
    const lost = new MillraceError('WORKER_LOST', `worker thread 1 ended: ${why}`).toData()
    expect(lossOfCode(lost, 'carts')).toMatchObject({ code: 'JOB_CODE_MEMORY' })
  })
})
