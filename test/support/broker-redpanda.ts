/** Redpanda in a container, one core, for tests where Docker runs. */
import type { Broker, BrokerOptions } from './broker.ts'
import { startContainer } from './infra-docker.ts'

/** The Redpanda that the project is tested against where Docker runs. */
export const REDPANDA_IMAGE = 'redpandadata/redpanda:v25.1.1'

/** Starts Redpanda in a container and waits until it serves. */
export async function startRedpanda(options: BrokerOptions): Promise<Broker> {
  const server = await startContainer({
    image: REDPANDA_IMAGE,
    containerPort: 9092,
    ...(options.port === undefined ? {} : { hostPort: options.port }),
    command: (port) => [
      'redpanda',
      'start',
      '--mode=dev-container',
      '--smp=1',
      '--memory=1G',
      '--kafka-addr=PLAINTEXT://0.0.0.0:9092',
      `--advertise-kafka-addr=PLAINTEXT://127.0.0.1:${port}`,
      '--set=redpanda.auto_create_topics_enabled=false',
      '--set=redpanda.log_retention_ms=-1',
    ],
    wait: async () => (await import('testcontainers')).Wait.forLogMessage('Successfully started Redpanda!'),
  })
  return {
    brokers: `127.0.0.1:${server.port}`,
    kind: 'redpanda',
    description: `Redpanda (${REDPANDA_IMAGE})`,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: () => server.restart(),
  }
}
