import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { completeSettings } from '../../src/program/settings.ts'
import { descriptors, small, told, violationsOf, withLine } from './parse-support.ts'

const restartOf = (text: string) => parseJob(withLine(`restart: ${text}`), descriptors).definition.restart

describe('restart', () => {
  it("is the server's own unless given", () => {
    expect(parseJob(small, descriptors).definition).not.toHaveProperty('restart')
  })

  it("has Flink's strategies with Flink's defaults", () => {
    expect(restartOf('{ exponentialDelay: {} }')).toEqual({
      kind: 'exponentialDelay',
      initialMs: 1000,
      multiplier: 1.5,
      maxMs: 60_000,
      jitter: 0.1,
      resetAfterMs: 3_600_000,
      attempts: 0,
    })
    expect(restartOf('{ fixedDelay: { delay: 10s, attempts: 3 } }')).toEqual({
      kind: 'fixedDelay',
      attempts: 3,
      delayMs: 10_000,
    })
    expect(restartOf('{ failureRate: { failures: 5, interval: 10m } }')).toEqual({
      kind: 'failureRate',
      failures: 5,
      intervalMs: 600_000,
      delayMs: 1000,
    })
    expect(restartOf('{ none: {} }')).toEqual({ kind: 'none' })
  })

  it('is refused with its place where it makes no sense', () => {
    expect(violationsOf(withLine('restart: { fixedDelay: {}, none: {} }')).map((v) => v.field)).toEqual(['restart'])
    expect(told(withLine('restart: { exponentialDelay: { initial: 1m, max: 1s, multiplier: 0.5 } }'))).toEqual([
      expect.stringMatching(/restart.exponentialDelay.max: /),
      expect.stringMatching(/restart.exponentialDelay.multiplier: /),
    ])
    expect(violationsOf(withLine('restart: { fixDelay: {} }'))[0]!.message).toContain('fixedDelay')
  })
})

describe('settings of a job in TypeScript', () => {
  const sources = [{ input: { log: { path: 'log', topic: 'events' } } }] as const

  it('take the same strategies, with durations as texts or numbers', () => {
    const settings = { name: 'a', restart: { fixedDelay: { attempts: 2, delay: 1500 } } } as const
    expect(completeSettings(settings, sources).restart).toEqual({ kind: 'fixedDelay', attempts: 2, delayMs: 1500 })
    const wrong = { name: 'a', restart: { fixedDelay: { attempts: 0 } } } as const
    expect(() => completeSettings(wrong, sources)).toThrow(/restart.fixedDelay.attempts/)
  })

  it('pass over poison only where it is kept', () => {
    const poison = { afterFailures: 3 }
    const deadLetters = { log: { path: 'log', topic: 'dead' } } as const
    expect(completeSettings({ name: 'a', poison, deadLetters }, sources).poison).toEqual(poison)
    expect(() => completeSettings({ name: 'a', poison }, sources)).toThrow(/needs deadLetters/)
    expect(() => completeSettings({ name: 'a', deadLetters, poison: { afterFailures: 0 } }, sources)).toThrow(/poison/)
  })
})
