/**
 * Reads `restart`, in YAML definitions and in the settings of jobs in TypeScript:
 *
 *   restart: { exponentialDelay: { initial: 1s, multiplier: 1.5, max: 1m, jitter: 0.1, resetAfter: 1h, attempts: 0 } }
 *   restart: { fixedDelay: { attempts: 3, delay: 10s } }
 *   restart: { failureRate: { failures: 5, interval: 10m, delay: 1s } }
 *   restart: { none: {} }
 */
import { jobDefaults } from './defaults.ts'
import type { MappingReader } from './parse-reader.ts'
import type { RestartDefinition } from './restart-definition.ts'

const { exponentialDelay, fixedDelay, failureRate } = jobDefaults.restart

/** Most restarts that a strategy counts. */
const ATTEMPTS_MAX = 1_000_000

/** The strategy in `restart` of `parent`; nothing where it names none. Mistakes go to the reader. */
export function readRestart(parent: MappingReader): { readonly restart?: RestartDefinition } {
  if (!parent.has('restart')) return {}
  const reader = parent.mapping('restart')
  const kind = reader.only(['exponentialDelay', 'fixedDelay', 'failureRate', 'none'], 'restart strategy')
  if (kind === undefined) return {}
  const from = reader.mapping(kind, true)
  const restart = readStrategy(from, kind)
  from.finish()
  reader.finish()
  return { restart }
}

function readStrategy(from: MappingReader, kind: RestartDefinition['kind']): RestartDefinition {
  switch (kind) {
    case 'exponentialDelay': {
      const initialMs = from.duration('initial', exponentialDelay.initialMs, 1)
      return {
        kind,
        initialMs,
        multiplier: from.number('multiplier', exponentialDelay.multiplier, 1, 100, true),
        // The growth ends where it began rather than below.
        maxMs: from.duration('max', Math.max(exponentialDelay.maxMs, initialMs), initialMs),
        jitter: from.number('jitter', exponentialDelay.jitter, 0, 1, true),
        resetAfterMs: from.duration('resetAfter', exponentialDelay.resetAfterMs, 1),
        attempts: from.number('attempts', exponentialDelay.attempts, 0, ATTEMPTS_MAX),
      }
    }
    case 'fixedDelay':
      return {
        kind,
        attempts: from.number('attempts', fixedDelay.attempts, 1, ATTEMPTS_MAX),
        delayMs: from.duration('delay', fixedDelay.delayMs),
      }
    case 'failureRate':
      return {
        kind,
        failures: from.number('failures', failureRate.failures, 1, 1000),
        intervalMs: from.duration('interval', failureRate.intervalMs, 1),
        delayMs: from.duration('delay', failureRate.delayMs),
      }
    case 'none':
      return { kind }
  }
}
