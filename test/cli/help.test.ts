import { describe, expect, it } from 'vitest'
import type { CliDeps } from '../../src/cli/deps.ts'
import { exitCodes } from '../../src/cli/failure.ts'
import { exitMeanings, leafCommands, lessons } from '../../src/cli/help.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { FakeStream } from '../support/cli.ts'

function program() {
  const stdout = new FakeStream()
  const stderr = new FakeStream()
  const deps: CliDeps = {
    stdout,
    stderr,
    readStdin: async () => '',
    env: {},
    clock: systemClock,
    scheduler: systemScheduler,
    random: new SeededRandom(1),
    descriptors: () => new Uint8Array(),
    startEngine: () => Promise.reject(new Error('no engine here')),
    onSignal: () => () => {},
    command: 'millrace',
    version: '1.2.3',
  }
  return { built: buildProgram(deps, { demoJob: 'jobs/engagement.yaml' }), stdout }
}

/** The words of a line as a shell would pass them on: quotes taken off, what is redirected left out. */
function wordsOf(line: string): string[] {
  const [typed = ''] = line.split(/ >{1,2}(?= )/)
  return [...typed.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
}

describe('help', () => {
  it('has examples for every command, and no other', () => {
    const paths = leafCommands(program().built).map(({ path }) => path)
    expect(Object.keys(lessons).sort()).toEqual(['', ...paths].sort())
  })

  it.each(Object.entries(lessons).flatMap(([path, { examples }]) => examples.map(([line]) => [path, line] as const)))(
    'of %j shows what can be typed: %s',
    async (_, line) => {
      const { built } = program()
      const ran: string[] = []
      for (const { path, command } of leafCommands(built)) command.action(() => void ran.push(path))
      await built.parseAsync(wordsOf(line), { from: 'user' })
      expect(ran).toHaveLength(1)
    },
  )

  it.each(leafCommands(program().built).map(({ path }) => path))('of %s says how it can end', async (path) => {
    const { built, stdout } = program()
    await expect(built.parseAsync([...path.split(' '), '--help'], { from: 'user' })).rejects.toThrow()
    expect(stdout.text).toContain('Examples:\n')
    expect(stdout.text).toContain(`  millrace ${lessons[path]!.examples[0]![0]}`)
    expect(stdout.text).toMatch(/Exit codes:\n {2}0 +done\n/)
  })

  it('explains every exit code at the top', async () => {
    const { built, stdout } = program()
    await expect(built.parseAsync(['--help'], { from: 'user' })).rejects.toThrow()
    for (const [name, meaning] of Object.entries(exitMeanings)) {
      expect(stdout.text).toContain(`  ${String(exitCodes[name as keyof typeof exitCodes]).padEnd(4)} ${meaning}\n`)
    }
  })
})
