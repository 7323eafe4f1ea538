import { afterEach, beforeEach, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

it('shows the timeline of a person below the values', async () => {
  const { code, stdout, stderr } = await cli.run('lookup', 'engagement', 'ann', '--events', '5')
  expect(code).toBe(0)
  expect(stdout).toContain('timeline of checkout, drop_off')
  expect(stdout).toMatch(/2024-03-11 00:00:00\s+step 1: screen == 'cart'\s+web\s+2/)
  expect(stdout).toMatch(/2024-03-11 00:01:00\s+step 1: screen == 'cart', step 2: name == 'purchase'\s+ios\s+12\.5/)
  expect(stderr).toContain('there are earlier ones')
  expect(cli.query.lookups[0]).toMatchObject({ key: 'ann', events: 5 })
})

it('leaves timelines out where they are not wanted', async () => {
  const { stdout } = await cli.run('lookup', 'engagement', 'ann', '--no-events')
  expect(stdout).not.toContain('timeline')
  expect(cli.query.lookups[0]).toMatchObject({ events: 0 })
})

it('gives them to machines', async () => {
  const { timelines } = JSON.parse((await cli.run('lookup', 'engagement', 'ann', '-o', 'json')).stdout)
  expect(timelines[0].events[0]).toEqual({
    ...{ time: '2024-03-11T00:00:00Z', is: ["step 1: screen == 'cart'"], dimensions: { platform: 'web' }, copies: 2 },
    value: null,
  })
})
