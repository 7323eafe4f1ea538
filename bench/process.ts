/**
 * One side of a comparison as a child process: its JSON lines, and its memory and CPU seen from outside.
 *
 * Both sides are watched by the same code: /proc of the process, and of any helper process counted with it
 * (redis-server on Millrace's side). Works on Linux only; elsewhere memory and CPU read 0.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { RivalResult } from './rules.ts'

/** How to run one side. */
export interface SideOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Processes whose memory and CPU count as the side's too. */
  readonly helperPids?: readonly number[]
  /** Ends the side and fails after this long. */
  readonly timeoutMs: number
  /** Told of every progress line. */
  readonly onProgress?: (line: Readonly<Record<string, unknown>>) => void
}

/** A side's own result and what was seen of it. */
export interface SideRun {
  readonly result: RivalResult
  /** Highest resident memory of the process and its helpers together, bytes. */
  readonly rssPeakBytes: number
  /** CPU of the process and of its helpers during the run, seconds. */
  readonly cpuSeconds: number
}

const TICKS_PER_SECOND = 100
const WATCH_MS = 200
const STDERR_LINES = 40

/** Runs a side to its end. Rejects with the tail of its error output when it fails or prints no result. */
export async function runSide(options: SideOptions): Promise<SideRun> {
  const helpers = options.helperPids ?? []
  const helperCpuBefore = helpers.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const pid = child.pid ?? -1
  let result: RivalResult | undefined
  let errorTail: string[] = []
  let rssPeak = 0
  let cpu = 0
  const look = (): void => {
    rssPeak = Math.max(
      rssPeak,
      [pid, ...helpers].reduce((sum, one) => sum + rssBytes(one), 0),
    )
    // The last look before the end is what counts: a process that is gone has no CPU to read.
    cpu = Math.max(cpu, cpuSeconds(pid))
  }
  const watcher = setInterval(look, WATCH_MS)
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs)
  eachLine(child.stdout, (line) => {
    const message = parseLine(line)
    if (message?.type === 'result') {
      result = message as unknown as RivalResult
      look()
    } else if (message !== undefined) options.onProgress?.(message)
  })
  eachLine(child.stderr, (line) => {
    errorTail = [...errorTail.slice(-STDERR_LINES + 1), line]
  })
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, fail) => {
    child.once('error', fail)
    child.once('close', (code, killed) => done([code, killed]))
  }).finally(() => {
    clearInterval(watcher)
    clearTimeout(timer)
  })
  if (status !== 0 || result === undefined) {
    const end = signal === null ? `ended with status ${status}` : `was ended by ${signal}`
    throw new Error(`${options.name} ${end} and gave ${result ? 'a' : 'no'} result\n${errorTail.join('\n')}`)
  }
  const helperCpu = helpers.reduce((sum, one) => sum + cpuSeconds(one), 0) - helperCpuBefore
  return { result, rssPeakBytes: Math.max(rssPeak, result.rssPeakBytes), cpuSeconds: cpu + Math.max(0, helperCpu) }
}

/** Resident memory of a process now, bytes; 0 when it is gone or unknown. */
export function rssBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, 'status'))
  return found === null ? 0 : Number(found[1]) * 1024
}

/** CPU that a process has used, user and system, seconds; 0 when it is gone or unknown. */
export function cpuSeconds(pid: number): number {
  const stat = readProc(pid, 'stat')
  // The second field is the command in brackets and may hold blanks: count from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}

function eachLine(stream: NodeJS.ReadableStream, task: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) task(line)
  })
  stream.on('end', () => {
    if (rest !== '') task(rest)
  })
}
