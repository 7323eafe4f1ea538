/**
 * The npm package, installed in an empty folder as a stranger would: it holds JavaScript and declarations, its command
 * runs a job in worker threads, and a job in TypeScript is checked against its types.
 */
import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheDir, projectRoot } from '../support/infra-process.ts'
import { npmEnv, packPackage } from '../support/packed.ts'

const run = promisify(execFile)
let folder: string

beforeAll(async () => {
  mkdirSync(cacheDir, { recursive: true })
  folder = mkdtempSync(join(cacheDir, 'package-'))
  const tarball = await packPackage(join(folder, 'checkout'), folder)
  mkdirSync(join(folder, 'app'))
  writeFileSync(join(folder, 'app/package.json'), '{ "name": "app", "private": true, "type": "module" }')
  await run('npm', ['install', tarball], { cwd: join(folder, 'app'), env: { ...process.env, ...npmEnv } })
})

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
})

const app = (...parts: string[]): string => join(folder, 'app', ...parts)

async function millrace(...args: string[]): Promise<string> {
  const env = { ...process.env, MILLRACE_DATA_DIR: app('.millrace'), MILLRACE_GRPC_PORT: '0', MILLRACE_HTTP_PORT: '0' }
  const { stdout, stderr } = await run(app('node_modules/.bin/millrace'), args, { cwd: folder, env })
  return stdout + stderr
}

describe('the npm package', () => {
  it('holds no TypeScript but declarations, and nothing of the checkout besides', () => {
    const files = globSync('**/*', { cwd: app('node_modules/millrace'), withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules/millrace/node_modules'))
      .map((entry) => entry.name)
    expect(files.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))).toEqual([])
    expect(files).toContain('descriptors.binpb')
    expect(files).toContain('publish-manifest.lua')
    expect(files.filter((name) => name.includes('.test.') || name === 'Makefile')).toEqual([])
  })

  it('runs a job in worker threads, to its end', async () => {
    writeFileSync(
      app('job.yaml'),
      `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: packed }
sources: [{ generator: { maxEvents: 5000, eventsPerSecond: 0 } }]
metrics:
  - { id: events, count: {}, window: { tumbling: 1h } }
`,
    )
    expect(await millrace('run', app('job.yaml'))).toMatch(/job packed ended: FINISHED/)
  })

  it('types a job in TypeScript by the event, and finds a mistake in it', async () => {
    const job = (field: string): string => `import { defineJob, type Event } from 'millrace'
import { JobHarness } from 'millrace/testing'
export const made: [typeof defineJob, typeof JobHarness] = [defineJob, JobHarness]
export const person = (event: Event): string => event.${field}
`
    const check = async (): Promise<string> =>
      run(join(projectRoot, 'node_modules/.bin/tsc'), ['-p', app()]).then(
        () => '',
        (error: unknown) => (error as { stdout: string }).stdout,
      )
    const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, types: [], skipLibCheck: false }
    writeFileSync(app('tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
    writeFileSync(app('job.ts'), job('person'))
    expect(await check()).toBe('')
    writeFileSync(app('job.ts'), job('persom'))
    expect(await check()).toContain("Property 'persom' does not exist")
  })
})
