/**
 * `make check`: everything about the tree that can be checked without running it.
 *
 * Each step is a command; its output is shown only when it fails or is skipped. Exit status 77 of a step means skipped
 * for a reason that its last line gives.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const SKIPPED = 77

/** What a suite found. A step of `check` counts as one test. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
}

interface Step {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

const steps: readonly Step[] = [
  { name: 'format and lint', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'promises', command: ['oxlint', '--type-aware', 'src', 'test', 'tools', 'bench'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'protos: lint', command: ['buf', 'lint'] },
  { name: 'protos: nothing breaks', command: ['tools/check-breaking.sh'] },
  { name: 'protos: src/gen is current', command: ['tools/check-generated.sh'] },
  { name: 'docs/reference is current', command: ['node', 'tools/reference.ts', '--check'] },
  { name: 'lock files name no host', command: ['tools/check-locks.sh'] },
]

function run(command: readonly [string, ...string[]]): Promise<{ status: number; output: string }> {
  const [program, ...args] = command
  return new Promise((done) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const parts: Buffer[] = []
    child.stdout.on('data', (data: Buffer) => parts.push(data))
    child.stderr.on('data', (data: Buffer) => parts.push(data))
    const output = (): string => Buffer.concat(parts).toString('utf8').trimEnd()
    child.once('error', (error) => done({ status: 1, output: `${program}: ${error.message}` }))
    child.once('close', (status) => done({ status: status ?? 1, output: output() }))
  })
}

/** Runs every step, all of them even after a failure, and prints a line for each. */
export async function runChecks(): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 }
  for (const step of steps) {
    const start = performance.now()
    const { status, output } = await run(step.command)
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    if (status === 0) {
      tally.passed++
      console.log(`check ok      ${step.name} (${seconds} s)`)
    } else if (status === SKIPPED) {
      tally.skipped++
      console.log(`check SKIPPED ${step.name}: ${output.split('\n').at(-1)}`)
    } else {
      tally.failed++
      console.log(`check FAILED  ${step.name}: ${step.command.join(' ')}\n${output}\n`)
    }
  }
  return tally
}

if (import.meta.main) {
  const { failed } = await runChecks()
  process.exitCode = failed > 0 ? 1 : 0
}
