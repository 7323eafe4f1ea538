/** Savepoints as the coordinator makes them, and jobs that begin from them, while things fail around it. */
import { describe, expect, it } from 'vitest'
import { decodeManifest } from '../../src/checkpoint/manifest.ts'
import { JobManager } from '../../src/coordinator/job-manager.ts'
import { JobSavepoints } from '../../src/coordinator/job-savepoints.ts'
import { decodeStoredJob } from '../../src/coordinator/stored-job.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import type { SavepointWriter } from '../../src/savepoint/store.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type WorldOptions } from './support/world.ts'

const TOTAL = 3200
const unbounded = makeDefinition({ source: { ...makeDefinition().source, bounded: false } })
const from = (savepoint: string, more: { claim?: boolean; dropState?: string[] } = {}) => ({
  ...{ savepoint, claim: false, dropState: [] },
  ...more,
})

async function server(options: WorldOptions = {}) {
  const world = makeWorld(options)
  const planJob = (of: JobDefinition) => makePlan(of, of.metrics.length === 0 ? 'hash-1' : 'hash-2')
  const manager = new JobManager({ ports: world.ports, planJob, settings: quickSettings })
  const savepoints = new JobSavepoints(manager, world.ports)
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false
    const mark = () => {
      done = true
    }
    promise.then(mark, mark)
    await world.scheduler.runUntil(() => done, 'a promise')
    return promise
  }
  const job = (name = 'engagement') => manager.job(name).coordinator
  const t = {
    ...world,
    ...{ manager, jobSavepoints: savepoints, files: world.savepoints.files, settle, job },
    reach: (state: string, name?: string) =>
      world.scheduler.runUntil(() => job(name).status.state === state, `${state}, at ${job(name).status.reason}`),
    completed: (count: number) => {
      const until = job().history.completed + count
      return world.scheduler.runUntil(() => job().history.completed >= until, `${count} more checkpoints`)
    },
    submit: async (definition: JobDefinition, wish = null as ReturnType<typeof from> | null) => {
      const start = wish === null ? null : await savepoints.start(wish, definition)
      return settle(manager.submit(definition, 'text', null, start))
    },
    trigger: (name: string) => settle(savepoints.trigger('engagement', name)),
    stored: async (name = 'engagement') => decodeStoredJob(name, (await world.store.readJob(name))!),
  }
  await settle(manager.recover())
  return t
}

async function running() {
  const t = await server()
  await t.submit(unbounded)
  await t.reach('RUNNING')
  await t.completed(1)
  return t
}

/** Makes every write of a savepoint wait or fail. */
function onBlob(t: Awaited<ReturnType<typeof server>>, act: () => Promise<void>): void {
  const create = t.savepoints.create.bind(t.savepoints)
  t.savepoints.create = async (ref): Promise<SavepointWriter> => {
    const writer = await create(ref)
    return {
      ...writer,
      putBlob: async (name, bytes) => {
        await act()
        await writer.putBlob(name, bytes)
      },
    }
  }
}

describe('a savepoint', () => {
  it('is of a checkpoint of its own, and its copy in the store goes like any other', async () => {
    const t = await running()
    const made = await t.trigger('one')
    expect(made.savepoint?.checkpoint).toMatchObject({ kind: 'savepoint', jobName: 'engagement' })
    const id = made.savepoint!.checkpoint.checkpointId
    expect(await t.store.listCheckpoints('engagement')).toContain(id)
    await t.completed(3)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
    expect(await t.store.listCheckpoints('engagement')).not.toContain(id)
    expect(await t.settle(t.jobSavepoints.list('engagement'))).toHaveLength(1)
  })

  it('stays in the store while it is copied, though the attempt dies and others follow', async () => {
    const t = await running()
    const gate = Promise.withResolvers<void>()
    onBlob(t, () => gate.promise)
    const made = t.jobSavepoints.trigger('engagement', 'slow')
    await t.completed(4)
    const held = (await t.store.listCheckpoints('engagement'))[0]!
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(3)
    t.workers.threads[0]!.die('test')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    await t.completed(4)
    expect((await t.store.listCheckpoints('engagement'))[0]).toBe(held)
    gate.resolve()
    expect((await t.settle(made)).savepoint?.checkpoint.checkpointId).toBe(held)
    await t.completed(3)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it('stays in the store until the last of those that copy it is done', async () => {
    const t = await running()
    const gate = Promise.withResolvers<void>()
    const create = t.savepoints.create.bind(t.savepoints)
    t.savepoints.create = async (ref): Promise<SavepointWriter> => {
      const writer = await create(ref)
      const putBlob: SavepointWriter['putBlob'] = async (name, bytes) => {
        if (ref.name === 'slow') await gate.promise
        await writer.putBlob(name, bytes)
      }
      return { ...writer, putBlob }
    }
    // Asked for while a checkpoint is in flight, or one right after the other: all get the next one.
    t.manager.checkpoint('engagement').catch(() => undefined)
    const slow = t.jobSavepoints.trigger('engagement', 'slow')
    const quick = await t.trigger('quick')
    const held = quick.savepoint!.checkpoint.checkpointId
    await t.completed(4)
    expect(await t.store.listCheckpoints('engagement')).toContain(held)
    gate.resolve()
    expect((await t.settle(slow)).savepoint?.checkpoint.checkpointId).toBe(held)
    await t.completed(3)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it('that fails is an answer: the job goes on, and the next one works', async () => {
    const t = await running()
    let fails = true
    onBlob(t, async () => {
      if (fails) throw new MillraceError('SAVEPOINT_FAILED', 'the disk is full')
    })
    await expect(t.trigger('one')).rejects.toMatchObject({ code: 'SAVEPOINT_FAILED', message: 'the disk is full' })
    expect(t.job().status).toMatchObject({ state: 'RUNNING', restarts: 0, error: null })
    expect(t.files.size).toBe(0)
    fails = false
    await t.trigger('one')
    await t.completed(3)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it('whose checkpoint fails does not count against the job', async () => {
    const t = await running()
    for (const thread of t.workers.threads) thread.script.decline = 'INTERNAL'
    // Periodic checkpoints would count: none is due before this one has ended.
    const failed = t.jobSavepoints.trigger('engagement', 'one')
    await expect(t.settle(failed)).rejects.toMatchObject({ code: 'SAVEPOINT_FAILED' })
    for (const thread of t.workers.threads) thread.script.decline = undefined
    await t.completed(1)
    expect(t.job().status).toMatchObject({ state: 'RUNNING', restarts: 0 })
  })

  it('of a chunk that the store has lost is refused, and names it', async () => {
    const t = await running()
    t.data.fault = (operation, when) => {
      if (operation === 'publishManifest' && when === 'after') t.data.job('engagement').chunks.clear()
    }
    await expect(t.trigger('one')).rejects.toThrow(/chunk engagement\/\S+ is not in the store any more/)
    expect(t.files.size).toBe(0)
    expect(t.job().status.state).toBe('RUNNING')
  })

  it('is refused where there is nothing to make one of, under a name that is taken, and by one that is none', async () => {
    const t = await running()
    await t.trigger('one')
    await expect(t.trigger('one')).rejects.toMatchObject({ code: 'SAVEPOINT_EXISTS' })
    await expect(t.trigger('../one')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    t.workers.threads[0]!.die('test')
    await t.reach('RESTARTING')
    await expect(t.trigger('two')).rejects.toMatchObject({ code: 'JOB_STATE' })
    const stop = t.jobSavepoints.stop('engagement', { savepoint: 'two', drain: false })
    await expect(t.settle(stop)).rejects.toThrow(/stopping with a savepoint is not possible now/)
    await t.settle(t.manager.cancel('engagement'))
    await expect(t.trigger('two')).rejects.toMatchObject({ code: 'JOB_STATE' })
    await expect(t.settle(t.jobSavepoints.trigger('nobody', ''))).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
  })
})

describe('a stop with a savepoint', () => {
  it('whose savepoint fails has stopped all the same, says so, and can be saved later', async () => {
    const t = await running()
    let fails = true
    onBlob(t, async () => {
      if (fails) throw new MillraceError('SAVEPOINT_FAILED', 'the disk is full')
    })
    const stop = t.jobSavepoints.stop('engagement', { savepoint: 'one', drain: false })
    await expect(t.settle(stop)).rejects.toThrow(
      /job engagement has stopped with checkpoint \d+, from which it can go on, but without a savepoint: the disk is full/,
    )
    expect(t.job().status).toMatchObject({ state: 'SUSPENDED', error: null })
    fails = false
    expect((await t.trigger('one')).savepoint?.reason).toBe('savepoint')
  })

  it('while the last checkpoint of a bounded job is being made waits for that one', async () => {
    const t = await server()
    await t.submit(makeDefinition())
    await t.reach('FINISHING')
    const stopped = await t.settle(t.jobSavepoints.stop('engagement', { savepoint: 'end', drain: true }))
    expect(stopped.savepoint?.savepoint?.checkpoint.checkpointId).toBe(stopped.checkpointId)
    expect(t.job().status.state).toBe('SUSPENDED')
  })

  it('that drains lets the sources end first', async () => {
    const t = await running()
    await t.settle(t.jobSavepoints.stop('engagement', { savepoint: null, drain: true }))
    expect(t.job().status).toMatchObject({ state: 'SUSPENDED', error: null })
    for (const thread of t.workers.threads) {
      const types = thread.received.map(({ type }) => type)
      expect(types.lastIndexOf('barrier')).toBeGreaterThan(types.indexOf('drain'))
    }
  })
})

describe('a job that begins from a savepoint', () => {
  it('has its state under its own keys, as its first checkpoint, and reads the rest', async () => {
    const t = await running()
    await t.trigger('one')
    await t.settle(t.manager.cancel('engagement'))
    const next = await server({ beside: t, instanceId: 'b', seed: 5 })
    const bounded = makeDefinition({ name: 'other' })
    await next.submit(bounded, from('engagement/one'))
    const [first = 0] = await t.store.listCheckpoints('other')
    const manifest = decodeManifest((await t.store.readManifest('other', first))!, 'it')
    expect(manifest).toMatchObject({ jobName: 'other', checkpointId: 1, kind: 'checkpoint' })
    expect(manifest.jobId).toBe((await next.stored('other')).jobId)
    await next.reach('FINISHED', 'other')
    expect(next.job('other').restored?.checkpointId).toBe(1)
    expect(next.workers.counted(next.job('other').number)).toBe(TOTAL)
  })

  it('lets go of what the name had before, and does not take over a job that runs', async () => {
    const t = await running()
    await t.trigger('one')
    await expect(t.submit(unbounded, from('one'))).rejects.toThrow(/is RUNNING and cannot begin from a savepoint/)
    await t.completed(2)
    await t.settle(t.manager.stop('engagement'))
    const before = await t.stored()
    await t.submit(unbounded, from('one'))
    await t.reach('RUNNING')
    expect((await t.stored()).jobId).not.toBe(before.jobId)
    await t.completed(3)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it('leaves nothing half when it fails or crashes in the middle', async () => {
    const t = await running()
    await t.trigger('one')
    await t.settle(t.manager.stop('engagement'))
    const before = await t.stored()
    for (const failing of ['putChunk', 'publishManifest', 'swapJob'] as const) {
      t.data.fault = (operation, when) => {
        if (operation === failing && when === (failing === 'publishManifest' ? 'after' : 'before')) {
          throw new MillraceError('STORE_UNREACHABLE', `no ${failing}`)
        }
      }
      await expect(t.submit(unbounded, from('one'))).rejects.toThrow(`no ${failing}`)
      t.data.fault = undefined
      expect(await t.stored()).toEqual(before)
    }
    // As after a crash: another process finds the job as it was, goes on, and clears away what was left.
    await t.settle(t.manager.close())
    const next = await server({ beside: t, seed: 9 })
    await next.submit(unbounded)
    await next.reach('RUNNING')
    expect(next.job().jobId).toBe(before.jobId)
    await next.completed(3)
    const kept = await t.store.listCheckpoints('engagement')
    expect(kept).toHaveLength(2)
    for (const id of kept) {
      const manifest = decodeManifest((await t.store.readManifest('engagement', id))!, 'it')
      expect(manifest.jobId).toBe(before.jobId)
    }
    expect((await t.store.listChunks('engagement')).filter((key) => key.includes('.import.'))).toEqual([])
  })

  it('is refused with state that does not fit, before anything is written', async () => {
    const t = await running()
    await t.trigger('one')
    const groups = { ...unbounded, name: 'changed', keyGroups: 64 }
    await expect(t.submit(groups, from('engagement/one'))).rejects.toMatchObject({
      code: 'STATE_INCOMPATIBLE',
      message: expect.stringMatching(/savepoint engagement\/one does not fit the job: job keyGroups: there are 128/),
    })
    expect(await t.store.listChunks('changed')).toEqual([])
    await expect(t.submit(unbounded, from('none'))).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' })
    await expect(
      t.submit({ ...unbounded, name: 'changed' }, from('engagement/one', { dropState: ['nothing'] })),
    ).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
  })

  it('waits for nobody: a lease of another server is said', async () => {
    const t = await running()
    await t.trigger('one')
    await t.store.acquireLease('other', 'somebody', 'nonce', 60_000)
    await expect(t.submit({ ...unbounded, name: 'other' }, from('engagement/one'))).rejects.toThrow(
      /somebody owns job other now/,
    )
  })
})

describe('a claimed savepoint', () => {
  it('goes once the job has a checkpoint of its own, and not before', async () => {
    const t = await running()
    await t.trigger('one')
    await t.settle(t.manager.cancel('engagement'))
    const slow = { ...unbounded, checkpoint: { ...unbounded.checkpoint, everyMs: 5000 } }
    await t.submit(slow, from('one', { claim: true }))
    await t.reach('RUNNING')
    await t.scheduler.runFor(3000)
    expect([...t.files.keys()]).toEqual(['engagement/one'])
    expect((await t.stored()).claims).toBe('engagement/one')
    await t.completed(1)
    await t.scheduler.runUntil(() => t.files.size === 0, 'the savepoint to go')
    await t.scheduler.runFor(100)
    expect(await t.stored()).not.toHaveProperty('claims')
  })

  it('is remembered over a crash of the server', async () => {
    const t = await running()
    await t.trigger('one')
    await t.settle(t.manager.cancel('engagement'))
    const slow = { ...unbounded, checkpoint: { ...unbounded.checkpoint, everyMs: 5000 } }
    await t.submit(slow, from('one', { claim: true }))
    await t.reach('RUNNING')
    await t.settle(t.manager.close())
    const next = await server({ beside: t, seed: 9 })
    await next.reach('RUNNING')
    expect(t.files.size).toBe(1)
    await next.completed(1)
    await next.scheduler.runUntil(() => t.files.size === 0, 'the savepoint to go')
  })
})
