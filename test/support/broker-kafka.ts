/**
 * Apache Kafka as one KRaft process (broker and controller) from Maven jars: the broker where Docker does not run.
 *
 * Owns: its jars, its configuration, its life. The jars are the runtime closure that test/support/kafka/pom.xml pins,
 * copied once into .cache/kafka/libs and again when the pom changes.
 */
import { execFile, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Broker, BrokerOptions } from './broker.ts'
import {
  cacheDir,
  exchange,
  freePort,
  makeDataDir,
  projectRoot,
  removeDataDir,
  ServerProcess,
  waitUntil,
} from './infra-process.ts'

const run = promisify(execFile)
const pom = join(projectRoot, 'test/support/kafka/pom.xml')
const libs = join(cacheDir, 'kafka/libs')

/** What of Java and Maven is missing to run Kafka from jars. */
export function findJava(): { readonly missing: readonly string[] } {
  const missing = ['java', ...(jarsAreFresh() ? [] : ['mvn'])].filter((command) => {
    const found = spawnSync(command, ['-version'], { stdio: 'ignore' })
    return found.error !== undefined || found.status !== 0
  })
  return { missing }
}

function pomHash(): string {
  return createHash('sha256').update(readFileSync(pom)).digest('hex')
}

function jarsAreFresh(): boolean {
  const stamp = join(libs, '.stamp')
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === pomHash()
}

/**
 * The directory with Kafka's jars, filled by Maven when it is not up to date. Also the class path of Java test clients:
 * `java -cp "${await kafkaLibs()}/*" …`.
 */
export async function kafkaLibs(): Promise<string> {
  if (jarsAreFresh()) return libs
  // Filled aside and moved into place whole, so that two processes that start at once do not read half a directory.
  const aside = `${libs}.${process.pid}`
  mkdirSync(aside, { recursive: true })
  try {
    await run('mvn', [
      ...['-q', '-B', '-f', pom, 'dependency:copy-dependencies'],
      ...['-DincludeScope=runtime', `-DoutputDirectory=${aside}`],
    ])
    writeFileSync(join(aside, '.stamp'), pomHash())
    if (!jarsAreFresh()) {
      rmSync(libs, { recursive: true, force: true })
      renameSync(aside, libs)
    }
  } catch (error) {
    if (!jarsAreFresh()) {
      const output = (error as { stdout?: string }).stdout ?? ''
      throw new Error(`Maven could not fetch Kafka's jars (${pom}):\n${output}`, { cause: error })
    }
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  return libs
}

function serverProperties(
  dir: string,
  port: number,
  controllerPort: number,
  extra: Readonly<Record<string, string>>,
): string {
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(dir, 'data'),
    'auto.create.topics.enable': 'false',
    'log.retention.ms': '-1',
    'group.initial.rebalance.delay.ms': '0',
    // A killed broker may register again only when its old session is over.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'log.segment.delete.delay.ms': '1000',
    'log.cleaner.dedupe.buffer.size': '8000000',
    // One broker: nothing can be replicated, and few partitions keep start and recovery quick.
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    ...extra,
  }
  return `${Object.entries(properties)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')}\n`
}

/** Starts Kafka and waits until it serves metadata. */
export async function startKafka(options: BrokerOptions): Promise<Broker> {
  const classPath = `${await kafkaLibs()}/*`
  const dir = makeDataDir('kafka')
  const port = options.port ?? (await freePort())
  const config = join(dir, 'server.properties')
  writeFileSync(config, serverProperties(dir, port, await freePort(), options.settings ?? {}))
  await format(classPath, config, options.users ?? [])

  const brokers = `127.0.0.1:${port}`
  const logFile = join(dir, 'server.log')
  const launch = async (): Promise<ServerProcess> => {
    const server = ServerProcess.start('kafka', 'java', [...jvm(classPath), '-Xmx512m', 'kafka.Kafka', config], logFile)
    try {
      await waitUntil(() => serves(port), {
        deadlineMs: 90_000,
        alive: () => server.running,
        failure: () => `Kafka did not start at ${brokers}; the end of ${logFile}:\n${server.logTail()}`,
      })
    } catch (error) {
      await server.kill()
      throw error
    }
    return server
  }
  let server = await launch()
  return {
    brokers,
    kind: 'kafka',
    description: `Apache Kafka ${kafkaVersion()} (KRaft, from Maven jars)`,
    async stop() {
      await server.kill()
      removeDataDir(dir)
    },
    kill: () => server.kill(),
    async restart() {
      await server.terminate(20_000)
      server = await launch()
    },
  }
}

function jvm(classPath: string): string[] {
  return ['-XX:+UseG1GC', '-Xshare:auto', '-Djava.awt.headless=true', logSetting, '-cp', classPath]
}

// slf4j-simple writes to stderr, which is the server's log file.
const logSetting = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'

async function format(classPath: string, config: string, users: readonly string[]): Promise<void> {
  const clusterId = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
  const args = ['kafka.tools.StorageTool', 'format', '--standalone', `--cluster-id=${clusterId}`, '-c', config]
  for (const user of users) args.push('--add-scram', user)
  try {
    await run('java', ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', ...jvm(classPath).slice(1), ...args])
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`Kafka's storage could not be formatted (${config}):\n${stdout}${stderr}`, { cause: error })
  }
}

function kafkaVersion(): string {
  return /<kafka\.version>([^<]+)</.exec(readFileSync(pom, 'utf8'))?.[1] ?? ''
}

/** Whether a Metadata request (v1, no topics, no client id) is answered with at least one live broker. */
async function serves(port: number): Promise<boolean> {
  const request = Buffer.alloc(18)
  request.writeInt32BE(14, 0)
  request.writeInt16BE(3, 4)
  request.writeInt16BE(1, 6)
  request.writeInt16BE(-1, 12)
  const answer = await exchange(port, request, 2000)
  return answer.length >= 12 && answer.readInt32BE(8) > 0
}
