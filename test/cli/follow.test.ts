import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bottleneck, treeLines } from '../../src/cli/job-tree.ts'
import { Output } from '../../src/cli/output.ts'
import type { JobGraph, SubtaskStatus } from '../../src/gen/millrace/v1/control.ts'
import { CliHarness, FakeStream } from '../support/cli.ts'

const output = new Output({ stdout: new FakeStream(), stderr: new FakeStream(), env: {} }, 'table')

const operator = (id: string, kind: string) => ({ id, kind, description: `does ${id}`, parallelism: 2 })

const graph: JobGraph = {
  operators: [
    operator('events', 'source'),
    operator('window', 'window'),
    operator('merge', 'merge'),
    operator('out', 'sink'),
  ],
  edges: [
    { from: 'events', to: 'window', partitioning: 'hash(person)' },
    { from: 'window', to: 'merge', partitioning: 'hash(group)' },
    { from: 'window', to: 'out', partitioning: 'forward' },
    { from: 'merge', to: 'out', partitioning: 'forward' },
  ],
}

function subtask(name: string, index: number, changes: Partial<SubtaskStatus> = {}): SubtaskStatus {
  return {
    operator: name,
    subtask: index,
    recordsIn: 10,
    recordsOut: 5,
    bytesIn: 0,
    events: undefined,
    watermark: new Date(Date.UTC(2024, 2, 13, 10 + index)),
    idle: false,
    finished: false,
    busyRatio: 0.2,
    idleRatio: 0.7,
    backPressuredRatio: 0.1,
    stateBytes: 512,
    results: 0,
    pendingRecords: index,
    ...changes,
  }
}

const subtasks = ['events', 'window', 'merge'].flatMap((name) => [subtask(name, 0), subtask(name, 1)])

/** The first column, and a line's own numbers. */
const shape = (lines: readonly string[]) => lines.map((line) => line.split(/ {2,}(?=[\d-])/)[0]!.trimEnd())

describe('the graph of a job', () => {
  it('is a tree of operators and subtasks', () => {
    const lines = treeLines(output, graph, subtasks)
    expect(shape(lines.slice(1))).toEqual([
      'events',
      '├─ events[0]',
      '├─ events[1]',
      '└─ hash(person) → window',
      '   ├─ window[0]',
      '   ├─ window[1]',
      '   ├─ hash(group) → merge',
      '   │  ├─ merge[0]',
      '   │  ├─ merge[1]',
      expect.stringMatching(/^ {3}│ {2}└─ forward → out +does out$/),
      '   └─ forward → out (above)',
    ])
    expect(lines[1]).toMatch(/^events +20 +10 +20 % +10 % +70 % +1 KiB +1 +2024-03-13 10:00:00 +does events$/)
    expect(lines[3]).toMatch(/^├─ events\[1\] +10 +5 +20 % +10 % +70 % +512 B +1 +2024-03-13 11:00:00$/)
  })

  it('shows an operator of one subtask in one line, and one that is not deployed without numbers', () => {
    const lines = treeLines(output, graph, [subtask('events', 0, { pendingRecords: -1, watermark: undefined })])
    expect(lines).toHaveLength(6)
    expect(lines[1]).toMatch(/^events +10 +5 +20 % +10 % +70 % +512 B +- +- +does events$/)
    expect(lines[2]).toMatch(/^└─ hash\(person\) → window +does window$/)
    expect(treeLines(output, { operators: [], edges: [] }, [])).toEqual([])
  })

  it('takes no watermark from a subtask that is idle, unless all are', () => {
    const pair = (first: boolean, second: boolean) => [
      subtask('events', 0, { idle: first }),
      subtask('events', 1, { idle: second }),
    ]
    expect(treeLines(output, graph, pair(true, false))[1]).toContain('2024-03-13 11:00:00 ')
    expect(treeLines(output, graph, pair(true, true))[1]).toContain('2024-03-13 10:00:00 idle')
    const finished = pair(false, false).map((part) => ({ ...part, finished: true }))
    expect(treeLines(output, graph, finished)[1]).toContain('finished')
  })

  it('names what the others wait for', () => {
    expect(bottleneck(graph, subtasks)).toBeNull()
    const slow = [
      subtask('events', 0, { backPressuredRatio: 0.9 }),
      subtask('window', 0, { backPressuredRatio: 0.8, busyRatio: 0.2 }),
      subtask('merge', 0, { busyRatio: 0.3 }),
      subtask('merge', 1, { busyRatio: 0.97 }),
    ]
    expect(bottleneck(graph, slow)).toBe(
      'window is blocked 80 % of the time: it waits for merge[1], which is busy 97 %',
    )
    // What runs within another operator has no subtasks of its own.
    const chained: JobGraph = {
      operators: [operator('clicks', 'source'), operator('map', 'map'), operator('sum', 'window')],
      edges: [
        { from: 'clicks', to: 'map', partitioning: 'forward' },
        { from: 'map', to: 'sum', partitioning: 'hash(key)' },
      ],
    }
    expect(
      bottleneck(chained, [
        subtask('clicks', 0, { backPressuredRatio: 0.9 }),
        subtask('sum', 0, { busyRatio: 1, backPressuredRatio: 0 }),
      ]),
    ).toBe('clicks is blocked 90 % of the time: it waits for sum[0], which is busy 100 %')
    // A sink is no subtask: who waits for it is not known to wait for anything here.
    expect(bottleneck(graph, [subtask('merge', 0, { backPressuredRatio: 1 })])).toBeNull()
  })
})

describe('describe --watch', () => {
  let cli: CliHarness

  beforeEach(async () => {
    cli = new CliHarness()
    await cli.serveDefault()
    await cli.control.submit({ kind: 'text', text: 'name: engagement' })
  })

  afterEach(() => cli.close())

  it('writes a JSON line per change until the job ends', async () => {
    const run = cli.run('describe', 'engagement', '--watch', '-o', 'json')
    await vi.waitFor(() => expect(cli.stdout.text).not.toBe(''))
    await cli.control.stop('engagement')
    const { code, stdout } = await run
    expect(code).toBe(0)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(lines).toMatchObject([
      {
        job: { name: 'engagement', state: 'RUNNING', watermark: '2024-03-13T10:00:00Z' },
        progress: { pendingRecords: 5, readPerSecond: 0 },
        graph: { edges: [{ from: 'events' }] },
        subtasks: [{ operator: 'events', busyRatio: 0.25 }],
        checkpoints: { latest: { id: 7 } },
        lastException: { code: 'BROKER_UNREACHABLE' },
      },
      // The graph comes with the first update only; a reader of lines has it in each.
      { job: { state: 'SUSPENDED' }, graph: { edges: [{ from: 'events' }] } },
    ])
  })

  it('writes a line per change for people, and ends on Ctrl-C with 130', async () => {
    const run = cli.run('describe', 'engagement', '--watch')
    await vi.waitFor(() => expect(cli.stdout.text).toContain('RUNNING'))
    expect(cli.stdout.text).toMatch(
      /\tRUNNING\tattempt 2\t100 read\t0 a second, 5 to go\t7 in 12.5 ms, 1 failed\twatermark /,
    )
    cli.signal()
    expect((await run).code).toBe(130)
  })

  it('draws the tree anew on a terminal', async () => {
    cli.tty = true
    const run = cli.run('describe', 'engagement', '--watch')
    await vi.waitFor(() => expect(cli.stdout.text).toContain('hash(person) → window'))
    await cli.control.cancel('engagement')
    expect((await run).code).toBe(0)
    expect(cli.stdout.text).toContain('CANCELLED')
    expect(cli.stdout.text).toContain('Last failure')
  })

  it('says with 5 that there is no such job', async () => {
    const { code, stderr } = await cli.run('describe', 'nope', '--watch')
    expect(code).toBe(5)
    expect(stderr).toContain('JOB_NOT_FOUND')
  })
})
