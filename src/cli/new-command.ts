/** The command `new`: writes a job in TypeScript that runs, and its test, for somebody to change. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { MillraceError } from '../core/errors.ts'
import type { CliDeps } from './deps.ts'

/** Adds the command to the program. */
export function addNewCommand(program: Command, deps: Pick<CliDeps, 'stdout' | 'stderr'>): void {
  const command = program
    .command('new')
    .summary('write a new job to start from')
    .description('Writes files to start from. They run as they are.')
  command
    .command('job')
    .summary('write a job in TypeScript and its test')
    .description(
      'Writes <folder>/<name>.ts and <folder>/<name>.test.ts: a job that runs, and a test of it in virtual time.',
    )
    .argument('<name>', 'name of the job: lower-case letters, digits and "-"')
    .option('-d, --dir <folder>', 'folder to write to', 'jobs')
    .action((name: string, options: { readonly dir: string }) => {
      const [job, test] = writeJob(name, options.dir)
      deps.stdout.write(`${job}\n${test}\n`)
      deps.stderr.write(`try it with "node --test ${test}", run it with "millrace run ${job}"\n`)
    })
}

/** Writes the files of a new job; returns their paths. USAGE for a name that is none, INPUT_INVALID where a file is. */
function writeJob(name: string, folder: string): readonly [string, string] {
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
    throw new MillraceError('USAGE', `${JSON.stringify(name)} is no name of a job: lower-case letters, digits and "-"`)
  }
  const files = [
    [join(folder, `${name}.ts`), jobText(name)],
    [join(folder, `${name}.test.ts`), testText(name)],
  ] as const
  for (const [file] of files) {
    if (existsSync(file)) throw new MillraceError('INPUT_INVALID', `${file} is there already: it is not overwritten`)
  }
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of files) writeFileSync(file, text)
  return [files[0][0], files[1][0]]
}

function jobText(name: string): string {
  return `import { defineJob, Event, sum } from 'millrace'

/** Revenue of each person, each hour. */
export default defineJob({
  name: '${name}',
  source: {
    id: 'events',
    input: { log: { path: '.millrace/log', topic: 'events' } },
    event: Event,
    time: (event) => event.occurredAt,
  },
  watermark: { outOfOrderness: '5s', idleness: '30s' },
  checkpoint: { every: '1s' },
  build: (events) =>
    events
      .filter((event) => event.name === 'purchase')
      .keyBy((event) => event.person)
      .window({ tumbling: '1h' })
      .aggregate({ id: 'revenue', aggregate: sum((event: Event) => event.revenueMinor) })
      .sinkTo({ id: 'out', to: { log: { path: '.millrace/log', topic: '${name}' } } }),
})
`
}

function testText(name: string): string {
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Event } from 'millrace'
import { openHarness } from 'millrace/testing'
import job from './${name}.ts'

const noon = Date.UTC(2023, 10, 1, 12)

test('adds up the purchases of an hour', async () => {
  const harness = await openHarness<Event>(job)
  for (const revenueMinor of [500, 700]) {
    harness.push(Event.fromPartial({ person: 'ada', name: 'purchase', revenueMinor, occurredAt: new Date(noon) }))
  }
  await harness.finish()
  const [result] = harness.output<{ key: string; value: number }>('out')
  assert.equal(result?.key, 'ada')
  assert.equal(result?.value, 1200)
  await harness.close()
})
`
}
