/**
 * The entry of a throw-away thread that loads a job's module, says what it is, and ends.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import { describeProgram, type ProgramDescription } from '../program/graph.ts'
import { loadProgram } from './program-load.ts'

/** What the thread says before it ends. */
export type InspectAnswer = { readonly description: ProgramDescription } | { readonly error: ErrorData }

async function inspect(file: string): Promise<InspectAnswer> {
  try {
    return { description: describeProgram(await loadProgram(file)) }
  } catch (thrown) {
    return { error: MillraceError.from(thrown).toData() }
  }
}

if (parentPort !== null) parentPort.postMessage(await inspect((workerData as { readonly file: string }).file))
