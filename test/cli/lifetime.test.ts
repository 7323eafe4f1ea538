import { afterEach, beforeEach, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

it('shows who is worth most, by which formula and models, and the steady state', async () => {
  const { code, stdout, stderr } = await cli.run(
    ...['ltv', 'revenue/days', '--discount', '1%', '--margin', '50%', '--churn', '0.25', '--until', '2024-06-01'],
  )
  expect(code).toBe(0)
  expect(stdout).toMatch(/=cmd\s+3\s+60\s+80\s+1,?250\.5\s+75 %\s+4\.5\s+1,?200\s+5,?000\.25/)
  expect(stdout).toMatch(/ann\s+0\s+0\s+80\s+0\s+100 %\s+0\.5\s+-\s+-/)
  expect(stdout).toMatch(/steady state: 40 .* x margin 50 % \/ churn 25 % = 80/)
  expect(stderr).toContain('BG/NBD of 2,000 persons, r 0.25, alpha 4.5')
  expect(stderr).toContain('correlation is 0.13')
  expect(stderr).toContain('watermark')
  expect(cli.query.lifetimes[0]).toEqual({
    ...{
      job: 'revenue',
      metric: 'days',
      untilMs: Date.UTC(2024, 5, 1),
      steps: 12,
      daysPerStep: 30,
      discountRate: 0.01,
    },
    ...{ penalizer: 0, persons: [], limit: 10, margin: 0.5, churn: 0.25 },
  })
})

it('gives it to machines, with null for a number that there is none of', async () => {
  const told = JSON.parse((await cli.run('ltv', 'revenue/days', '-p', 'ann', '-p', 'bob', '-o', 'json')).stdout)
  expect(told).toMatchObject({ steps: 12, discountRate: 0.01, refundDays: 2, purchases: { persons: 2000 } })
  expect(told.persons[1]).toMatchObject({ person: 'ann', expectedAmount: null, value: null })
  expect(cli.query.lifetimes[0]!.persons).toEqual(['ann', 'bob'])
})

it('gives it to spreadsheets, with what it is in its head', async () => {
  const lines = (await cli.run('ltv', 'revenue/days', '--csv')).stdout.trimEnd().split('\n')
  const head = lines.filter((line) => line.startsWith('#')).join('\n')
  for (const name of ['formula: a sum of money', 'timezone: UTC', 'watermark: 2024-06-09', 'spend: Gamma-Gamma, 900'])
    expect(head).toContain(name)
  expect(lines.slice(-2)).toEqual(["'=cmd,3,60,80,1250.5,0.75,4.5,1200,5000.25", 'ann,0,0,80,0,1,0.5,,'])
})

it.each([
  [['ltv', 'revenue'], 'names no metric'],
  [['ltv', 'revenue/days', '--margin', '0.4'], 'go together'],
  [['ltv', 'revenue/days', '--until', 'soon'], 'is no time'],
  [['ltv', 'revenue/days', '--discount', 'much'], 'must be a share'],
])('refuses %s', async (words, why) => {
  const { code, stderr } = await cli.run(...(words as [string, ...string[]]))
  expect(code).not.toBe(0)
  expect(stderr).toContain(why)
})
