/** A job in TypeScript as the definition that servers store: the same shape as a declarative job's, without metrics. */
import type { JobDefinition } from '../job/definition.ts'
import type { ProgramDescription } from './graph.ts'

/** The definition of what `module` says of itself. */
export function programDefinition(
  module: string,
  { settings, nodes, sinks, subjects }: ProgramDescription,
): JobDefinition {
  const { name, description, source, watermark, checkpoint, restart, poison, parallelism, keyGroups, stateLimitBytes } =
    settings
  return {
    name,
    source,
    event: { message: '', time: '', timeUnit: 'ms', key: '', maxFutureMs: settings.maxFutureMs },
    watermark,
    checkpoint,
    ...(restart === undefined ? {} : { restart }),
    ...(poison === undefined ? {} : { poison }),
    parallelism,
    keyGroups,
    preAggregation: false,
    stateLimitBytes,
    metrics: [],
    sinks,
    deadLetters: settings.deadLetters,
    late: null,
    program: { module, description, operators: nodes, ...(subjects.length === 0 ? {} : { subjects }) },
  }
}
