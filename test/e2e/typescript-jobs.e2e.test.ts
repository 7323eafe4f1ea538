/**
 * Jobs in TypeScript on real servers: killed in the middle and right in the end; and jobs whose code hangs, eats memory
 * or throws, which fail alone.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import {
  engineForTest,
  folderForTest,
  submitJob,
  summaryOf,
  untilJob,
  untilRead,
  untilState,
} from '../support/engine.ts'
import { engagementEvents, fillPartitions, makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic, type LogTopic, readLogTopic } from '../support/events-log.ts'
import { countingJob, shippedJob, writeModule } from '../support/job-modules.ts'
import { MillraceServer } from '../support/server-process.ts'

const HOUR_MS = 3_600_000
const PARTITIONS = 4

interface Cart {
  readonly person: string
  readonly openedMs: number
  readonly touchedMs: number
  readonly items: number
}

/** Abandoned carts by definition: the touches and purchases of each person in order of time. */
function expectedCarts(events: readonly SampleEvent[]): string[] {
  const carts = new Map<string, Cart>()
  const left: string[] = []
  const leave = (cart: Cart): number => left.push(`${cart.person} ${cart.openedMs} ${cart.touchedMs} ${cart.items}`)
  for (const { value, timeMs, person } of [...events].sort((a, b) => a.timeMs - b.timeMs)) {
    const event = Event.decode(value!)
    const feature = event.properties.feature?.value
    const added = feature?.$case === 'stringValue' && feature.value === 'add_to_cart'
    if (!added && event.name !== 'purchase') continue
    let cart = carts.get(person)
    if (cart !== undefined && cart.touchedMs + HOUR_MS < timeMs) {
      leave(cart)
      carts.delete(person)
      cart = undefined
    }
    if (event.name === 'purchase') carts.delete(person)
    else {
      const items = (cart?.items ?? 0) + 1
      carts.set(person, { person, openedMs: cart?.openedMs ?? timeMs, touchedMs: timeMs, items })
    }
  }
  for (const cart of carts.values()) leave(cart)
  return left.sort()
}

async function cartsIn(root: string): Promise<string[]> {
  const values = [...(await readLogTopic(root, 'abandoned-carts')).values()].flat()
  const carts = values.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as Cart)
  // What was written since the last checkpoint before a kill is written again.
  return [...new Set(carts.map((c) => `${c.person} ${c.openedMs} ${c.touchedMs} ${c.items}`))].sort()
}

describe('abandoned carts', () => {
  it('are those of the definition, though the server is killed again and again', async () => {
    const folder = folderForTest('jobs')
    const server = await MillraceServer.start({ env: { MILLRACE_JOBS_DIR: folder } })
    const { logRoot } = server
    const topic = createLogTopic(logRoot, 'events', PARTITIONS)
    try {
      const events = engagementEvents()
      const document = writeModule(folder, 'carts.ts', shippedJob('abandoned-carts.ts', logRoot))
      const job = await submitJob(server.client, document)
      const partitions = fillPartitions(events, PARTITIONS, 'hash')
      const steps = 6
      let written = 0
      for (let step = 0; step < steps; step++) {
        const slice = partitions.map((all) =>
          all.slice(Math.floor((all.length * step) / steps), Math.floor((all.length * (step + 1)) / steps)),
        )
        await topic.append(slice)
        written += slice.reduce((sum, part) => sum + part.length, 0)
        if (step % 2 === 0) await untilRead(server.client, job, written)
        else await untilJob(server.client, job, ({ events: counts }) => counts.read > written - 2000)
        await server.kill()
        await server.restart()
        await untilState(server.client, job, 'RUNNING')
      }
      // An event a day later in each partition: every cart is left by then.
      const end = events.at(-1)!.timeMs + 24 * HOUR_MS
      await topic.append(partitions.map((_, i) => [makeEvent({ person: `end-${i}`, timeMs: end })]))
      const last = await untilRead(server.client, job, written + PARTITIONS)
      expect(last.events).toMatchObject({ read: written + PARTITIONS, deadLettered: 0, late: 0 })
      const expected = expectedCarts(events)
      expect(expected.length).toBeGreaterThan(100)
      await untilJob(server.client, job, async () => (await cartsIn(logRoot)).length >= expected.length, 30_000)
      expect(await cartsIn(logRoot)).toEqual(expected)
    } finally {
      await topic.close()
      await server.stop()
    }
  })
})

describe('code that misbehaves', () => {
  const quick = { MILLRACE_JOB_SILENCE: '4s', MILLRACE_JOB_HEAP: '64Mi' }

  async function world(): Promise<{ topic: LogTopic; folder: string; input: object; logRoot: string }> {
    const folder = folderForTest('jobs')
    const logRoot = join(folder, 'log')
    mkdirSync(logRoot)
    const topic = createLogTopic(logRoot, 'events', PARTITIONS)
    return { topic, folder, input: topic.source(), logRoot }
  }

  function somebody(count: number, from: number): SampleEvent[][] {
    const all = Array.from({ length: count }, (_, i) => makeEvent({ person: `p${i % 50}`, timeMs: from + i }))
    return fillPartitions(all, PARTITIONS, 'hash')
  }

  it.each([
    ['loops for ever', 'for (;;) ;', 'JOB_CODE_SILENT', 'loop without end'],
    ['eats memory', "for (;;) kept.push({ some: 'thing', at: kept.length })", 'JOB_CODE_MEMORY', 'MILLRACE_JOB_HEAP'],
    [
      'keeps buffers, which are outside the heap',
      'for (let i = 0; i < 600; i++) kept.push(new Uint8Array(1 << 20).fill(1))',
      'JOB_CODE_MEMORY',
      'outside the heap',
    ],
  ])('%s: its job fails, with a reason, and others go on, as right and as soon', async (_what, code, error, hint) => {
    const { topic, folder, input, logRoot } = await world()
    const { client } = await engineForTest({ env: { ...quick, MILLRACE_JOBS_DIR: folder } })
    const own = join(logRoot, 'good')
    mkdirSync(own)
    const others = createLogTopic(own, 'events', PARTITIONS)
    const reached = join(folder, 'reached')
    const mark = `process.getBuiltinModule('node:fs').writeFileSync(${JSON.stringify(reached)}, '')`
    const bad = writeModule(
      folder,
      'bad.ts',
      countingJob('bad', input, `if (event.person === 'p7') { ${mark}; ${code} }`).replace(
        'path: "bad"',
        `path: ${JSON.stringify(logRoot)}`,
      ),
    )
    const good = writeModule(
      folder,
      'good.ts',
      countingJob('good', others.source()).replace('path: "good"', `path: ${JSON.stringify(own)}`),
    )
    await submitJob(client, good)
    await submitJob(client, bad)
    await untilState(client, 'bad', 'RUNNING')

    const counts = (values: readonly Uint8Array[]): string[] => values.map((bytes) => new TextDecoder().decode(bytes))
    const wanted: string[] = []
    const seen = new Map<string, number>()
    /** Gives the other job 50 events, and waits for its 50 results. */
    const round = async (): Promise<void> => {
      const from = 1000 + wanted.length
      const batch = somebody(50, from)
      for (const { person } of batch.flat()) {
        seen.set(person, (seen.get(person) ?? 0) + 1)
        wanted.push(JSON.stringify({ person, n: seen.get(person) }))
      }
      await others.append(batch)
      await untilJob(client, 'good', async () => {
        const found = [...(await readLogTopic(own, 'out').catch(() => new Map())).values()].flat() as Uint8Array[]
        return found.length >= wanted.length
      })
    }
    await round()
    await topic.append(somebody(1000, 1000))
    let failed = await summaryOf(client, 'bad')
    // Rounds that began and ended while the code of the bad job was at it.
    let beside = 0
    for (let rounds = 0; rounds < 3 || (failed.state !== 'FAILED' && rounds < 600); rounds++) {
      const began = existsSync(reached)
      await round()
      failed = await summaryOf(client, 'bad')
      if (began && failed.state !== 'FAILED') beside++
    }
    expect(failed.state).toBe('FAILED')
    expect(failed.reason).toContain(error)
    expect(failed.reason).toContain(hint)
    const { exceptions } = await client.control.describe('bad')
    expect(exceptions[0]?.code).toBe(error)

    // Nobody waited for the one that hung to be given up.
    if (error === 'JOB_CODE_SILENT') expect(beside).toBeGreaterThan(0)
    const results = counts([...(await readLogTopic(own, 'out')).values()].flat())
    expect(results.toSorted()).toEqual(wanted.toSorted())
    const healthy = await untilRead(client, 'good', wanted.length)
    expect(healthy).toMatchObject({ state: 'RUNNING', attempt: 1, restarts: 0, events: { read: wanted.length } })
    await topic.close()
    await others.close()
  })

  it('throws: its job restarts from its checkpoint, and says where', async () => {
    const { topic, folder, input, logRoot } = await world()
    const { client } = await engineForTest({ env: { ...quick, MILLRACE_JOBS_DIR: folder } })
    const text = countingJob('thrower', input, "if (event.person === 'p7') throw new Error('seven')")
    await submitJob(
      client,
      writeModule(folder, 'thrower.ts', text.replace('path: "thrower"', `path: ${JSON.stringify(logRoot)}`)),
    )
    await topic.append(somebody(1000, 1000))
    const restarted = await untilJob(client, 'thrower', ({ restarts }) => restarts > 0)
    expect(restarted.state).not.toBe('FAILED')
    const { exceptions } = await client.control.describe('thrower')
    expect(exceptions[0]).toMatchObject({ code: 'JOB_CODE_FAILED', operator: 'counts' })
    expect(exceptions[0]?.message).toMatch(/operator counts threw Error: seven \(thrower\.ts:\d+:\d+\)/)
    await topic.close()
  })

  it.each([
    ['leaves the process', 'process.exit(3)', /the code of job leaver ended its thread: .*exit/],
    ['forgets a promise', "void Promise.reject(new Error('not awaited'))", /ended its thread: .*not awaited/],
  ])('%s: only its thread ends, and the reason names the code', async (_what, code, reason) => {
    const { topic, folder, input, logRoot } = await world()
    const { client } = await engineForTest({ env: { ...quick, MILLRACE_JOBS_DIR: folder } })
    const text = countingJob('leaver', input, `if (event.person === 'p7') ${code}`)
    await submitJob(
      client,
      writeModule(folder, 'leaver.ts', text.replace('path: "leaver"', `path: ${JSON.stringify(logRoot)}`)),
    )
    await topic.append(somebody(1000, 1000))
    await untilJob(client, 'leaver', ({ restarts }) => restarts > 0)
    const { exceptions } = await client.control.describe('leaver')
    expect(exceptions[0]?.code).toBe('JOB_CODE_FAILED')
    expect(exceptions[0]?.message).toMatch(reason)
    await topic.close()
  })

  it('is no job: it is refused, and nothing is left behind', async () => {
    const folder = folderForTest('jobs')
    const { client } = await engineForTest({ env: { ...quick, MILLRACE_JOBS_DIR: folder } })
    const refused = async (text: string) =>
      client.control.submit({ kind: 'text', text }).then(
        () => 'taken',
        (error: { code?: string; message?: string }) => `${error.code}: ${error.message}`,
      )
    expect(await refused(writeModule(folder, 'none.ts', 'export const a = 1'))).toMatch(/JOB_INVALID.*is no job/)
    expect(await refused(writeModule(folder, 'broken.ts', 'export default ('))).toMatch(/JOB_INVALID.*cannot load/)
    expect(await refused(writeModule(folder, 'throws.ts', 'throw new Error("at load")'))).toMatch(
      /JOB_INVALID.*at load/,
    )
    const twice = `import { defineJob, Event } from 'millrace'
export default defineJob({ name: 'Twice', source: { input: { log: { path: 'a', topic: 'b' } }, event: Event, time: (e) => e.occurredAt },
  watermark: { outOfOrderness: 'soon' }, build: () => {} })`
    expect(await refused(writeModule(folder, 'twice.ts', twice))).toMatch(/JOB_INVALID.*(DNS label|mistakes)/)
    const away = 'apiVersion: millrace.dev/v1\nkind: TypeScriptJob\nmodule: ../main.ts\n'
    expect(await refused(away)).toMatch(/JOB_INVALID.*is no module/)
    expect(await refused(away.replace('../main', 'missing'))).toMatch(/JOB_INVALID.*no such file/)
    expect(await client.control.list()).toEqual([])
  })
})
