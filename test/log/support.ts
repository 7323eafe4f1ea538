/** Topics of the embedded log in temporary directories. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock } from '../../src/core/system.ts'
import { LogWriter, type LogWriterOptions } from '../../src/log/log-writer.ts'
import { createTopic } from '../../src/log/topic.ts'

const roots: string[] = []
const open: { close(): Promise<void> }[] = []

/** A directory that is removed after the test. */
export function temporaryRoot(): string {
  const root = mkdtempSync(join(tmpdir(), 'millrace-log-'))
  roots.push(root)
  return root
}

/** Closes `one` after the test, before directories are removed. */
export function closing<T extends { close(): Promise<void> }>(one: T): T {
  open.push(one)
  return one
}

/** Gives back what the test opened; call it once at the top of a test file. */
export function cleanUpAfterEach(): void {
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
    for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
  })
}

let seed = 1

/** A topic in a directory of its own. */
export function newTopic(partitions = 1, topic = 'events'): { root: string; topic: string; topicId: string } {
  const root = temporaryRoot()
  const { topicId } = createTopic(root, topic, partitions, new SeededRandom(seed++))
  return { root, topic, topicId }
}

/** A writer of it. */
export function writerOf(at: { root: string; topic: string }, options: Partial<LogWriterOptions> = {}): LogWriter {
  return closing(new LogWriter({ root: at.root, topic: at.topic, clock: systemClock, ...options }))
}

/** Appends numbered records of `size` bytes. */
export function appendNumbered(writer: LogWriter, partition: number, count: number, size = 50): void {
  const value = new Uint8Array(size)
  for (let i = 0; i < count; i++) {
    value.fill(i)
    writer.append(partition, null, value, 1_700_000_000_000 + i)
  }
}
