/** The topics on Kafka that a job reads and writes, from its complete definition. */
import type { JobDefinition, SinkOutput, SourceInput } from '../job/definition.ts'

/** A topic of a cluster. */
export interface KafkaTopic {
  /** `host:port,host:port`. */
  readonly brokers: string
  readonly topic: string
}

/** Every topic once, sources first. */
export function kafkaTopicsOf({ source, sinks, deadLetters, late, episodes }: JobDefinition): KafkaTopic[] {
  const inputs = source.input.kind === 'several' ? source.input.parts.map(({ input }) => input) : [source.input]
  const outputs = [...sinks.map(({ output }) => output), deadLetters?.output, late?.output, episodes]
  const found = new Map<string, KafkaTopic>()
  for (const end of [...inputs, ...outputs] as (SourceInput | SinkOutput | undefined)[]) {
    if (end?.kind === 'kafka') found.set(`${end.brokers} ${end.topic}`, { brokers: end.brokers, topic: end.topic })
  }
  return [...found.values()]
}
