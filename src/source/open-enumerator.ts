/** The control-plane half of a source, as its definition names it. */
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import { invariant } from '../core/errors.ts'
import type { SingleInput, SourceDefinition } from '../job/definition.ts'
import { GeneratorSourceEnumerator, generatorAdvance } from './generator-source.ts'
import type { KafkaSecurity } from './kafka/connection.ts'
import { KafkaEnumerator } from './kafka/kafka-enumerator.ts'
import { LogSourceEnumerator } from './log-enumerator.ts'
import { SeveralEnumerator } from './several-sources.ts'
import type { SourceEnumerator } from './source.ts'

/** What enumerators are handed. */
export interface EnumeratorPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** What the brokers want. */
  readonly kafka?: KafkaSecurity
}

/** Opens the enumerator of a source whose definition is complete (brokers filled in). */
export function openEnumerator(source: SourceDefinition, ports: EnumeratorPorts): SourceEnumerator {
  const { input } = source
  if (input.kind === 'several') {
    const { parts } = input
    return new SeveralEnumerator(
      parts,
      parts.map((part) => openOne(part.id, part.input, ports)),
    )
  }
  return openOne(source.id, input, ports)
}

function openOne(id: string, input: SingleInput, ports: EnumeratorPorts): SourceEnumerator {
  switch (input.kind) {
    case 'kafka': {
      invariant(input.brokers !== '', `source ${id} without brokers`)
      const brokers = input.brokers.split(',').map((broker) => broker.trim())
      const { topic, isolation } = input
      return new KafkaEnumerator({ brokers, topic, isolation, ...ports.kafka }, ports)
    }
    case 'log':
      return new LogSourceEnumerator(input.path, input.topic)
    case 'generator':
      return new GeneratorSourceEnumerator({ ...input, advance: generatorAdvance(input.eventsPerSecond) })
  }
}
