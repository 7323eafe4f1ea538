import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shells } from '../../src/cli/completion-scripts.ts'
import { CliHarness } from '../support/cli.ts'

let cli: CliHarness
/** A folder with files to complete, and a `millrace` that knows names of jobs. */
let folder: string
const scripts = new Map<string, string>()

beforeAll(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
  folder = mkdtempSync(join(tmpdir(), 'millrace-completion-'))
  mkdirSync(join(folder, 'jobs dir'))
  writeFileSync(join(folder, 'job one.yaml'), '')
  writeFileSync(join(folder, 'other.yaml'), '')
  const names = 'case "$1 $2" in "__complete jobs") printf "engagement\\nshop\\n";; *) printf "shop/views\\n";; esac'
  writeFileSync(join(folder, 'millrace'), `#!/bin/sh\n${names}\n`)
  chmodSync(join(folder, 'millrace'), 0o755)
  for (const shell of shells) {
    const { code, stdout } = await cli.run('completion', shell)
    expect(code).toBe(0)
    scripts.set(shell, stdout)
  }
})

afterAll(async () => {
  await cli.close()
  rmSync(folder, { recursive: true, force: true })
})

const installed = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0

function run(shell: string, args: readonly string[]): string[] {
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, HOME: folder }
  const text = execFileSync(shell, args, { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return text.split('\n').filter((line) => line !== '')
}

/** What a shell offers after these words, the last of which is being typed. */
const offer: Record<string, (words: readonly string[]) => string[]> = {
  bash: (words) => {
    const list = words.map((word) => `'${word}'`).join(' ')
    const text = `${scripts.get('bash')}
COMP_WORDS=(millrace ${list}); COMP_CWORD=${words.length}
compopt() { :; }
_millrace; printf '%s\\n' "\${COMPREPLY[@]}"`
    return run('bash', ['--norc', '-c', text])
  },
  // Outside an editor zsh has no completion; what it would be told is printed instead.
  zsh: (words) => {
    const list = words.map((word) => `'${word}'`).join(' ')
    const text = `compdef() { : }
compadd() { local name=\${argv[-1]}; print -rl -- \${(P)name} }
_files() { if [[ $1 == -/ ]]; then print -rl -- *(/N); else print -rl -- *(N); fi }
${scripts.get('zsh')}
words=(millrace ${list}); CURRENT=${words.length + 1}
_millrace`
    const current = words.at(-1) ?? ''
    return run('zsh', ['-f', '-c', text]).filter((name) => name.startsWith(current))
  },
  fish: (words) => {
    writeFileSync(join(folder, 'millrace.fish'), scripts.get('fish') ?? '')
    const text = `source millrace.fish; complete -C '${['millrace', ...words].join(' ')}'`
    return run('fish', ['--no-config', '-c', text]).map((line) => line.split('\t')[0] ?? '')
  },
}

const cases: readonly (readonly [words: readonly string[], offered: readonly string[], not: readonly string[]])[] = [
  [['des'], ['describe'], ['list']],
  [[''], ['demo', 'query', 'lookup', 'completion'], ['__complete', 'help']],
  [
    ['describe', ''],
    ['engagement', 'shop'],
    ['shop/views', 'describe'],
  ],
  [['describe', 'sh'], ['shop'], ['engagement']],
  [['describe', '--output', 'json', 'sh'], ['shop'], ['engagement', 'json']],
  [['describe', '--output', ''], ['table', 'json'], ['shop']],
  [['list', '--o'], ['--output'], ['--server']],
  [['query', '--'], ['--top', '--filter', '--group-by'], ['--trigger']],
  [['query', ''], ['shop/views'], ['engagement']],
  [['checkpoints', '--t'], ['--trigger', '--timeout'], ['--top']],
  [['completion', ''], ['bash', 'fish', 'zsh'], ['shop']],
  [['submit', ''], ['job one.yaml', 'other.yaml'], ['shop']],
  [['validate', 'other.yaml', ''], ['other.yaml'], ['shop']],
  [['produce', '--log', ''], ['jobs dir'], ['other.yaml']],
]

for (const shell of shells) {
  // skip: a shell that is not installed here is tested where it is.
  describe.skipIf(!installed(shell))(`completion in ${shell}`, () => {
    it.each(cases)('of %j offers %j', (words, offered, not) => {
      // Some shells mark folders, some quote blanks.
      const got = offer[shell]!(words).map((name) => name.replace(/\/$/, '').replaceAll('\\', ''))
      expect(got).toEqual(expect.arrayContaining([...offered]))
      for (const name of not) expect(got).not.toContain(name)
    })

    it('is a script that the shell can read', () => {
      writeFileSync(join(folder, 'script'), scripts.get(shell) ?? '')
      expect(run(shell, ['-n', 'script'])).toEqual([])
    })
  })
}

describe('names for completion', () => {
  it('are those of jobs and metrics that the server has', async () => {
    await cli.control.submit({ kind: 'text', text: 'name: engagement' })
    expect(await cli.run('__complete', 'jobs')).toEqual({ code: 0, stdout: 'engagement\n', stderr: '' })
    const { stdout } = await cli.run('__complete', 'metrics')
    expect(stdout.split('\n')).toContain('engagement/page_views')
  })

  it('are nothing that a shell could take for more than a name', async () => {
    await cli.control.submit({ kind: 'text', text: 'name: $(touch hacked)' })
    expect((await cli.run('__complete', 'jobs')).stdout).toBe('engagement\n')
  })

  it('are none, silently, without a server', async () => {
    cli.env.MILLRACE_SERVER = '127.0.0.1:1'
    expect(await cli.run('__complete', 'jobs')).toEqual({ code: 0, stdout: '', stderr: '' })
  })
})
