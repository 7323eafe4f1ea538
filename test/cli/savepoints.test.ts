import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

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

describe('savepoints', () => {
  it('are made, listed and deleted; a job stops with one and begins from one', async () => {
    const path = file('job.yaml', 'name: engagement')
    await cli.run('submit', path)
    const made = await cli.run('savepoint', 'create', 'engagement', 'one')
    expect(made.stdout).toBe('savepoint engagement/one of checkpoint 7, 4 KiB: /savepoints/engagement/one\n')
    expect((await cli.run('savepoint', 'list')).stdout).toMatch(
      /^JOB +NAME .*\nengagement +one +2026-01-02 03:04:05 +7 /,
    )
    expect(json((await cli.run('savepoint', 'list', 'engagement', '-o', 'json')).stdout)).toMatchObject({
      savepoints: [
        { job: 'engagement', name: 'one', createTime: '2026-01-02T03:04:05Z', sizeBytes: 4096, problem: '' },
      ],
    })
    expect((await cli.run('savepoint', 'list', 'other')).stdout).toBe('')
    const stopped = await cli.run('stop', 'engagement', '--savepoint', 'last', '--drain')
    expect(stopped.stdout).toContain(
      'job engagement stopped with checkpoint 7: SUSPENDED\nsavepoint engagement/last of',
    )
    const unnamed = await cli.run('stop', 'engagement', '--savepoint', '-o', 'json')
    expect(json(unnamed.stdout)).toMatchObject({ checkpointId: 7, savepoint: { name: '2026-01-02-030405-7' } })
    expect(json((await cli.run('stop', 'engagement', '-o', 'json')).stdout)).toMatchObject({ savepoint: null })
    expect((await cli.run('savepoint', 'delete', 'engagement', 'one')).stdout).toBe(
      'savepoint engagement/one deleted\n',
    )
    expect((await cli.run('savepoint', 'delete', 'engagement', 'one')).code).toBe(5)
    cli.control.jobs.clear()
    const begun = await cli.run(
      'submit',
      path,
      '--from-savepoint',
      'one',
      '--claim',
      '--drop-state',
      'a',
      '--drop-state',
      'b',
    )
    expect(begun.stdout).toContain('job engagement submitted from savepoint one')
    expect(cli.control.starts).toEqual([null, { savepoint: 'one', claim: true, dropState: ['a', 'b'] }])
    expect((await cli.run('submit', path, '--claim')).code).toBe(2)
    cli.control.jobs.clear()
    const goesOn = await cli.run('submit', path, '--drop-state', 'a')
    expect(goesOn.stdout).toMatch(/job engagement submitted: RUNNING/)
    expect(cli.control.starts.at(-1)).toEqual({ savepoint: '', claim: false, dropState: ['a'] })
  })

  it('are shown without a server', async () => {
    cli.env.MILLRACE_SERVER = '127.0.0.1:1'
    const fixture = fileURLToPath(new URL('../savepoint/fixtures/savepoint-1/shop', import.meta.url))
    const { stdout, code } = await cli.run('savepoint', 'inspect', fixture, '--keys', '2')
    expect(code).toBe(0)
    for (const line of [
      'savepoint shop of job shop, made while it ran, 2023-11-14 22:13:20',
      'events: 300 read, 0 deadLettered, 0 filtered, 0 lost, 300 applied, 0 late',
      '        4        60  2023-11-14 22:14:05  memory-20e44818',
      'window/person|session:2s@UTC|late=0s|retain=90d',
      '  key groups: 88 of 128 used; rows of each 0 to 8, 1.7 on average',
      '  2023-11-14 22:14:05 – 2023-11-14 22:14:07  session  p97     visits.count=1',
    ]) {
      expect(stdout.split('\n')).toContain(line)
    }
    // Sizes go with the form of state, which is another thing.
    for (const line of [
      /^checkpoint 10, \d+(\.\d)? KiB in 6 blobs, parallelism 3, 128 key groups by murmur3-x86-32$/m,
      /^window {4}window {12}3 {2}\d+(\.\d)? KiB {2}2023-11-14 22:13:59$/m,
      /^ {2}sessions by person, session 2s: 156 keys, 198 open rows, 16 closed, \d+(\.\d)? KiB$/m,
    ]) {
      expect(stdout).toMatch(line)
    }
    expect(stdout).toContain('open    ios       views.count=34  median+top.count=97  median.quantiles=<424 B>')
    const shown = json((await cli.run('savepoint', 'inspect', fixture, '--table', 'window', '-o', 'json')).stdout)
    expect(shown).toMatchObject({
      job: 'shop',
      name: 'shop',
      keyHash: { name: 'murmur3-x86-32', seed: 0, groups: 128 },
    })
    const missing = await cli.run('savepoint', 'inspect', folder)
    expect(missing).toMatchObject({ code: 5, stdout: '' })
    expect(missing.stderr).toContain('it has no savepoint.binpb')
  })
})
