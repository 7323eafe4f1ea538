import { describe, expect, it } from 'vitest'
import type { ThreadListener } from '../../src/coordinator/thread-hub.ts'
import { makeWorld } from './support/world.ts'

function listen(): ThreadListener & { messages: string[]; lost: string[] } {
  const messages: string[] = []
  const lost: string[] = []
  return {
    messages,
    lost,
    onMessage: (thread, message) => messages.push(`${thread} ${message.type}`),
    onThreadLost: (thread, error) => lost.push(`${thread} ${error.code}`),
  }
}

const dispose = { type: 'dispose', job: 1, attempt: 1 } as const

describe('ThreadHub', () => {
  it('routes messages to the job they belong to', async () => {
    const { hub, scheduler } = makeWorld()
    const [one, two] = [listen(), listen()]
    hub.attach(1, one)
    const detach = hub.attach(2, two)
    hub.send(0, dispose)
    hub.send(1, { ...dispose, job: 2 })
    await scheduler.runFor(50)
    expect(one.messages).toEqual(['0 disposed'])
    expect(two.messages).toEqual(['1 disposed'])
    detach()
    hub.send(1, { ...dispose, job: 2 })
    await scheduler.runFor(50)
    expect(two.messages).toHaveLength(1)
  })

  it('tells every job of a lost thread, once, and takes its replacement in', async () => {
    const { hub, workers, scheduler } = makeWorld()
    const job = listen()
    hub.attach(1, job)
    workers.threads[1]?.die('test')
    await scheduler.runFor(10)
    expect(job.lost).toEqual(['1 WORKER_LOST'])
    expect(hub.ready()).toEqual([0])
    await scheduler.runFor(100)
    expect(hub.ready()).toEqual([0, 1])
  })

  it('fences a thread that has gone silent, and no other', async () => {
    const { hub, workers, scheduler } = makeWorld({ hub: { silentMs: 5000 } })
    const job = listen()
    hub.attach(1, job)
    const silent = workers.threads[0]!
    silent.script.silent = true
    await scheduler.runFor(4000)
    expect(job.lost).toEqual([])
    await scheduler.runFor(4000)
    expect(job.lost).toEqual(['0 WORKER_SILENT'])
    expect(silent.terminated).toBe(true)
    expect(workers.all.filter((thread) => thread.terminated)).toEqual([silent])
    expect(hub.ready()).toEqual([0, 1])
  })

  it('is patient with a thread that deploys', async () => {
    const { hub, workers, scheduler } = makeWorld({ hub: { silentMs: 5000, silentDeployingMs: 60_000 } })
    workers.threads[0]!.script.silent = true
    const release = hub.holdDeadline(0)
    await scheduler.runFor(50_000)
    expect(workers.all).toHaveLength(2)
    release()
    await scheduler.runFor(10_000)
    expect(workers.all).toHaveLength(3)
  })

  it('does not hold its own pauses against threads', async () => {
    const { clock, workers, scheduler } = makeWorld({ hub: { silentMs: 5000 } })
    await scheduler.runFor(3000)
    // The whole process was suspended: no timer ran, no message was taken.
    clock.advance(60_000)
    await scheduler.runFor(3000)
    expect(workers.all).toHaveLength(2)
  })

  it('drops what a lost thread says later', async () => {
    const { hub, workers, scheduler } = makeWorld({ hub: { silentMs: 5000 } })
    const job = listen()
    hub.attach(1, job)
    const old = workers.threads[0]!
    old.say({ type: 'disposed', job: 1, attempt: 1, thread: 0 })
    hub.fence(0, 'test')
    await scheduler.runFor(100)
    expect(job.messages).toEqual([])
    expect(job.lost).toEqual(['0 WORKER_SILENT'])
  })

  it('waits for threads that are being replaced, but not for ever', async () => {
    const { hub, workers, scheduler } = makeWorld()
    workers.replaceAfterMs = 300
    workers.threads[0]?.die('test')
    await scheduler.runFor(10)
    let ready: readonly number[] | undefined
    void hub.whenReady(1000).then((threads) => (ready = threads))
    await scheduler.runUntil(() => ready !== undefined)
    expect(ready).toEqual([0, 1])
    workers.replaceAfterMs = 5000
    workers.threads[1]?.die('test')
    await scheduler.runFor(10)
    ready = undefined
    void hub.whenReady(1000).then((threads) => (ready = threads))
    await scheduler.runUntil(() => ready !== undefined)
    expect(ready).toEqual([0])
  })
})
