import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WorkerPool, type WorkerPoolOptions } from '../../src/coordinator/worker-pool.ts'
import { type ErrorData, MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import type { WorkerPort } from '../../src/runtime/messages.ts'
import type { EchoAnswer, EchoCommand } from './fixtures/echo-worker.ts'

const entry = new URL('./fixtures/echo-worker.ts', import.meta.url)

/** A pool with every join, answer and exit recorded. */
function observe(options: Partial<WorkerPoolOptions> = {}) {
  const lines: string[] = []
  const pool = new WorkerPool({
    threads: 3,
    clock: systemClock,
    scheduler: systemScheduler,
    log: (_level, message) => lines.push(message),
    entry,
    ...options,
  })
  const ports = new Map<number, WorkerPort>()
  const answers: EchoAnswer[] = []
  const exits: { thread: number; error: ErrorData }[] = []
  const joins: number[] = []
  pool.onJoin((port) => {
    joins.push(port.thread)
    ports.set(port.thread, port)
    port.onMessage((message) => answers.push(message as unknown as EchoAnswer))
    port.onExit((error) => {
      exits.push({ thread: port.thread, error })
      ports.delete(port.thread)
    })
  })
  const tell = (thread: number, command: EchoCommand) => ports.get(thread)?.send(command as never)
  return { pool, ports, answers, exits, joins, tell, lines }
}

/** Every thread reaches every other by its direct port, once. */
async function expectFullMesh(seen: ReturnType<typeof observe>, token: string, size = 3) {
  for (let from = 0; from < size; from++) {
    for (let to = 0; to < size; to++) if (from !== to) seen.tell(from, { type: 'ping', peer: to, token })
  }
  const pairs = () =>
    seen.answers
      .filter((answer) => answer.token === token)
      .map((answer) => `${answer.from}>${answer.thread}`)
      .sort()
  await vi.waitFor(() => expect(pairs()).toHaveLength(size * (size - 1)), { timeout: 10_000 })
  expect(new Set(pairs()).size).toBe(size * (size - 1))
}

describe('WorkerPool', () => {
  const pools: WorkerPool[] = []
  let dir = ''
  const started = async (options: Partial<WorkerPoolOptions> = {}) => {
    const seen = observe(options)
    pools.push(seen.pool)
    await seen.pool.start()
    return seen
  }

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-pool-'))
    process.env.MILLRACE_TEST_BOOT_FAIL = join(dir, 'fail')
  })
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.close(2000)))
    delete process.env.MILLRACE_TEST_BOOT_FAIL
    rmSync(dir, { recursive: true, force: true })
  })

  it('starts all threads and wires each pair', async () => {
    const seen = await started()
    expect([...seen.joins].sort()).toEqual([0, 1, 2])
    await expectFullMesh(seen, 'first')
    const threadIds = new Set(seen.answers.map((answer) => answer.threadId))
    expect(threadIds.size).toBe(3)
  })

  it('tells a listener that comes late of the threads that are ready', async () => {
    const pool = new WorkerPool({
      threads: 1,
      clock: systemClock,
      scheduler: systemScheduler,
      log: () => {},
      entry,
    })
    pools.push(pool)
    await pool.start()
    const joins: number[] = []
    pool.onJoin((port) => joins.push(port.thread))
    expect(joins).toEqual([0])
  })

  it('replaces a thread that crashed, with fresh channels to all others', async () => {
    const seen = await started()
    seen.tell(1, { type: 'crash' })
    await vi.waitFor(() => expect(seen.exits).toHaveLength(1), { timeout: 10_000 })
    expect(seen.exits[0]).toMatchObject({ thread: 1, error: { code: 'WORKER_LOST', retry: 'restart' } })
    expect(seen.exits[0]?.error.message).toContain('crash asked for by the test')
    await vi.waitFor(() => expect(seen.joins).toHaveLength(4), { timeout: 10_000 })
    await expectFullMesh(seen, 'after crash')
  })

  it('replaces a thread whose task returned', async () => {
    const seen = await started({ threads: 2 })
    seen.tell(0, { type: 'return' })
    await vi.waitFor(() => expect(seen.joins).toHaveLength(3), { timeout: 10_000 })
    expect(seen.exits[0]?.error.message).toContain('returned')
    await expectFullMesh(seen, 'after return', 2)
  })

  it('terminates a thread that no longer answers', async () => {
    const seen = await started({ threads: 2 })
    const port = seen.ports.get(1)
    seen.tell(1, { type: 'spin' })
    await port?.terminate()
    await vi.waitFor(() => expect(seen.joins).toHaveLength(3), { timeout: 10_000 })
    expect(seen.exits.map((exit) => exit.thread)).toEqual([1])
    await expectFullMesh(seen, 'after terminate', 2)
  })

  it('goes on trying while replacements fail to load, and recovers', async () => {
    const seen = await started({ threads: 2 })
    writeFileSync(join(dir, 'fail'), '')
    seen.tell(0, { type: 'crash' })
    // Two failed loads: Piscina has given up replacing workers by now.
    await vi.waitFor(
      () => expect(seen.lines.filter((line) => line.includes('boot failure')).length).toBeGreaterThan(1),
      {
        timeout: 10_000,
      },
    )
    expect(seen.pool.ready).toBe(1)
    rmSync(join(dir, 'fail'))
    await vi.waitFor(() => expect(seen.pool.ready).toBe(2), { timeout: 15_000 })
    await expectFullMesh(seen, 'after recovery', 2)
    expect(seen.exits.filter((exit) => exit.thread === 1)).toEqual([])
  })

  it('gives up its start when the threads cannot be loaded, and says why', async () => {
    writeFileSync(join(dir, 'fail'), '')
    const seen = observe({ threads: 2 })
    const error = await seen.pool.start().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(MillraceError)
    expect((error as MillraceError).code).toBe('WORKER_LOST')
    expect((error as MillraceError).message).toContain('boot failure')
  })

  it('closes by message, and terminates only what does not return', async () => {
    const seen = await started({ threads: 2 })
    seen.tell(1, { type: 'spin' })
    await seen.pool.close(500)
    expect(seen.exits).toEqual([])
    await seen.pool.close()
  })
})
