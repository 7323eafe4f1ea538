/**
 * Asks a module what job it is, in a thread of its own that is thrown away after the answer.
 *
 * Owns: the deadline and the heap limit of that thread: a module that does not come to an end of loading, or eats
 * memory, costs nobody anything else.
 */
import { Worker } from 'node:worker_threads'
import type { Scheduler } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { ProgramDescription } from '../program/graph.ts'

/** Modules that are asked at the same moment, and that wait for that. */
const RUNNING_MAX = 2
const WAITING_MAX = 32

/**
 * As `inspect`, for callers that a server does not choose: few at a time, and one for all who ask of the same file at
 * the same moment. Rejects LIMIT_EXCEEDED when too many wait.
 */
export function limitInspections(
  inspect: (file: string) => Promise<ProgramDescription>,
): (file: string) => Promise<ProgramDescription> {
  const asked = new Map<string, Promise<ProgramDescription>>()
  const waiting: (() => void)[] = []
  let running = 0
  const inTurn = async (file: string): Promise<ProgramDescription> => {
    if (running >= RUNNING_MAX) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await inspect(file)
    } finally {
      const next = waiting.shift()
      // Whoever waits takes this turn over.
      if (next === undefined) running--
      else next()
    }
  }
  return async (file) => {
    const known = asked.get(file)
    if (known !== undefined) return known
    if (waiting.length >= WAITING_MAX) {
      const text = `${RUNNING_MAX + WAITING_MAX} job modules are being looked at: try again later`
      throw new MillraceError('LIMIT_EXCEEDED', text)
    }
    const answer = inTurn(file).finally(() => asked.delete(file))
    asked.set(file, answer)
    return answer
  }
}

/** Longest loading of a module. */
const DEADLINE_MS = 10_000
const HEAP_MB = 256

/** What the module at `file` says of itself. JOB_INVALID when it is no job, or does not say within the deadline. */
export async function inspectModule(
  file: string,
  scheduler: Scheduler,
  deadlineMs = DEADLINE_MS,
): Promise<ProgramDescription> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`../runtime/worker-inspect.${extension}`, import.meta.url), {
    workerData: { file },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    // What a module prints while it is asked is not output of the command that asks.
    stdout: true,
  })
  const answer = Promise.withResolvers<ProgramDescription>()
  const fail = (why: string): void =>
    answer.reject(new MillraceError('JOB_INVALID', `the job module ${file} cannot be used: ${why}`))
  const cancel = scheduler.after(deadlineMs, () => fail(`loading it has not ended within ${deadlineMs} ms`))
  worker.on('message', (said: { readonly description?: ProgramDescription; readonly error?: ErrorData }) => {
    if (said.description !== undefined) answer.resolve(said.description)
    else if (said.error !== undefined) answer.reject(MillraceError.fromData(said.error))
  })
  worker.on('error', (error) => fail(MillraceError.from(error).message))
  worker.on('exit', (code) => fail(`its thread ended with code ${code}`))
  try {
    return await answer.promise
  } finally {
    cancel()
    await worker.terminate()
  }
}
