/** Programs that tests need and that a fresh machine lacks. */
import { spawnSync } from 'node:child_process'

/**
 * Sees that a program is on PATH; installs its package by apt when it is not and we may. Returns why there is none, ''
 * when there is.
 */
export function aptInstalled(program: string, packageName = program): string {
  if (works(program)) return ''
  const missing = aptInstall(program, packageName)
  if (missing !== '') return missing
  return works(program) ? '' : `${program} does not run after apt-get install`
}

/** Installs a package by apt, if we may; `program` is what is missing. Returns why it could not, '' when it did. */
export function aptInstall(program: string, packageName: string): string {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) {
    return `${program} is not on PATH`
  }
  process.stderr.write(`${program} is not on PATH: installing it with apt-get\n`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', packageName]]) {
    const step = spawnSync('apt-get', ['-qq', ...args], { env, encoding: 'utf8' })
    if (step.status !== 0) return `apt-get ${args.join(' ')} failed:\n${step.stderr}`
  }
  return ''
}

function works(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}
