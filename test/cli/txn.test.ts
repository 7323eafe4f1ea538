/** `txn` on the command line: how transactions and held partitions are shown, and what is sent to end one. */
import { expect, it } from 'vitest'
import { heldLines } from '../../src/cli/txn-view.ts'
import type { TransactionInfo } from '../../src/control/transactions.ts'
import { CliHarness } from '../support/cli.ts'

const open: TransactionInfo = {
  ...{ transactionalId: 'millrace/engagement/out', job: 'engagement', sink: 'out', jobRuns: true, state: 'Ongoing' },
  ...{ producerId: 7, startedAtMs: Date.UTC(2026, 0, 1), timeoutMs: 60_500, brokers: 'b:9092' },
  partitions: Array.from({ length: 6 }, (_, partition) => ({
    ...{
      topic: 'results',
      partition,
      startOffset: 40,
      lastStableOffset: 40,
      highWatermark: 1042,
      holds: partition < 2,
    },
  })),
}
const hanging: TransactionInfo = {
  ...{ transactionalId: '', job: '', sink: '', jobRuns: false, state: 'Hanging', producerId: 9 },
  ...{ startedAtMs: -1, timeoutMs: -1, brokers: 'b:9092' },
  partitions: [{ topic: 'events', partition: 3, startOffset: 5, lastStableOffset: 5, highWatermark: 6, holds: true }],
}

async function serving(): Promise<CliHarness> {
  const harness = new CliHarness()
  const server = await harness.serve()
  harness.env.MILLRACE_SERVER = server.address
  harness.control.transactions = [open, hanging]
  return harness
}

it('lists transactions as a table', async () => {
  const { stdout, code } = await (await serving()).run('txn', 'list')
  expect(code).toBe(0)
  const [head, first, second] = stdout.trimEnd().split('\n')
  expect(head).toMatch(/^ID +JOB +SINK +STATE +OPEN +PARTITIONS +HOLDS BACK$/)
  expect(first).toMatch(
    /^millrace\/engagement\/out +engagement +out +Ongoing +\S+.* +results-0\* results-1\* results-2 results-3 and 2 more +2,004$/,
  )
  expect(second).toMatch(/^producer 9 +- +- +Hanging +- +events-3\* +1$/)
})

it('lists them as JSON with every field', async () => {
  const { stdout } = await (await serving()).run('txn', 'list', '-o', 'json')
  const { transactions, unasked } = JSON.parse(stdout) as { transactions: Record<string, unknown>[]; unasked: string[] }
  expect(unasked).toEqual([])
  const { startedAtMs: _, ...same } = open
  expect(transactions[0]).toEqual({ ...same, startTime: '2026-01-01T00:00:00Z' })
  expect(transactions[1]).toMatchObject({ startTime: null, timeoutMs: -1 })
})

it('says so when nothing is open', async () => {
  const harness = await serving()
  harness.control.transactions = []
  const { stdout, stderr, code } = await harness.run('txn', 'list')
  expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
  expect(stderr).toContain('no open transactions')
})

it('ends one by its id, or by what it holds back', async () => {
  const harness = await serving()
  expect(await harness.run('txn', 'abort', 'millrace/engagement/out', '--force')).toMatchObject({
    stdout: 'millrace/engagement/out: aborted\n',
    code: 0,
  })
  await harness.run('txn', 'abort', 'my-events-3', '--hanging', '9', '--brokers', 'b:9092')
  expect(harness.control.ended).toEqual([
    { target: { transactionalId: 'millrace/engagement/out' }, force: true },
    { target: { topic: 'my-events', partition: 3, producerId: 9, brokers: 'b:9092' }, force: false },
  ])
  expect(await harness.run('txn', 'abort', 'events-3', '--hanging', 'x')).toMatchObject({ code: 2 })
})

it('tells what is held back in a line', () => {
  const held = { topic: 'events', partition: 0, lastStableOffset: 5, highWatermark: 2005, holder: 'that of producer 9' }
  expect(heldLines([{ ...held, since: new Date(0) }], 120_000)).toEqual([
    'events-0: an open transaction, that of producer 9, holds back 2,000 records at 5, for 2m 0s',
  ])
  expect(heldLines([{ ...held, since: new Date(0), holder: '' }], 1000)[0]).toContain('an open transaction holds back')
})
