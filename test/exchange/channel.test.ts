import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BatchBuffer } from '../../src/exchange/message.ts'
import { recordingChannels } from './support.ts'

describe('OutputChannels', () => {
  it('never sends more batches than there are credits, and is ready when every channel has one', () => {
    const steps = fc.array(fc.record({ receiver: fc.nat(2), send: fc.boolean() }))
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (all, credits) => {
        const { channels, sent } = recordingChannels(3, credits, 64)
        const out: BatchBuffer[][] = [[], [], []]
        for (const { receiver, send } of all) {
          const flying = out[receiver]!
          expect(channels.hasCredit(receiver)).toBe(flying.length < credits)
          expect(channels.ready).toBe(out.every((buffers) => buffers.length < credits))
          if (send) {
            const buffer = channels.take(64)
            // A buffer is in one place only.
            expect(out.flat().includes(buffer)).toBe(false)
            if (flying.length === credits)
              expect(() => channels.sendBatch(receiver, buffer, 8)).toThrow(/without a credit/)
            else {
              channels.sendBatch(receiver, buffer, 8)
              flying.push(buffer)
            }
          } else if (flying.length > 0) channels.onCredit(receiver, flying.shift()!)
        }
        expect(channels.batchesSent).toBe(sent.length)
      }),
    )
  })

  it('sends marks without credits, on every channel', () => {
    const { channels, sent } = recordingChannels(2, 0, 64)
    channels.broadcast({ kind: 'barrier', checkpointId: 3 })
    channels.broadcast({ kind: 'idle' })
    expect(sent.map(({ receiver, message }) => [receiver, message.kind])).toEqual([
      [0, 'barrier'],
      [1, 'barrier'],
      [0, 'idle'],
      [1, 'idle'],
    ])
  })

  it('reuses buffers of the ordinary size, and makes larger ones when asked', () => {
    const { channels } = recordingChannels(1, 2, 64)
    const large = channels.take(1000)
    expect(large.byteLength).toBe(1000)
    channels.sendBatch(0, large, 1000)
    channels.onCredit(0, large)
    const ordinary = channels.take(64)
    expect(ordinary.byteLength).toBe(64)
    channels.sendBatch(0, ordinary, 64)
    channels.onCredit(0, ordinary)
    expect(channels.take(10)).toBe(ordinary)
  })
})
