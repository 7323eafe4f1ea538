/** `millrace episodes`: tables, JSON and lines, over a real gRPC server. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'
import { someDetector, someEpisode } from '../support/fakes/episodes.ts'
import { until } from '../support/until.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

describe('episodes', () => {
  it('shows what was found, by when and how much', async () => {
    const { code, stdout } = await cli.run('episodes', 'shop')
    expect(code).toBe(0)
    const [header, line] = stdout.trimEnd().split('\n')
    expect(header?.split(/ {2,}/)).toEqual([
      'START',
      'END',
      'DETECTOR',
      'GROUP',
      'STATE',
      'DIRECTION',
      'SCORE',
      'ACTUAL',
      'EXPECTED',
      'ID',
    ])
    expect(line?.split(/ {2,}/)).toEqual([
      ...['2024-04-09 00:00:00', '2024-04-14 00:00:00', 'payment', 'step=2', 'normal', 'down'],
      ...['3.96', '0.2727', '0.52', '0123456789abcdef'],
    ])
  })

  it('shows those that are open only, and none', async () => {
    expect((await cli.run('episodes', 'shop', '--open')).stderr).toBe('no episodes\n')
    cli.episodes.episodes = [someEpisode(), someEpisode({ id: 'b', state: 'alerting', endMs: null })]
    const { stdout } = await cli.run('episodes', 'shop', '--open', '--output', 'json')
    expect(JSON.parse(stdout).episodes).toMatchObject([{ id: 'b', state: 'alerting', end: null }])
  })

  it('says everything in JSON', async () => {
    const { stdout } = await cli.run('episodes', 'shop', '--output', 'json')
    expect(JSON.parse(stdout)).toEqual({
      episodes: [
        {
          ...{ id: '0123456789abcdef', job: 'shop', detector: 'payment', metric: 'to_payment', group: { step: '2' } },
          ...{ state: 'normal', direction: 'down', start: '2024-04-09T00:00:00Z', opened: '2024-04-10T00:00:00Z' },
          ...{ last: '2024-04-12T00:00:00Z', end: '2024-04-14T00:00:00Z', score: 3.96, actual: 0.2727, expected: 0.52 },
          ...{ threshold: 2.78, anomalousWindows: 3, revision: 18, judgedThrough: '2024-04-18T00:00:00Z' },
          settled: true,
        },
      ],
    })
  })

  it('shows detectors with how their thresholds were set, and why they wait', async () => {
    cli.episodes.detectors = [
      someDetector({ groupsLeftOut: 3 }),
      someDetector({
        id: 'outage',
        series: [],
        waiting: 'the job restarts',
        judgedThroughMs: Number.NEGATIVE_INFINITY,
      }),
    ]
    const { stdout, stderr } = await cli.run('episodes', 'shop', '--detectors')
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/))
    expect(rows[1]).toEqual([
      ...['payment', 'cusum', 'to_payment', 'step=2', 'normal', '0.5', '2.78'],
      ...['calibrated: 0 false alarms in 11 windows', '2024-04-18 00:00:00'],
    ])
    expect(rows[2]).toEqual(['outage', 'cusum', 'to_payment', '-', 'noData', '-', '-', '-', '-'])
    expect(stderr).toBe('payment leaves out 3 groups: raise maxGroups\noutage is waiting: the job restarts\n')
    const json = JSON.parse((await cli.run('episodes', 'shop', '--detectors', '--output', 'json')).stdout)
    expect(json.detectors[0].series[0]).toMatchObject({
      ...{ group: { step: '2' }, lower: null, calibration: { judgedWindows: 11, ratePerPeriodMax: null } },
    })
  })

  it('follows changes until the job ends', async () => {
    const run = cli.run('episodes', 'shop', '--watch')
    await until(async () => cli.episodes.watchers.size === 1)
    const [watcher] = cli.episodes.watchers
    watcher!.onEpisodes([someEpisode({ id: 'b', state: 'alerting', endMs: null })])
    watcher!.onEpisodes([someEpisode({ id: 'b', state: 'retracted', endMs: null })])
    watcher!.onEnd(null)
    const { code, stdout } = await run
    expect(code).toBe(0)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'))
    expect(lines.map((cells) => [cells.at(-1), cells[4]])).toEqual([
      ['0123456789abcdef', 'normal'],
      ['b', 'alerting'],
      ['b', 'retracted'],
    ])
  })

  it('says that there is no such job', async () => {
    for (const more of [[], ['--watch']]) {
      const { code, stderr } = await cli.run('episodes', 'none', ...more)
      expect(stderr).toContain('there is no job none')
      expect(code).not.toBe(0)
    }
  })
})
