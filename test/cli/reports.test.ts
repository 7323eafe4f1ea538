import { afterEach, beforeEach, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

it('shows a funnel with shares, what is lost and how long it takes', async () => {
  const { code, stdout, stderr } = await cli.run('funnel', 'conversion/checkout', '--group-by', 'platform')
  expect(code).toBe(0)
  expect(stdout).toContain('immature')
  expect(stdout).toMatch(/2\s+name == 'purchase'\s+10\s+25 %\s+█{6}\s+25 %\s+30\s+1m 30s/)
  expect(stderr).toContain('watermark')
  expect(cli.query.reports[0]).toMatchObject({ job: 'conversion', metric: 'checkout', groupBy: ['platform'] })
})

it('shows cohorts, the curve, and which numbers can still rise', async () => {
  const { code, stdout, stderr } = await cli.run('retention', 'conversion/weekly', '--from', '2024-03-01')
  expect(code).toBe(0)
  expect(stdout).toMatch(/8\s+100 %\s+75 %\s+\(12\.5 %\)/)
  expect(stdout).toMatch(/all that are mature\s+100 %\s+75 %\s+-/)
  expect(stderr).toContain('in brackets')
  expect(cli.query.reports[0]).toMatchObject({ fromMs: Date.UTC(2024, 2, 1), groupBy: null })
})

it('gives both to machines, with null for a rate that there is none of', async () => {
  const funnel = JSON.parse((await cli.run('funnel', 'conversion/checkout', '-o', 'json')).stdout)
  expect(funnel.funnels[0]).toMatchObject({ dimensions: { platform: 'web' }, immature: true, status: 'provisional' })
  expect(funnel.funnels[0].steps[2]).toMatchObject({ step: 3, dropped: 10, meanTimeMs: null })
  const retention = JSON.parse((await cli.run('retention', 'conversion/weekly', '-o', 'json')).stdout)
  expect(retention.cohorts[0].periods[0]).toMatchObject({ period: 0, retention: 1, previous: null })
  expect(retention.curve[2]).toMatchObject({ cohorts: 0, weighted: null })
})
