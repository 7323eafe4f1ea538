/**
 * The path of a stranger: the guide's section from an empty folder to an answer, followed to the letter. Files, commands
 * and the answer are taken out of its Markdown, in order; nothing here repeats them.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheDir, freePort, projectRoot, waitUntil } from '../support/infra-process.ts'
import { npmEnv, packPackage } from '../support/packed.ts'

const guide = readFileSync(join(projectRoot, 'docs/guide/typescript-jobs.md'), 'utf8')
const section = guide.slice(guide.indexOf('## From an empty folder to an answer'), guide.indexOf('## A first job'))
const blocks = [...section.matchAll(/```(\w+) ?(\S*)\n([\s\S]*?)```/g)].map((match) => ({
  language: match[1]!,
  label: match[2]!,
  text: match[3]!,
}))

let root = ''
let folder = ''
let env: NodeJS.ProcessEnv = {}
let server: { readonly child: ChildProcess; readonly output: string[] } | undefined

beforeAll(async () => {
  mkdirSync(cacheDir, { recursive: true })
  root = mkdtempSync(join(cacheDir, 'stranger-'))
  folder = join(root, 'empty')
  mkdirSync(folder)
  await packPackage(join(root, 'checkout'), folder)
  const port = String(await freePort())
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_') && name !== 'NODE_OPTIONS')
  // Only the ports differ from what a stranger has: tests run beside each other.
  const ports = { MILLRACE_GRPC_PORT: port, MILLRACE_HTTP_PORT: '0', MILLRACE_SERVER: `127.0.0.1:${port}` }
  env = { ...Object.fromEntries(own), ...npmEnv, ...ports }
})

afterAll(async () => {
  await interrupt()
  if (root !== '') rmSync(root, { recursive: true, force: true, maxRetries: 3 })
})

async function type(commands: string): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-euc', commands], { cwd: folder, env })
  return stdout
}

async function serve(command: string): Promise<void> {
  // A group of its own, so that an interrupt reaches all of it, as from a terminal.
  const child = spawn('bash', ['-c', command], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => output.push(bytes.toString()))
  server = { child, output }
  await waitUntil(async () => output.join('').includes('serving gRPC'), {
    deadlineMs: 60_000,
    alive: () => child.exitCode === null,
    failure: () => `the server did not start:\n${output.join('')}`,
  })
}

/** Ctrl-C, and what the server has said. */
async function interrupt(): Promise<string> {
  if (server === undefined) return ''
  const { child, output } = server
  server = undefined
  const ended = child.exitCode === null ? once(child, 'close') : Promise.resolve()
  process.kill(-child.pid!, 'SIGINT')
  await ended
  return output.join('')
}

/** The lines of an answer; whether a value is settled yet is a matter of the moment. */
function lines(text: string): string[] {
  const named = text
    .replaceAll(/provisional|final|corrected/g, 'STATUS')
    .trimEnd()
    .split('\n')
  return named.map((line) => line.trim().replaceAll(/\s+/g, ' '))
}

async function answerOf(commands: string, expected: string): Promise<string[]> {
  let answer = ''
  const wanted = lines(expected).join()
  await waitUntil(
    async () => {
      answer = await type(commands)
      return lines(answer).join() === wanted
    },
    { deadlineMs: 60_000, alive: () => true, failure: () => `the answer stays\n${answer}` },
  ).catch(() => {})
  return lines(answer)
}

describe('the guide, from an empty folder', () => {
  it('has files, a server, commands and an answer', () => {
    const kinds = blocks.map(({ language, label }) =>
      label.startsWith('file=') ? 'file' : `${language} ${label}`.trim(),
    )
    expect(kinds).toEqual(['sh', 'file', 'file', 'sh', 'sh server', 'sh', 'sh ask', 'text'])
  })

  it("ends with a running job of one's own, and its numbers; also after the server has started again", async () => {
    const expected = blocks.find(({ language }) => language === 'text')!.text
    const serveCommand = blocks.find(({ label }) => label === 'server')!.text
    const ask = blocks.find(({ label }) => label === 'ask')!.text
    for (const { language, label, text } of blocks) {
      if (label.startsWith('file=')) {
        const file = join(folder, label.slice('file='.length))
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, text)
      } else if (label === 'server') await serve(text)
      else if (label === 'ask') expect(await answerOf(text, expected)).toEqual(lines(expected))
      else if (language === 'sh') await type(text)
    }
    expect(await type('npx millrace list')).toMatch(/first-purchases +RUNNING/)
    expect(await type('npx millrace describe first-purchases')).toContain('hash(key) → first')
    await interrupt()
    await serve(serveCommand)
    expect(await answerOf(ask, expected)).toEqual(lines(expected))
    expect(await interrupt()).toContain('stopping')
  })
})
