/** When the outputs of a job in TypeScript have their records: the keys and defaults of a YAML job. */
import { expect, it } from 'vitest'
import type { Delivery } from '../../src/job/definition.ts'
import { defineJob, describeJob } from '../../src/program/define.ts'
import { programDefinition } from '../../src/program/job-definition.ts'
import type { JobSettings } from '../../src/program/settings.ts'
import { errorOf } from '../job/parse-support.ts'
import { jsonEvent } from './support.ts'

const log = { log: { path: 'unused', topic: 't' } }

function jobWith(settings: Partial<JobSettings>, sink: { delivery?: Delivery } = {}, bounded = false) {
  return defineJob<{ atMs: number }>({
    name: 'shop',
    ...settings,
    source: { input: log, event: jsonEvent<{ atMs: number }>(), time: (event) => event.atMs, bounded },
    build: (events) => events.sinkTo({ id: 'out', to: { log: { path: 'unused', topic: 'out' } }, ...sink }),
  })
}

const deadLettersOf = (deadLetters: JobSettings['deadLetters']) =>
  programDefinition('shop', describeJob(jobWith({ ...(deadLetters === undefined ? {} : { deadLetters }) }))).deadLetters

const violationsOf = (run: () => unknown) => errorOf(run).violations.map(({ field, message }) => `${field}: ${message}`)

it('dead letters are exactly-once unless the job says otherwise', () => {
  const output = { kind: 'log', path: 'unused', topic: 't' }
  expect(deadLettersOf(undefined)).toBeNull()
  expect(deadLettersOf(log)).toEqual({ output, delivery: 'exactly-once' })
  expect(deadLettersOf({ ...log, delivery: 'exactly-once' })).toEqual({ output, delivery: 'exactly-once' })
  expect(deadLettersOf({ ...log, delivery: 'at-least-once' })).toEqual({ output })
})

it('what an output cannot do is refused, and so is a word that is none', () => {
  const http = { http: { url: 'https://a.example' } }
  expect(violationsOf(() => jobWith({ deadLetters: { ...http, delivery: 'at-least-once' } }))).toEqual([
    'deadLetters.delivery: http outputs are written by epochs, which are applied once: leave it out',
  ])
  const wrong = 'exactly_once' as Delivery
  const message = '"exactly_once" is no delivery: exactly-once or at-least-once'
  expect(violationsOf(() => jobWith({ deadLetters: { ...log, delivery: wrong } }))).toEqual([
    `deadLetters.delivery: ${message}`,
  ])
  expect(violationsOf(() => jobWith({}, { delivery: wrong }))).toEqual([`out: ${message}`])
})

it('exactly-once outputs need periodic checkpoints, unless input ends', () => {
  const checkpoint = { every: 0 }
  const words = (ids: string) =>
    `checkpoint.every: switches checkpoints off, but with delivery: exactly-once what goes to ${ids} leaves with checkpoints only: it never would. Set a period, as 1s, or delivery: at-least-once for ${ids}`
  expect(violationsOf(() => jobWith({ checkpoint, deadLetters: log }))).toEqual([words('out, deadLetters')])
  const atLeastOnce = { delivery: 'at-least-once' } as const
  expect(violationsOf(() => jobWith({ checkpoint, deadLetters: log }, atLeastOnce))).toEqual([words('deadLetters')])
  expect(
    jobWith({ checkpoint, deadLetters: { ...log, ...atLeastOnce } }, atLeastOnce).settings.checkpoint.everyMs,
  ).toBe(0)
  expect(jobWith({ checkpoint }, {}, true).settings.checkpoint.everyMs).toBe(0)
})
