import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { CliHarness } from '../support/cli.ts'
import { someSummary } from '../support/fakes/control.ts'
import { someValue } from '../support/fakes/query.ts'

let cli: CliHarness
let folder: string

beforeEach(async () => {
  cli = new CliHarness()
  folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
  await cli.serveDefault()
})

afterEach(async () => {
  await cli.close()
  rmSync(folder, { recursive: true, force: true })
})

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const json = (text: string): unknown => JSON.parse(text)

describe('usage', () => {
  it('prints help and version with 0', async () => {
    const help = await cli.run('--help')
    expect(help.code).toBe(0)
    for (const command of ['demo', 'run', 'serve', 'validate', 'submit', 'list', 'describe', 'query', 'watch']) {
      expect(help.stdout).toContain(command)
    }
    for (const command of ['cancel', 'stop', 'checkpoints', 'produce', 'Exit codes']) {
      expect(help.stdout).toContain(command)
    }
    expect(await cli.run('--version')).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' })
    expect((await cli.run('query', '--help')).stdout).toContain('millrace query engagement/purchases')
  })

  it.each([
    ['nope'],
    ['lsit'],
    ['list', '--output', 'xml'],
    ['describe'],
    ['list', '--server', 'nowhere'],
    ['query', 'engagement/'],
    ['query', 'engagement/page_views', '--from', 'yesterday'],
    ['query', 'engagement/page_views', '--filter', 'ios'],
    ['query', 'engagement/page_views', '--limit', '0'],
    ['list', '--timeout', '-1'],
  ])('answers %j with exit code 2 and says what is wrong', async (...args) => {
    const { code, stdout, stderr } = await cli.run(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).not.toBe('')
  })

  it('suggests the command that was meant', async () => {
    expect((await cli.run('lsit')).stderr).toContain('Did you mean list?')
  })

  it('reports a wrong environment with 3', async () => {
    cli.env.MILLRACE_THREADS = 'many'
    const { code, stderr } = await cli.run('list')
    expect(code).toBe(3)
    expect(stderr).toContain('environment: MILLRACE_THREADS: "many" is not a whole number')
  })

  it('says how to start a server when none answers, with 4', async () => {
    await cli.close()
    const { code, stderr } = await cli.run('list')
    expect(code).toBe(4)
    expect(stderr).toContain('millrace serve')
  })
})

describe('jobs', () => {
  it('submits, lists, describes, stops and cancels', async () => {
    const path = file('job.yaml', 'name: engagement\n')
    expect(await cli.run('submit', path)).toEqual({
      code: 0,
      stdout: 'job engagement submitted: RUNNING\n',
      stderr: '',
    })
    const list = await cli.run('list')
    const [header = '', row = ''] = list.stdout.split('\n')
    expect(header).toMatch(/^NAME {8}STATE {4}SINCE +RESTARTS +READ +APPLIED +LATE +DEAD +FILTERED +COPIES +WATERMARK$/)
    expect(row).toMatch(/^engagement {2}RUNNING .* 1 +100 +88 +2 +3 +7 +0 +2024-03-13 10:00:00$/)
    const details = await cli.run('describe', 'engagement')
    expect(details.stdout).toContain('100 read = 88 applied + 2 late + 3 dead-lettered + 7 filtered + 0 deduplicated')
    expect(details.stdout).toMatch(/^events +100 +90 +25 % +5 % +70 %.* kafka topic events$/m)
    expect(details.stdout).toMatch(/^└─ hash\(person\) → window .*2 tables$/m)
    expect(details.stdout).toContain('BROKER_UNREACHABLE')
    expect(details.stdout).toContain('last failure: timed out')
    expect(details.stdout).toContain(
      'owed to out, deadLetters: the results of checkpoint 7 (1,200 records, 64 KiB)\nsources wait until sinks',
    )
    expect((await cli.run('stop', 'engagement')).stdout).toBe('job engagement stopped with checkpoint 7: SUSPENDED\n')
    expect((await cli.run('cancel', 'engagement')).stdout).toBe('job engagement cancelled: CANCELLED\n')
  })

  it('answers in JSON with every field', async () => {
    cli.stdin = 'name: engagement'
    const submitted = await cli.run('submit', '-', '-o', 'json')
    expect(json(submitted.stdout)).toMatchObject({
      job: { name: 'engagement', state: 'RUNNING', reason: '', watermark: '2024-03-13T10:00:00Z', events: { lost: 0 } },
    })
    expect(json((await cli.run('list', '-o', 'json')).stdout)).toMatchObject({ jobs: [{ name: 'engagement' }] })
    const details = json((await cli.run('describe', 'engagement', '-o', 'json')).stdout)
    expect(details).toMatchObject({
      job: { name: 'engagement' },
      subtasks: [{ operator: 'events', idle: false }],
      partitions: [
        { partition: 0, watermark: null },
        { partition: 1, lag: 5 },
      ],
      checkpoints: {
        latest: { id: 7, durationMs: 12.5, createTime: '2026-01-02T03:04:05Z' },
        restored: null,
        owed: [{ checkpointId: 7, sinks: ['out', 'deadLetters'] }],
        sourcesHeld: true,
      },
    })
  })

  it('lists and triggers checkpoints', async () => {
    cli.control.jobs.set('engagement', { summary: someSummary('engagement'), text: '' })
    const { stdout } = await cli.run('checkpoints', 'engagement')
    expect(stdout.split('\n')[1]).toMatch(/^ 7 {2}2026-01-02 03:04:05 +12.5 ms +4.8 MiB +19.5 KiB +2$/)
    expect(json((await cli.run('checkpoints', 'engagement', '--trigger', '-o', 'json')).stdout)).toMatchObject({
      checkpoints: [{ id: 7 }],
    })
  })

  it('tells an unknown job by 5 and a taken name by 1, each with a hint', async () => {
    const unknown = await cli.run('describe', 'nope')
    expect(unknown).toMatchObject({ code: 5, stdout: '' })
    expect(unknown.stderr).toBe(
      'millrace: there is no job named nope (JOB_NOT_FOUND)\nhint: `millrace list` shows the jobs that there are\n',
    )
    cli.control.jobs.set('engagement', { summary: someSummary('engagement'), text: '' })
    const taken = await cli.run('submit', file('job.yaml', 'name: engagement'))
    expect(taken.code).toBe(1)
    expect(taken.stderr).toContain('hint: stop or cancel')
  })

  it('says when there is nothing', async () => {
    expect(await cli.run('list')).toEqual({ code: 0, stdout: '', stderr: 'no jobs\n' })
    expect((await cli.run('list', '-o', 'json')).stdout).toBe('{"jobs":[]}\n')
  })

  it('prints every mistake with its place, and 3', async () => {
    const path = file('bad.yaml', 'name: x\nmistake\n')
    const submitted = await cli.run('submit', path)
    expect(submitted.code).toBe(3)
    expect(submitted.stderr.split('\n')).toEqual([
      `${path}:4:9: metrics[0].id: is not snake_case; did you mean page_views?`,
      `${path}:7:5: metrics[1].window: is missing`,
      `millrace: 2 mistakes in ${path} (JOB_INVALID)`,
      '',
    ])
    const validated = await cli.run('validate', path, '--server', cli.env.MILLRACE_SERVER ?? '')
    expect(validated.code).toBe(3)
    expect(validated.stdout).toContain(`${path}:4:9: `)
  })

  it('validates without a server', async () => {
    await cli.close()
    const good = await cli.run('validate', 'jobs/engagement.yaml')
    expect(good).toEqual({ code: 0, stdout: 'jobs/engagement.yaml: valid, job engagement\n', stderr: '' })
    const path = file('bad.yaml', 'apiVersion: millrace.dev/v1\nkind: Job\nmetadata: { nmae: x }\n')
    const bad = await cli.run('validate', 'jobs/engagement.yaml', path, '-o', 'json')
    expect(bad.code).toBe(3)
    const lines = bad.stdout.trim().split('\n').map(json)
    expect(lines).toMatchObject([{ valid: true }, { file: path, valid: false }])
    expect(bad.stdout).toContain('nmae')
  })

  it('says why a file cannot be read', async () => {
    const { code, stderr } = await cli.run('submit', join(folder, 'nope.yaml'))
    expect(code).toBe(3)
    expect(stderr).toContain('there is no such file')
  })
})

describe('query', () => {
  it('lists metrics without one', async () => {
    const { stdout } = await cli.run('query')
    expect(stdout).toMatch(/engagement\/page_views +count +1h +platform +Pages and screens seen/)
    expect(stdout).toMatch(/engagement\/average_revenue +avg\(revenue_minor\) +1d -1h Europe\/Berlin/)
    expect((await cli.run('query', 'nope')).code).toBe(5)
  })

  it('shows values in a table, numbers to the right', async () => {
    cli.query.values.push(
      someValue({ dimensions: ['\u001b[31mevil\n'], value: 1234567, eventCount: 1234567, lateCount: 3 }),
    )
    const { stdout, stderr } = await cli.run('query', 'engagement/page_views')
    expect(stdout.split('\n')).toEqual([
      'WINDOW                  PLATFORM              VALUE  STATUS          EVENTS  LATE',
      '2024-03-13 10:00–11:00  \\x1b[31mevil\\x0a  1,234,567  final        1,234,567     3',
      '2024-03-13 10:00–11:00  ios                      42  final               42     0',
      '2024-03-13 10:00–11:00  web                       7  provisional         42     0',
      '',
    ])
    expect(stderr).toBe('watermark 2024-03-13 11:00:00\n')
  })

  it('asks for what the options say', async () => {
    const { stdout } = await cli.run(
      ...['query', 'engagement/page_views', '--from', '2024-03-13', '--to', '2024-03-14T00:00:00+01:00'],
      ...['--filter', 'platform=ios', '--group-by', 'platform', '--limit', '5', '--latest', '-o', 'json'],
    )
    expect(cli.query.queries[0]).toEqual({
      job: 'engagement',
      metric: 'page_views',
      fromMs: Date.UTC(2024, 2, 13),
      toMs: Date.UTC(2024, 2, 13, 23),
      filters: new Map(),
      where: [{ name: 'platform', test: 'equals', texts: ['ios'], not: false }],
      values: [],
      top: null,
      groupBy: ['platform'],
      limit: 5,
      latest: true,
    })
    expect(json(stdout)).toMatchObject({
      metric: { metric: 'page_views', kind: 'count', additive: true },
      values: [{ dimensions: { platform: 'ios' }, value: 42, status: 'final', windowStart: '2024-03-13T10:00:00Z' }],
      truncated: false,
    })
    await cli.run('query', 'engagement/page_views', '--group-by', '')
    expect(cli.query.queries[1]?.groupBy).toEqual([])
  })

  it('passes on what the server refuses', async () => {
    cli.query.query = async () => {
      throw new MillraceError('QUERY_TOO_LARGE', 'the answer has 1000001 values')
    }
    const { code, stderr } = await cli.run('query', 'engagement/page_views')
    expect(code).toBe(3)
    expect(stderr).toBe('millrace: the answer has 1000001 values (QUERY_TOO_LARGE)\n')
  })
})

describe('serve and run', () => {
  it('serves until SIGTERM, which is no failure', async () => {
    const running = cli.run('serve')
    await vi.waitFor(() => expect(cli.stderr.text).toContain('serving gRPC on 127.0.0.1:'))
    cli.signal('SIGTERM')
    expect(await running).toMatchObject({ code: 0, stdout: '' })
  })

  it('runs a job to its end', async () => {
    const path = file('job.yaml', 'name: engagement\n')
    const running = cli.run('run', path)
    await vi.waitFor(() => expect(cli.stderr.text).toContain('job engagement is RUNNING'))
    const job = cli.control.jobs.get('engagement')
    if (job !== undefined) job.summary = someSummary('engagement', 'FINISHED')
    expect(await running).toMatchObject({ code: 0, stdout: 'job engagement ended: FINISHED\n' })
  })

  it('fails with the job', async () => {
    const running = cli.run('run', file('job.yaml', 'name: engagement\n'))
    await vi.waitFor(() => expect(cli.stderr.text).toContain('RUNNING'))
    const job = cli.control.jobs.get('engagement')
    if (job !== undefined) job.summary = { ...someSummary('engagement', 'FAILED'), reason: 'POSITION_LOST: 5 records' }
    const { code, stderr } = await running
    expect(code).toBe(1)
    expect(stderr).toContain('job engagement failed: POSITION_LOST: 5 records')
  })

  it('stops the job on Ctrl-C, and goes on with it when run again', async () => {
    const path = file('job.yaml', 'name: engagement\n')
    const first = cli.run('run', path)
    await vi.waitFor(() => expect(cli.stderr.text).toContain('RUNNING'))
    cli.signal()
    expect(await first).toMatchObject({ code: 130, stdout: 'job engagement stopped with checkpoint 7: SUSPENDED\n' })
    const again = cli.run('run', path)
    await vi.waitFor(() => expect(cli.stderr.text).toContain('job engagement goes on where it was'))
    expect((await again).code).toBe(0)
    const other = await cli.run('run', file('job.yaml', 'name: engagement\n# another\n'))
    expect(other.code).toBe(1)
    expect(other.stderr).toContain('another definition of job engagement')
  })

  it('ends at once on a second Ctrl-C', async () => {
    cli.control.stop = () => new Promise(() => {})
    const running = cli.run('run', file('job.yaml', 'name: engagement\n'))
    await vi.waitFor(() => expect(cli.stderr.text).toContain('RUNNING'))
    cli.signal()
    await vi.waitFor(() => expect(cli.stderr.text).toContain('stopping after a last checkpoint'))
    cli.signal()
    expect((await running).code).toBe(130)
  })

  it('prints the mistakes of the job that it runs', async () => {
    const path = file('bad.yaml', 'name: x\nmistake\n')
    const { code, stderr } = await cli.run('run', path)
    expect(code).toBe(3)
    expect(stderr).toContain(`${path}:4:9: metrics[0].id`)
  })
})
