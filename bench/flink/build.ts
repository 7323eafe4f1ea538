/**
 * Builds the rival once: Maven compiles bench/flink and copies its runtime closure into .cache/flink.
 *
 * Built again when the pom or a source changes (a stamp holds a hash of them). Two processes that build at the same time
 * wait for each other by a lock directory.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const here = import.meta.dirname
const cache = resolve(here, '../../.cache/flink')
const stamp = join(cache, 'built')
const lock = join(cache, 'building')
const LOCK_STALE_MS = 10 * 60_000

/** Class path of the built rival. Builds it when needed: the first time Maven fetches about 140 MB. */
export async function buildFlink(): Promise<string> {
  const wanted = sourceHash()
  mkdirSync(cache, { recursive: true })
  while (!isBuilt(wanted)) {
    const missing = missingForFlink()
    if (missing !== null) throw new Error(missing)
    if (!takeLock()) {
      await delay(250)
      continue
    }
    try {
      await maven(['-q', '-B', '-f', join(here, 'pom.xml'), 'package'])
      writeFileSync(stamp, wanted)
    } finally {
      rmSync(lock, { recursive: true, force: true })
    }
  }
  return `${join(cache, 'target/classes')}:${join(cache, 'libs')}/*`
}

/** What is missing to build the rival here; null for nothing. */
function missingForFlink(): string | null {
  const missing = ['java', 'mvn'].filter((name) => !onPath(name))
  return missing.length === 0 ? null : `${missing.join(' and ')} not on PATH: Flink needs Java 17 and Maven`
}

function isBuilt(wanted: string): boolean {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
}

function sourceHash(): string {
  const hash = createHash('sha256')
  for (const file of ['pom.xml', ...globSync('src/main/{java,resources}/**/*.*', { cwd: here }).sort()]) {
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(here, file)))
      .update('\0')
  }
  return hash.digest('hex')
}

function takeLock(): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch {
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > LOCK_STALE_MS) rmSync(lock, { recursive: true, force: true })
    return false
  }
}

function maven(args: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn('mvn', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()))
    child.once('error', (error) => fail(new Error(`mvn did not start: ${error.message}`)))
    child.once('close', (code) => {
      if (code === 0) done()
      else fail(new Error(`mvn ${args.join(' ')} ended with status ${code}\n${output.slice(-4_000)}`))
    })
  })
}

function onPath(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, name)))
}
