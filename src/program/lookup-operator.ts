/**
 * The lookup join: each record completed by an answer from outside (a cache, a database, a service).
 *
 * Owns: how many questions are under way, and the order of results, which is that of the records. Before a watermark or
 * a barrier goes on, every question that came before it is answered; so nothing of it is in a checkpoint, and after a
 * crash questions are asked again. A question that fails, fails the attempt: catch what the job can live with.
 */
import { MillraceError } from '../core/errors.ts'
import { failedAt, recordText, refuseAsync } from './code-failure.ts'
import type { Key } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'

/** A lookup join. */
export interface Lookup<In, R, Out> {
  /** Names the operator. */
  readonly id: string
  /** Most questions under way in a subtask; 32 unless given. */
  readonly concurrency?: number
  /** Asks. Give it a time-out: nothing else ends a question. */
  lookup(value: In): Promise<R>
  /** The record with its answer; undefined for nothing. */
  join(value: In, answer: R): Out | undefined
}

interface Question {
  readonly value: unknown
  readonly key: Key
  readonly timestampMs: number
  /** The record of the source that it comes from. */
  readonly partition: number
  readonly offset: number
  answer: unknown
  done: boolean
}

/** Checks what a lookup says of itself. JOB_INVALID. */
export function checkLookup({ id, concurrency }: { readonly id: string; readonly concurrency?: number }): void {
  if (concurrency === undefined || (Number.isSafeInteger(concurrency) && concurrency > 0)) return
  throw new MillraceError(
    'JOB_INVALID',
    `concurrency of ${id} is ${concurrency}: how many questions may be under way is a whole number above zero`,
  )
}

/** Runs a lookup in one subtask. */
export function openLookup(lookup: Lookup<unknown, unknown, unknown>, runtime: OperatorRuntime): KeyedOperator {
  const concurrency = lookup.concurrency ?? 32
  const queue: Question[] = []
  const take = ({ partition, offset }: Question): void => {
    runtime.current.partition = partition
    runtime.current.offset = offset
  }
  const ask = (question: Question): void => {
    Promise.resolve(lookup.lookup(question.value)).then(
      (answer) => {
        question.answer = answer
        question.done = true
        runtime.wake()
      },
      (error: unknown) => {
        take(question)
        runtime.fail(failedAt(lookup.id, error, recordText(question.key, question.timestampMs)))
      },
    )
  }
  return {
    get full() {
      return queue.length >= concurrency
    },
    onRecord(_input, value, timestampMs, entry) {
      const { partition, offset } = runtime.current
      const question = { value, key: entry!.key, timestampMs, partition, offset, answer: undefined, done: false }
      queue.push(question)
      ask(question)
    },
    poll() {
      while (queue[0]?.done === true) {
        const question = queue.shift()!
        const { value, key, answer, timestampMs } = question
        take(question)
        try {
          const out = lookup.join(value, answer)
          refuseAsync(out, lookup.id, 'join')
          if (out !== undefined) runtime.emit(out, timestampMs)
        } catch (thrown) {
          throw failedAt(lookup.id, thrown, recordText(key, timestampMs))
        }
      }
      return queue.length > 0
    },
  }
}
