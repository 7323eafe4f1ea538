/** The table of error codes in a transaction: complete where it must be, and never a wrong "done". */
import { expect, it } from 'vitest'
import { kafkaErrorPasses } from '../../../src/source/kafka/errors.ts'
import { type TransactionStep, transactionVerdict } from '../../../src/source/kafka/transaction-verdict.ts'

const steps: TransactionStep[] = ['find', 'init', 'add', 'produce', 'end']

it.each(steps)('%s is done with 0, and with a sequence that is there already when it is a Produce', (step) => {
  for (let code = -1; code <= 140; code++) {
    const done = code === 0 || (step === 'produce' && code === 46)
    expect(transactionVerdict(step, code) === 'done', `code ${code}`).toBe(done)
  }
})

it.each(steps)('%s asks again after what passes by itself', (step) => {
  for (let code = 1; code <= 140; code++) {
    const again = ['again', 'elsewhere'].includes(transactionVerdict(step, code))
    // 78 and 100 answer requests that a transaction does not make; 2 passes here, as the damage was on the way.
    if (code === 2 || code === 52) expect(again).toBe(true)
    else if (code !== 78 && code !== 100) expect(again, `code ${code}`).toBe(kafkaErrorPasses(code))
  }
})

it.each([
  [14, 'again'],
  [16, 'elsewhere'],
  [51, 'again'],
  [47, 'fenced'],
  [90, 'fenced'],
  [48, 'failed'],
  [45, 'failed'],
  [59, 'failed'],
  [49, 'failed'],
  [-1, 'failed'],
  [999, 'failed'],
  [10, 'refused'],
  [29, 'refused'],
  [53, 'refused'],
  [50, 'refused'],
] as const)('code %i means %s at every step', (code, verdict) => {
  for (const step of steps) expect(transactionVerdict(step, code)).toBe(verdict)
})
