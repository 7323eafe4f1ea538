import { describe, expect, it } from 'vitest'
import { runSide } from '../../bench/process.ts'
import { summarise } from '../../bench/report.ts'
import type { RivalResult } from '../../bench/rules.ts'

const result: RivalResult = {
  type: 'result',
  case: 'tumbling',
  parallelism: 2,
  complete: true,
  records: 1_000,
  eventsPerSecond: 3_000_000,
  measuredSeconds: 25,
  warmedUp: true,
  checkpoints: 30,
  measuredCheckpoints: 20,
  rows: 7,
  checksum: 99,
  rssPeakBytes: 0,
}

/** A side that is one line of script. */
const side = (script: string) =>
  runSide({ name: 'Stub', command: process.execPath, args: ['-e', script], timeoutMs: 15_000 })

describe('a side as a child process', () => {
  it('gives its last result and is seen from outside', async () => {
    const progress: unknown[] = []
    const run = await runSide({
      name: 'Stub',
      command: process.execPath,
      args: [
        '-e',
        `console.log('noise'); console.log('{"type":"progress","records":5}'); console.log('{"broken'); console.log(${JSON.stringify(
          JSON.stringify(result),
        )})`,
      ],
      timeoutMs: 15_000,
      onProgress: (line) => progress.push(line),
    })
    expect(run.result).toEqual(result)
    expect(progress).toEqual([{ type: 'progress', records: 5 }])
    if (process.platform === 'linux') expect(run.rssPeakBytes).toBeGreaterThan(1_000_000)
  })

  it('fails with the end of its error output', async () => {
    await expect(side('console.error("no such topic"); process.exit(3)')).rejects.toThrow(
      /Stub ended with status 3 and gave no result\n.*no such topic/s,
    )
  })

  it('fails when it ends well without a result', async () => {
    await expect(side('console.log("{}")')).rejects.toThrow('Stub ended with status 0 and gave no result')
  })

  it('is ended when it takes too long', async () => {
    const run = runSide({
      name: 'Stub',
      command: process.execPath,
      args: ['-e', 'setInterval(() => {}, 50)'],
      timeoutMs: 200,
    })
    await expect(run).rejects.toThrow('Stub was ended by SIGKILL')
  })
})

describe('the line of a case', () => {
  const run = (change: Partial<RivalResult>, rssMb: number) => ({
    result: { ...result, ...change },
    rssPeakBytes: rssMb * 2 ** 20,
    cpuSeconds: 1,
  })

  it('compares the two sides', () => {
    const summary = summarise({
      caseId: 'tumbling',
      millrace: [run({}, 150), run({ eventsPerSecond: 5_000_000 }, 160)],
      flink: [run({ eventsPerSecond: 1_000_000 }, 700)],
    })
    expect(summary.line).toBe('bench tumbling millrace=4000000 flink=1000000 ratio=4.00 rss_mb=160/700 checksum=equal')
    expect(summary).toMatchObject({ equal: true, remarks: [] })
  })

  it.each([{ checksum: 98 }, { rows: 8 }, { records: 999 }, { complete: false }])(
    'says so when %j differs',
    (change) => {
      const summary = summarise({ caseId: 'tumbling', millrace: [run(change, 1)], flink: [run({}, 1)] })
      expect(summary.line).toContain('checksum=DIFFERENT')
      expect(summary.equal).toBe(false)
    },
  )

  it('leaves out a side that is not there', () => {
    const summary = summarise({ caseId: 'distinct', millrace: [], flink: [run({}, 700)] })
    expect(summary.line).toBe('bench distinct millrace=absent flink=3000000 ratio=- rss_mb=-/700 checksum=-')
  })

  it('remarks what a run fell short of, once', () => {
    const short = run({ measuredSeconds: 3 }, 1)
    const summary = summarise({ caseId: 'tumbling', millrace: [short, short], flink: [run({}, 1)] })
    expect(summary.remarks).toEqual(['millrace: measured 3.0 s of at least 20 s'])
  })
})
