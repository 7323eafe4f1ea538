/**
 * `make test`: the checks and every test suite in turn, on one broker, one Redis and one PostgreSQL that serve the whole run.
 *
 *   node tools/test.ts [SUITE …]
 *
 * Prints what failed and why, a line for each suite and, last, `N passed, N failed` over all of them; a step of `check`,
 * and a test file or a suite that does not even start, count as one. The exit status is not 0 when anything failed.
 * MILLRACE_FULL=1 includes the long tests.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildFlink } from '../bench/flink/build.ts'
import { aptInstalled } from '../test/support/apt.ts'
import { kafkaLibs } from '../test/support/broker-kafka.ts'
import { type Infra, startInfra } from '../test/support/infra.ts'
import { installLifetimes } from '../test/support/lifetimes/lifetimes.ts'
import { runChecks, type Tally } from './check.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const resultsDir = join(root, '.cache/results')

/** In the order of running: what fails fastest comes first. `servers` says that a suite needs those servers. */
const suites = [
  { name: 'check', servers: false },
  { name: 'unit', servers: false },
  { name: 'e2e', servers: true },
  { name: 'golden', servers: true },
  { name: 'chaos', servers: true },
] as const

type Suite = (typeof suites)[number]

let infra: Infra | undefined
let running: ChildProcess | undefined

/** A test in vitest's JSON report. */
interface TestReport {
  readonly status: string
  readonly fullName: string
  readonly failureMessages: readonly string[]
}

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly TestReport[]
  }[]
}

/** What failed, with as much of its message as tells why: said again at the end, where it is looked for. */
const failures: string[] = []

/** Lines of a message that are shown again: a property's seed and counterexample are within them. */
const FAILURE_LINES = 12

function noteFailure(name: string, message: string): void {
  const lines = message.split('\n').slice(0, FAILURE_LINES)
  failures.push([`FAILED ${name}`, ...lines.map((line) => `    ${line}`)].join('\n'))
}

function noteFailures(report: Report): void {
  for (const file of report.testResults) {
    const name = relative(root, file.name)
    if (file.status === 'failed' && file.assertionResults.length === 0) noteFailure(name, file.message)
    for (const test of file.assertionResults)
      if (test.status === 'failed') noteFailure(`${name}: ${test.fullName}`, test.failureMessages.join('\n'))
  }
}

async function runVitest(project: string, env: Readonly<Record<string, string>>): Promise<Tally> {
  const report = join(resultsDir, `${project}.json`)
  rmSync(report, { force: true })
  const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const status = await new Promise<number>((done) => {
    running = spawn('vitest', args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
    running.once('error', (error) => {
      console.error(`vitest did not start: ${error.message}`)
      done(1)
    })
    running.once('exit', (code) => done(code ?? 1))
  })
  running = undefined
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 }
  const found = JSON.parse(readFileSync(report, 'utf8')) as Report
  noteFailures(found)
  const filesThatDidNotLoad = found.testResults.filter((f) => f.status === 'failed' && f.assertionResults.length === 0)
  const failed = found.numFailedTests + filesThatDidNotLoad.length
  return {
    passed: found.numPassedTests,
    // An error outside every test (an unhandled rejection, a set-up) fails the run without failing a test.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: found.numPendingTests + found.numTodoTests,
  }
}

async function runSuite(suite: Suite): Promise<Tally> {
  if (suite.name === 'check') return runChecks()
  if (suite.servers) infra ??= await startInfra()
  return runVitest(suite.name, infra?.env ?? {})
}

function hasFiles(suite: Suite): boolean {
  return !suite.servers || globSync(`test/${suite.name}/**/*.test.ts`, { cwd: root }).length > 0
}

/**
 * Fetches and compiles what suites need besides the servers, outside the time limits of single tests. What cannot be had
 * is only said here: the tests that need it fail and name it.
 */
async function prepare(): Promise<void> {
  for (const result of await Promise.allSettled([kafkaLibs(), buildFlink(), installLifetimes()])) {
    if (result.status === 'rejected') console.error(String(result.reason))
  }
}

/** The shells whose completion is tried; a test whose shell cannot be had is skipped and names it. */
function prepareShells(): void {
  for (const shell of ['zsh', 'fish']) {
    const missing = aptInstalled(shell)
    if (missing !== '') console.error(missing)
  }
}

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name))
  if (unknown.length > 0) {
    console.error(`no suite ${unknown.join(', ')}; there are ${suites.map((suite) => suite.name).join(', ')}`)
    return 2
  }
  mkdirSync(resultsDir, { recursive: true })
  const total: Tally = { passed: 0, failed: 0, skipped: 0 }
  const lines: string[] = []
  const chosen = suites.filter((suite) => wanted.length === 0 || wanted.includes(suite.name))
  let prepared = false
  for (const suite of chosen) {
    if (!hasFiles(suite)) {
      lines.push(`suite ${suite.name} has no test`)
      continue
    }
    const start = performance.now()
    let tally: Tally
    try {
      if (suite.servers && !prepared) await prepare()
      prepared ||= suite.servers
      if (suite.name === 'unit') prepareShells()
      tally = await runSuite(suite)
    } catch (error) {
      console.error(`suite ${suite.name} could not start: ${error instanceof Error ? error.message : String(error)}`)
      tally = { passed: 0, failed: 1, skipped: 0 }
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const skipped = tally.skipped > 0 ? ` skipped=${tally.skipped}` : ''
    lines.push(`suite ${suite.name} seconds=${seconds} passed=${tally.passed} failed=${tally.failed}${skipped}`)
    console.log(lines.at(-1))
    total.passed += tally.passed
    total.failed += tally.failed
    total.skipped += tally.skipped
  }
  await infra?.stop()
  console.log(`\n${[...failures, ...lines].join('\n')}`)
  if (infra && infra.broker.kind !== 'redpanda') console.log(`broker: ${infra.broker.description} (not Redpanda)`)
  console.log(`${total.passed} passed, ${total.failed} failed`)
  return total.failed > 0 ? 1 : 0
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    running?.kill(signal)
    void (infra?.stop() ?? Promise.resolve()).finally(() => process.exit(130))
  })
}

process.exitCode = await main(process.argv.slice(2))
