/** What a server looks at on Kafka for people: transactions, and the partitions that they hold back. */
import type { JobManager } from '../coordinator/job-manager.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { isTerminal } from './api.ts'
import { type HeldPartition, HeldPartitions } from './held-partitions.ts'
import { type DeskJob, TransactionDesk, type TransactionsApi } from './transactions.ts'

/** Both, until they are closed. */
export interface KafkaInspection {
  readonly desk: TransactionsApi
  readonly heldPartitions: (job: string) => readonly HeldPartition[]
  close(): Promise<void>
}

/** Begins to look at the topics of the jobs of `manager`. */
export function inspectKafka(
  config: { readonly brokers: string; readonly kafkaPrefix: string; readonly sinks: { readonly heldBackMs: number } },
  manager: Pick<JobManager, 'jobs'>,
  security: KafkaSecurity,
  ports: KafkaPorts,
  log: (level: 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void,
): KafkaInspection {
  const jobs = (): DeskJob[] =>
    manager.jobs().map(({ coordinator }) => ({
      name: coordinator.name,
      runs: !isTerminal(coordinator.status.state),
      definition: coordinator.plan.definition,
    }))
  const { brokers, kafkaPrefix: prefix, sinks } = config
  const { heldBackMs: thresholdMs } = sinks
  const desk = new TransactionDesk({ jobs, brokers, prefix, security, ports })
  const warn = (message: string, fields: Readonly<Record<string, unknown>>) => log('warn', message, fields)
  const held = new HeldPartitions({ jobs, security, ports, thresholdMs, warn })
  held.start()
  return { desk, heldPartitions: (job) => held.of(job), close: () => held.close() }
}
