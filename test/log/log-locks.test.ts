import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { processIdentity } from '../../src/log/log-files.ts'
import { claimPartition, lockPartition } from '../../src/log/log-locks.ts'
import { cleanUpAfterEach, newTopic } from './support.ts'

cleanUpAfterEach()

/** No process has this identity: the process has, but it started at another time. */
const GONE = `${process.pid} 1`

const lockOf = (at: { root: string; topic: string }, partition: number) => join(at.root, at.topic, `${partition}.lock`)
const claim = (at: { root: string; topic: string }, owner: string, partitions = 3) =>
  claimPartition(at.root, at.topic, partitions, owner).partition

describe('locks of partitions', () => {
  it('name the process, and are had by one', () => {
    const at = newTopic(3)
    expect(lockPartition(at.root, at.topic, 0)).toBe(lockOf(at, 0))
    expect(readFileSync(lockOf(at, 0), 'utf8').split('\n')[0]).toBe(processIdentity())
    expect(() => lockPartition(at.root, at.topic, 0)).toThrow(expect.objectContaining({ code: 'LEASE_HELD' }))
  })

  it('of processes that are gone are taken over, also when the next owner died taking over', () => {
    const at = newTopic(3)
    writeFileSync(lockOf(at, 0), `${GONE}\na`)
    writeFileSync(`${lockOf(at, 0)}.takeover`, `${GONE}\nb`)
    expect(() => lockPartition(at.root, at.topic, 0)).toThrow(expect.objectContaining({ code: 'LEASE_HELD' }))
    expect(() => lockPartition(at.root, at.topic, 0)).not.toThrow()
  })
})

describe('a claim', () => {
  it('gets what its owner left, then what nobody has, then what others left', () => {
    const at = newTopic(3)
    writeFileSync(lockOf(at, 0), `${GONE}\na`)
    writeFileSync(lockOf(at, 1), `${GONE}\nb`)
    expect(claim(at, 'b')).toBe(1)
    expect(claim(at, 'c')).toBe(2)
    expect(claim(at, 'd')).toBe(0)
    expect(() => claim(at, 'e')).toThrow(/each of the 3 partitions .* has a writer/)
  })

  it('is one of many at the same moment, and no two get the same partition', async () => {
    const at = newTopic(8)
    for (let partition = 0; partition < 8; partition++) writeFileSync(lockOf(at, partition), `${GONE}\nold${partition}`)
    const locks = new URL('../../src/log/log-locks.ts', import.meta.url).href
    const code = `
      import { parentPort, workerData } from 'node:worker_threads'
      import { claimPartition } from '${locks}'
      const { root, topic, thread, gate } = workerData
      Atomics.wait(new Int32Array(gate), 0, 0)
      const claimed = []
      for (let i = 0; i < 2; i++) {
        for (let tries = 0; ; tries++) {
          try {
            claimed.push(claimPartition(root, topic, 8, thread + '/' + i).partition)
            break
          } catch (error) {
            if (tries === 100) throw error
          }
        }
      }
      parentPort.postMessage(claimed)`
    const gate = new SharedArrayBuffer(4)
    const threads = [0, 1, 2, 3].map(
      (thread) =>
        new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
          workerData: { ...at, thread, gate },
        }),
    )
    const claims = threads.map(
      (worker) =>
        new Promise<number[]>((done, failed) => {
          worker.once('message', done)
          worker.once('error', failed)
        }),
    )
    await Promise.all(threads.map((worker) => new Promise((done) => worker.once('online', done))))
    Atomics.store(new Int32Array(gate), 0, 1)
    Atomics.notify(new Int32Array(gate), 0)
    const claimed = (await Promise.all(claims)).flat()
    expect(claimed.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})
