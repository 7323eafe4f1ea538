/** A job over events that are JSON: what tests of operators have in common. */
import type { EventType } from '../../src/program/graph.ts'
import type { OutputSpec } from '../../src/program/settings.ts'
import type { Click } from './reference.ts'

/** Events as JSON. */
export function jsonEvent<T>(): EventType<T> & { encode(event: T): { finish(): Uint8Array } } {
  return {
    decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)) as T,
    encode: (event) => ({ finish: () => new TextEncoder().encode(JSON.stringify(event)) }),
  }
}

/** A topic of the embedded log, which the harness keeps in memory. */
export function out(topic: string): OutputSpec {
  return { log: { path: 'unused', topic } }
}

/** All of a job but what it does. */
export const clickJob = {
  name: 'clicks',
  source: {
    input: { log: { path: 'unused', topic: 'clicks' } },
    event: jsonEvent<Click>(),
    time: (click: Click) => click.atMs,
  },
  // Watermarks come from the test alone.
  watermark: { outOfOrderness: '1h' },
} as const
