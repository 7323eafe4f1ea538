/** The command `watch`: values as they change, on a terminal and elsewhere. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CliHarness } from '../support/cli.ts'
import { someValue } from '../support/fakes/query.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

const json = (text: string): unknown => JSON.parse(text)

describe('watch', () => {
  it('writes a JSON line per change until the job ends', async () => {
    const running = cli.run('watch', 'engagement/page_views', '-o', 'json')
    await vi.waitFor(() => expect(cli.stdout.text.match(/\n/g)).toHaveLength(2))
    cli.query.change([someValue({ value: 43 })])
    await vi.waitFor(() => expect(cli.stdout.text.match(/\n/g)).toHaveLength(3))
    cli.query.end(null)
    const { code, stdout } = await running
    expect(code).toBe(0)
    expect(json(stdout.split('\n')[2] ?? '')).toMatchObject({ value: 43, dimensions: { platform: 'ios' } })
  })

  it('says what it waits for beside the values', async () => {
    const running = cli.run('watch', 'engagement/page_views', '-o', 'json')
    await vi.waitFor(() => expect(cli.query.watchers.size).toBe(1))
    cli.query.wait('job engagement is RESTARTING')
    cli.query.wait(null)
    cli.query.end(null)
    const { stderr, stdout } = await running
    expect(stderr).toBe('waiting: job engagement is RESTARTING\ngoing on\n')
    expect(stdout).not.toContain('RESTARTING')
  })

  it('ends on Ctrl-C with 130, and leaves no watch behind', async () => {
    const running = cli.run('watch', 'engagement/page_views', '--changes')
    await vi.waitFor(() => expect(cli.query.watchers.size).toBe(1))
    cli.signal()
    expect((await running).code).toBe(130)
    await vi.waitFor(() => expect(cli.query.watchers.size).toBe(0))
    expect(cli.listening).toBe(false)
  })

  it('draws a table anew on a terminal', async () => {
    cli.tty = true
    const running = cli.run('watch', 'engagement/page_views')
    await vi.waitFor(() => expect(cli.stdout.text).toContain('web'))
    cli.query.change([someValue({ value: 43 })])
    await vi.waitFor(() => expect(cli.stdout.text).toContain('43'))
    cli.signal()
    const { stdout } = await running
    expect(stdout).toContain('\u001b[')
    expect(stdout).toContain('\u001b[5A\r')
  })

  it('has no colour with NO_COLOR', async () => {
    cli.tty = true
    cli.env.NO_COLOR = '1'
    const { stdout } = await cli.run('query', 'engagement/page_views')
    expect(stdout).not.toContain('\u001b')
    delete cli.env.NO_COLOR
    expect((await cli.run('query', 'engagement/page_views')).stdout).toContain('\u001b')
  })
})
