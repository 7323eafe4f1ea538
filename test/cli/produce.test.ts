import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Config } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { Event, EventKind } from '../../src/gen/millrace/v1/event.ts'
import { LogSourceEnumerator } from '../../src/source/log-enumerator.ts'
import { LogSourceReader } from '../../src/source/log-source.ts'
import { ReadLoop } from '../source/contract.ts'
import { CliHarness } from '../support/cli.ts'
import { someSummary } from '../support/fakes/control.ts'

let cli: CliHarness
let folder: string

beforeEach(() => {
  cli = new CliHarness()
  folder = mkdtempSync(join(tmpdir(), 'millrace-produce-'))
})

afterEach(async () => {
  await cli.close()
  rmSync(folder, { recursive: true, force: true })
})

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

interface Produced {
  readonly partition: number
  readonly key: string
  readonly timestampMs: number
  readonly event: Event
}

/** All events of a topic of the log, partition by partition. */
async function readBack(root: string, topic: string): Promise<Produced[]> {
  const enumerator = new LogSourceEnumerator(root, topic)
  const reader = new LogSourceReader({ root, topic, clock: systemClock, scheduler: systemScheduler })
  const loop = new ReadLoop(reader)
  const partitions = await enumerator.partitions()
  for (const partition of partitions) loop.assign(partition, partition.earliest)
  await loop.toEnd()
  await reader.close()
  await enumerator.close()
  return partitions.flatMap(({ partition }) =>
    loop.of(partition).map((record) => ({
      partition,
      key: Buffer.from(record.key ?? '', 'hex').toString(),
      timestampMs: record.timestampMs,
      event: Event.decode(Buffer.from(record.value ?? '', 'hex')),
    })),
  )
}

const clicks =
  'who,what,when,where\nu2,view,2024-03-01 10:00:02,web\nu1,buy,2024-03-01 10:00:01,ios\nu2,view,2024-03-01 10:00:01,web\n'
const mapping = [
  '-m',
  'event_id=#row',
  '-m',
  'person=who',
  '-m',
  'name=what',
  '-m',
  'occurred_at=when',
  '-m',
  'platform=where',
]

describe('produce', () => {
  it('writes the rows of a file by a mapping, with ids from row numbers', async () => {
    const log = join(folder, 'log')
    const path = file('clicks.csv.gz', gzipSync(clicks))
    const { code, stdout, stderr } = await cli.run('produce', path, '--log', log, '-t', 'events', ...mapping)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^wrote 3 events \(\d+ B\) to topic events of the embedded log in .*, [\d,]+ events\/s\n$/)
    const produced = await readBack(log, 'events')
    expect(produced).toHaveLength(3)
    const first = produced.find(({ event }) => event.eventId === 'row-00000001')
    expect(first).toMatchObject({ key: 'u2', timestampMs: Date.UTC(2024, 2, 1, 10, 0, 2) })
    expect(first?.event).toMatchObject({
      person: 'u2',
      name: 'view',
      platform: 'web',
      kind: EventKind.EVENT_KIND_TRACK,
    })
    const byPerson = new Map<string, Set<number>>()
    for (const { key, partition } of produced) byPerson.set(key, (byPerson.get(key) ?? new Set()).add(partition))
    for (const partitions of byPerson.values()) expect(partitions.size).toBe(1)
  })

  it('sorts by time, keeping the order of the file among equals, and adds to a topic that is there', async () => {
    const log = join(folder, 'log')
    const path = file('clicks.csv', clicks)
    const args = ['produce', path, '--log', log, '-t', 'events', '--partitions', '1', '--sort-by-time', ...mapping]
    expect((await cli.run(...args)).code).toBe(0)
    expect((await cli.run(...args, '--limit', '1')).code).toBe(0)
    const ids = (await readBack(log, 'events')).map(({ event }) => event.eventId)
    expect(ids).toEqual(['row-00000002', 'row-00000003', 'row-00000001', 'row-00000001'])
  })

  it('sorts the rows of one large array', async () => {
    const log = join(folder, 'log')
    const rows = Array.from({ length: 150_000 }, (_, i) => ({
      who: 'u',
      what: 'v',
      when: 1_700_000_000 - i,
      where: '',
    }))
    const path = file('clicks.json', JSON.stringify(rows))
    const args = ['produce', path, '--log', log, '-t', 'events', '--sort-by-time', ...mapping]
    expect(await cli.run(...args)).toMatchObject({ code: 0, stderr: '' })
  })

  it('reads the mapping, the file and the target from a job', async () => {
    const log = join(folder, 'log')
    const job = file(
      'job.yaml',
      `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: clicks }
sources: [{ id: events, log: { path: ${log}, topic: clicks } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
metrics: [{ id: views, count: {}, window: { tumbling: 1m } }]
sample:
  file: data.jsonl
  format: json
  timezone: Europe/Berlin
  columns: { event_id: id, person: who, name: what, occurred_at: when }
  names: { view: { name: page_view, kind: page, screen: home, properties: { feature: x } } }
`,
    )
    file('data.jsonl', '{"id":"a","who":"u1","what":"view","when":"2024-07-01 12:00:00"}\n')
    const { code, stdout, stderr } = await cli.run('produce', '--job', job, '-o', 'json')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ rows: 1, events: 1, bad: 0 })
    const [produced] = await readBack(log, 'clicks')
    expect(produced?.event).toMatchObject({ name: 'page_view', screen: 'home', kind: EventKind.EVENT_KIND_PAGE })
    expect(produced?.timestampMs).toBe(Date.UTC(2024, 6, 1, 10))
  })

  it('stops at the first bad row, or leaves bad rows out and counts them', async () => {
    const path = file('bad.csv', 'who,what,when\nu1,view,2024-03-01\nu1,view,soon\n,view,2024-03-01\n')
    const log = join(folder, 'log')
    const args = ['produce', path, '--log', log, '-t', 'events', '-m', 'person=who', '-m', 'occurred_at=when']
    const strict = await cli.run(...args)
    expect(strict.code).toBe(3)
    expect(strict.stderr).toContain('bad.csv:3: row 2: "soon" in occurred_at is no time')
    rmSync(log, { recursive: true, force: true })
    const { code, stdout, stderr } = await cli.run(...args, '--skip-bad')
    expect(code).toBe(0)
    expect(stdout).toContain('wrote 1 events')
    expect(stderr).toContain('bad.csv:4: the row has no person')
    expect(stderr).toContain('left out 2 of 3 rows')
  })

  it.each([
    [['--log', 'x', '-t', 'events'], 'name a data file'],
    [['x.csv', '-t', 'events', '--log', 'x'], 'nothing maps to person'],
    [['x.csv', '-m', 'person=a', '-m', 'occurred_at=b'], 'name the topic'],
    [['x.csv', '-m', 'person=a', '-m', 'occurred_at=b', '-t', 'events'], 'say where the topic is'],
    [['x.csv', '-m', 'nope=a'], 'nope is not a field of an event'],
    [['x.dat', '-m', 'person=a', '-m', 'occurred_at=b', '-t', 'e', '--log', 'x'], 'give --format'],
    [['x.csv', '-m', 'person=a', '-m', 'occurred_at=b', '-t', 'e', '--brokers', 'x'], 'is not host:port'],
    [['x.csv', '-m', 'person=a', '-m', 'occurred_at=b', '--timezone', 'Mars/Base'], 'no IANA time zone'],
  ])('answers %j with 2', async (args, message) => {
    const { code, stderr } = await cli.run('produce', ...args)
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })

  it('keeps the rate, and ends on Ctrl-C with what it wrote', async () => {
    cli.tty = true
    const rows = Array.from({ length: 500 }, (_, index) => `u${index},view,2024-03-01,web\n`).join('')
    const path = file('many.csv', `who,what,when,where\n${rows}`)
    const log = join(folder, 'log')
    const running = cli.run('produce', path, '--log', log, '-t', 'events', '--rate', '100', ...mapping)
    await vi.waitFor(() => expect(cli.stderr.text).toContain('events written'))
    cli.signal()
    const { code, stdout } = await running
    expect(code).toBe(130)
    const wrote = Number(/wrote (\d+) events/.exec(stdout)?.[1])
    expect(wrote).toBeGreaterThan(0)
    expect(wrote).toBeLessThan(500)
    expect(await readBack(log, 'events')).toHaveLength(wrote)
  })
})

describe('demo', () => {
  const csv =
    'user_id,session_id,event,timestamp,platform\nu1,s1,home,2024-03-01 10:00:00,web\nu2,s2,purchase,2024-03-01 10:01:00,ios\n'

  function job(): string {
    file('shop.csv', csv)
    return file(
      'job.yaml',
      `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: engagement }
sources: [{ id: events, log: { path: elsewhere, topic: x } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
metrics: [{ id: page_views, count: {}, window: { tumbling: 1m } }]
sinks: [{ id: out, log: { path: elsewhere, topic: y } }]
late: { log: { path: elsewhere, topic: z } }
sample:
  file: shop.csv
  format: csv
  columns: { event_id: { row: true }, person: user_id, name: event, occurred_at: timestamp, platform: platform }
`,
    )
  }

  beforeEach(() => {
    cli.env.MILLRACE_DATA_DIR = folder
    const submit = cli.control.submit
    cli.control.submit = async (document) => {
      const summary = await submit(document)
      const events = {
        read: 2,
        applied: 2,
        late: 0,
        deadLettered: 0,
        filtered: 0,
        lost: 0,
        deduplicated: 0,
        dedupeForgotten: 0,
      }
      cli.control.jobs.set('engagement', { summary: { ...someSummary('engagement'), events }, text: '' })
      return summary
    }
  })

  it('replays, settles, shows the newest values and how to go on, and exits 0', async () => {
    const { code, stdout, stderr } = await cli.run('demo', '--job', job())
    expect(stderr).toMatch(/^serving gRPC on 127\.0\.0\.1:\d+; state in .*demo\n$/)
    expect(code).toBe(0)
    expect(stdout).toContain('engagement: 2 events in')
    expect(stdout).toContain('2 read, 2 applied, 0 late, 0 dead-lettered, 0 filtered')
    expect(stdout).toMatch(/page_views +2024-03-13 10:00–11:00 +ios +42 +final/)
    expect(stdout).toContain(`MILLRACE_DATA_DIR=${join(folder, 'demo')} millrace serve`)
    expect(stdout).toContain('millrace query engagement/active_users --latest --limit 7\n')
    const sent = cli.control.submitted[0]
    const document = sent?.kind === 'text' ? JSON.parse(sent.text) : {}
    const path = join(folder, 'demo', 'log')
    expect(document).toMatchObject({
      sources: [{ id: 'events', log: { path, topic: 'events' } }],
      sinks: [{ id: 'out', log: { path, topic: 'metrics' } }],
      late: { log: { path } },
    })
    expect((await readBack(path, 'events')).map(({ event }) => event.name).sort()).toEqual(['home', 'purchase'])
  })

  it('begins anew each time', async () => {
    await cli.run('demo', '--job', job())
    cli.control.jobs.clear()
    expect((await cli.run('demo', '--job', job(), '-o', 'json')).code).toBe(0)
    expect(await readBack(join(folder, 'demo', 'log'), 'events')).toHaveLength(2)
    expect(JSON.parse(cli.stdout.text)).toMatchObject({ job: { events: { read: 2 } }, values: expect.any(Array) })
  })

  it('takes free ports when the usual ones are taken', async () => {
    const ports: number[] = []
    cli.beforeStart = (config: Config) => {
      ports.push(config.grpc.port)
      if (config.grpc.port !== 0) throw new MillraceError('CONFIG_INVALID', 'taken')
    }
    const { code, stderr } = await cli.run('demo', '--job', job())
    expect(code).toBe(0)
    expect(ports).toEqual([7420, 0])
    expect(stderr).toContain('the usual ports are taken')
  })

  it('shows live numbers on a terminal and serves until Ctrl-C', async () => {
    cli.tty = true
    const running = cli.run('demo', '--job', job())
    await vi.waitFor(() => expect(cli.stdout.text).toContain('until Ctrl-C'))
    expect(cli.stdout.text).toMatch(/2 of 2 events sent/)
    expect(cli.stdout.text).toContain(`--server ${cli.servers[0]?.address}`)
    cli.signal()
    expect((await running).code).toBe(130)
  })

  it('needs both of a broker and Redis, or none', async () => {
    cli.env.MILLRACE_BROKERS = '127.0.0.1:9092'
    const { code, stderr } = await cli.run('demo', '--job', job())
    expect(code).toBe(3)
    expect(stderr).toContain('set MILLRACE_REDIS too')
  })

  it('says so when the job fails', async () => {
    const submit = cli.control.submit
    cli.control.submit = async (document) => {
      const summary = await submit(document)
      cli.control.jobs.set('engagement', {
        summary: { ...someSummary('engagement', 'FAILED'), reason: 'a bug' },
        text: '',
      })
      return summary
    }
    const { code, stderr } = await cli.run('demo', '--job', job())
    expect(code).toBe(1)
    expect(stderr).toContain('job engagement is FAILED: a bug')
  })
})
