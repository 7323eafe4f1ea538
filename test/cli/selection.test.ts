import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

describe('conditions of a query', () => {
  it('are read as they are written', async () => {
    const { code } = await cli.run(
      'query',
      'engagement/page_views',
      ...[
        '-f',
        'platform=ios',
        '-f',
        'platform=a=b',
        '--filter',
        'screen!=',
        '-f',
        'screen!^=x',
        '-f',
        'properties.f^=s',
      ],
      ...['--value', '>=10', '--value', '!= -1.5', '--value', '=3', '--top', '4'],
    )
    expect(code).toBe(0)
    expect(cli.query.queries[0]).toMatchObject({
      where: [
        { name: 'platform', test: 'equals', texts: ['ios', 'a=b'], not: false },
        { name: 'screen', test: 'equals', texts: [''], not: true },
        { name: 'screen', test: 'prefix', texts: ['x'], not: true },
        { name: 'properties.f', test: 'prefix', texts: ['s'], not: false },
      ],
      values: [
        { relation: '>=', than: 10 },
        { relation: '!=', than: -1.5 },
        { relation: '==', than: 3 },
      ],
      top: { count: 4, ascending: false },
    })
    await cli.run('query', 'engagement/page_views', '--bottom', '2')
    expect(cli.query.queries[1]?.top).toEqual({ count: 2, ascending: true })
  })

  it.each([
    ['--value', '10'],
    ['--value', '>ten'],
    ['--filter', 'platform'],
    ['--filter', '=ios'],
    ['--top', '0'],
    ['--top', '1', '--bottom', '1'],
  ])('%s %s is not understood', async (...options) => {
    expect((await cli.run('query', 'engagement/page_views', ...options)).code).toBe(2)
    expect(cli.query.queries).toEqual([])
  })
})

describe('lookup', () => {
  it('shows the values of a key, a table for each metric', async () => {
    const { code, stdout, stderr } = await cli.run('lookup', 'engagement', 'u17', '--no-events')
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'engagement/views_of_person',
      expect.stringMatching(/^WINDOW +PERSON +PLATFORM +VALUE +STATUS/),
      expect.stringMatching(/u17 +ios +42 +final/),
      expect.stringMatching(/u17 +web +7 +provisional/),
      '',
    ])
    expect(stderr).toContain('owned by subtask 3, watermark 2024-03-13 11:00:00')
    expect(cli.query.lookups).toEqual([
      { job: 'engagement', key: 'u17', metrics: [], fromMs: -Infinity, toMs: Infinity, limit: 1000, events: 0 },
    ])
  })

  it('asks for what the options say, and answers in JSON', async () => {
    const options = ['--metrics', 'a, b', '--from', '2024-03-13', '--limit', '5', '-o', 'json']
    const { stdout } = await cli.run('lookup', 'engagement', 'u17', ...options)
    expect(cli.query.lookups[0]).toMatchObject({ metrics: ['a', 'b'], fromMs: Date.UTC(2024, 2, 13), limit: 5 })
    expect(JSON.parse(stdout)).toMatchObject({
      key: 'u17',
      subtask: 3,
      watermark: '2024-03-13T11:00:00Z',
      metrics: [{ metric: { metric: 'views_of_person' }, values: [{ value: 42 }, { value: 7 }], truncated: false }],
    })
  })

  it('says when nothing is known', async () => {
    cli.query.values = []
    const { code, stdout, stderr } = await cli.run('lookup', 'engagement', 'nobody', '--no-events')
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toContain('nothing is known of nobody in job engagement')
  })
})
