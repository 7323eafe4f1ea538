/** The guide's own code: each block is checked as a job, and the guide's test passes. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectModule } from '../../src/coordinator/module-inspector.ts'
import { systemScheduler } from '../../src/core/system.ts'

const root = join(import.meta.dirname, '../..')
const guide = readFileSync(join(root, 'docs/guide/typescript-jobs.md'), 'utf8')
const blocks = [...guide.matchAll(/```\w+ file=(\S+)\n([\s\S]*?)```/g)].map(([, file, text]) => ({
  file: file!,
  text: text!,
}))
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-guide-'))
  mkdirSync(join(folder, 'node_modules'))
  mkdirSync(join(folder, 'jobs'))
  symlinkSync(root, join(folder, 'node_modules/millrace'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const { file, text } of blocks) writeFileSync(join(folder, file), text)
})

afterAll(() => rmSync(folder, { recursive: true }))

function run(...args: string[]): { readonly status: number | null; readonly output: string } {
  const { NODE_OPTIONS: _none, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env })
  return { status, output: stdout + stderr }
}

describe('the guide to jobs in TypeScript', () => {
  it('has the blocks that it speaks of', () => {
    expect(blocks.map(({ file }) => file)).toEqual([
      'jobs/first-purchases.ts',
      'jobs/new-customers.yaml',
      'revenue.ts',
      'revenue.test.ts',
      'revenue-faults.test.ts',
      'silence.ts',
      'more.ts',
      'paid.ts',
    ])
  })

  it.each(['revenue', 'silence', 'more', 'paid', 'jobs/first-purchases'])('%s is a job', async (name) => {
    const description = await inspectModule(join(folder, `${name}.ts`), systemScheduler)
    expect(description.settings.name).toBe(name.replace('jobs/', ''))
  })

  it('has a test that passes', () => {
    const { status, output } = run('--test', 'revenue.test.ts')
    expect(output).toContain('adds up the purchases')
    expect(status).toBe(0)
  })

  it('has a test under faults that passes', () => {
    const { status, output } = run('--test', 'revenue-faults.test.ts')
    expect(output).toContain('gives each result once')
    expect(status).toBe(0)
  })

  it('begins with `new job`, whose job and test run as they are', () => {
    const main = join(root, 'src/main.ts')
    expect(run(main, 'new', 'job', 'big-spenders', '--dir', '.')).toMatchObject({ status: 0 })
    expect(run(main, 'validate', 'big-spenders.ts').output).toContain('valid, job big-spenders')
    expect(run('--test', 'big-spenders.test.ts').status).toBe(0)
    expect(run(main, 'new', 'job', 'big-spenders', '--dir', '.').status).toBe(3)
    expect(run(main, 'new', 'job', 'Big Spenders').status).toBe(2)
  })

  it('ends a module that never comes to an end of loading', async () => {
    writeFileSync(join(folder, 'endless.ts'), 'for (;;) ;')
    await expect(inspectModule(join(folder, 'endless.ts'), systemScheduler, 500)).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining('has not ended within 500 ms'),
    })
  })
})
