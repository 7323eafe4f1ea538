/** Which file a submitted name of a module stands for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JobModules } from '../../src/control/program-compiler.ts'
import { defineJob } from '../../src/program/define.ts'
import { describeProgram } from '../../src/program/graph.ts'
import { clickJob, out } from '../program/support.ts'

let folder = ''
const asked: string[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-modules-'))
  mkdirSync(join(folder, 'jobs/jobs'), { recursive: true })
  writeFileSync(join(folder, 'jobs/a.ts'), '')
  writeFileSync(join(folder, 'jobs/b.ts'), '')
  writeFileSync(join(folder, 'jobs/jobs/b.ts'), '')
})

afterAll(() => rmSync(folder, { recursive: true }))

const program = defineJob({ ...clickJob, build: (clicks) => clicks.sinkTo({ id: 'out', to: out('out') }) })

async function fileOf(module: string): Promise<string> {
  const modules = new JobModules(join(folder, 'jobs'), async (file) => {
    asked.push(file)
    return describeProgram(program)
  })
  const definition = await modules.definitionOf(module)
  // What is stored is the name by which threads find the same file.
  expect(modules.fileOf(definition.program!.module)).toBe(asked.at(-1))
  return asked.at(-1)!.slice(folder.length + 1)
}

describe('the name of a module', () => {
  it('is looked up in the folder, also when it names that folder', async () => {
    expect(await fileOf('a.ts')).toBe('jobs/a.ts')
    expect(await fileOf('jobs/a.ts')).toBe('jobs/a.ts')
  })

  it('means a folder of the same name within, where there is one', async () => {
    expect(await fileOf('jobs/b.ts')).toBe('jobs/jobs/b.ts')
  })

  it('stays as it was given where there is no such file, for the message', async () => {
    expect(await fileOf('jobs/none.ts')).toBe('jobs/jobs/none.ts')
  })

  it('leads nowhere outside', async () => {
    await expect(fileOf('../a.ts')).rejects.toMatchObject({ code: 'JOB_INVALID' })
  })
})
