/**
 * Runs Apache Kafka's Java client for tests (TopicTool.java beside this file, launched from source).
 *
 * The class path is the broker's own jar directory, so client and broker are of one version.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { kafkaLibs } from '../broker-kafka.ts'

const tool = join(import.meta.dirname, 'TopicTool.java')

/** Writes a topic by a script of TopicTool's operations; resolves when all is acknowledged. */
export async function javaWrite(brokers: string, topic: string, operations: readonly string[]): Promise<void> {
  await run(['write', brokers, topic], `${operations.join('\n')}\n`)
}

/**
 * Reads a topic from its beginning to its end: a line a record, `partition offset timestamp key value` with tabs, key
 * and value in hex or `-`, by partition and offset.
 */
export async function javaRead(
  brokers: string,
  topic: string,
  isolation: 'read_committed' | 'read_uncommitted',
): Promise<string[]> {
  const output = await run(['read', brokers, topic, isolation], '')
  return output.split('\n').filter((line) => line !== '')
}

async function run(args: readonly string[], input: string): Promise<string> {
  const libs = await kafkaLibs()
  const java = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error']
  const child = spawn('java', [...java, '-cp', `${libs}/*`, tool, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`the Java client ended with ${code} (${args.join(' ')}):\n${errors}`)
  return output
}
