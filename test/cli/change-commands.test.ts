/** Commands that change a job while it runs, through the server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness
let folder: string
let path: string

beforeEach(async () => {
  cli = new CliHarness()
  folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
  path = join(folder, 'job.yaml')
  writeFileSync(path, 'name: engagement')
  await cli.serveDefault()
  await cli.run('submit', path)
})

afterEach(async () => {
  await cli.close()
  rmSync(folder, { recursive: true, force: true })
})

it('rescale says how the job went on, and nothing where nothing changes', async () => {
  const rescaled = await cli.run('rescale', 'engagement', '-p', '7', '-o', 'json')
  expect(rescaled.code).toBe(0)
  expect(JSON.parse(rescaled.stdout)).toMatchObject({
    job: { name: 'engagement', parallelism: 7 },
    redeploy: { kind: 'rescale', to: 7, outcome: 'done' },
  })
  const again = await cli.run('rescale', 'engagement', '-p', '7', '-o', 'json')
  expect(JSON.parse(again.stdout)).toMatchObject({ redeploy: null })
  expect((await cli.run('rescale', 'engagement', '-p', 'many')).code).toBe(2)
  expect((await cli.run('rescale', 'nobody', '-p', '2')).code).toBe(5)
})

it('upgrade shows what becomes of state, and asks for what would be lost', async () => {
  const dry = await cli.run('upgrade', path, '--dry-run')
  expect(dry.stdout).toMatch(/dropped .*users/)
  expect(dry.stderr).toContain('the job has no such metric')
  expect(dry.code).not.toBe(0)
  const refused = await cli.run('upgrade', path)
  expect(refused.stderr).toContain('metric users')
  expect(refused.code).toBe(dry.code)
  const done = await cli.run('upgrade', path, '--drop-state', 'users', '-o', 'json')
  expect(done.code).toBe(0)
  expect(JSON.parse(done.stdout)).toMatchObject({ redeploy: { kind: 'upgrade', outcome: 'done' } })
})
