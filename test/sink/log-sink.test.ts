import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { findTopic } from '../../src/log/topic.ts'
import { LogRecordWriter, OUTPUT_PARTITIONS } from '../../src/sink/log-sink.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { readAll, sections } from '../event/support.ts'
import { cleanUpAfterEach, closing, newTopic, temporaryRoot } from '../log/support.ts'

cleanUpAfterEach()

const writerOf = (root: string, owner: number | string, seed = 1) =>
  closing(
    new LogRecordWriter({
      root,
      topic: 'metrics',
      owner: `${owner}`,
      clock: new ManualClock(),
      random: new SeededRandom(seed),
    }),
  )
const recordsOf = (root: string, partition: number) =>
  sections(readFileSync(join(root, 'metrics', String(partition), '00000000000000000000.log'))).flatMap(readAll)

describe('LogRecordWriter', () => {
  it('creates the topic once, and gives each writer a partition of its own', async () => {
    const root = temporaryRoot()
    const [first, second] = [writerOf(root, 0), writerOf(root, 1, 2)]
    expect(findTopic(root, 'metrics')?.partitions).toBe(OUTPUT_PARTITIONS)
    first.write(Buffer.from('k'), Buffer.from('v'), 1000)
    second.write(null, Buffer.from('w'), 2000)
    await Promise.all([first.flush(), second.flush()])
    expect(recordsOf(root, 0)).toEqual([{ offset: 0, timestampMs: 1000, key: '6b', value: '76' }])
    expect(recordsOf(root, 1)).toEqual([{ offset: 0, timestampMs: 2000, key: null, value: '77' }])
  })

  it('counts what is buffered, and keeps count of what comes while a flush is under way', async () => {
    const writer = writerOf(temporaryRoot(), 0)
    writer.write(Buffer.from('key'), Buffer.from('value'), 1)
    expect(writer.bufferedBytes).toBe(8)
    const flushed = writer.flush()
    writer.write(null, Buffer.from('more'), 2)
    await flushed
    expect(writer.bufferedBytes).toBe(4)
    await writer.flush()
    expect(writer.bufferedBytes).toBe(0)
  })

  it('copies what it is given', async () => {
    const root = temporaryRoot()
    const writer = writerOf(root, 0)
    const scratch = Buffer.from('old')
    writer.write(null, scratch, 1)
    scratch.fill(0)
    await writer.flush()
    expect(recordsOf(root, 0)[0]!.value).toBe(Buffer.from('old').toString('hex'))
  })

  it('fails with SINK_FAILED and the topic by name', () => {
    const file = join(temporaryRoot(), 'file')
    writeFileSync(file, '')
    expect(() => writerOf(file, 0)).toThrow(expect.objectContaining({ code: 'SINK_FAILED', retry: 'restart' }))
    expect(() => writerOf(file, 0)).toThrow(/log topic metrics/)
    // A topic that is there, with fewer partitions than writers.
    const { root } = newTopic(1, 'metrics')
    expect(() => writerOf(root, 'a')).not.toThrow()
    expect(() => writerOf(root, 'b')).toThrow(expect.objectContaining({ code: 'SINK_FAILED' }))
    expect(() => writerOf(root, 'b')).toThrow(/each of the 1 partitions .* has a writer/)
  })

  it('keeps records of two outputs of one subtask apart', async () => {
    const root = temporaryRoot()
    const writers = ['job/window/out/0', 'job/merge/out/0', 'other/merge/out/0'].map((owner) => writerOf(root, owner))
    for (let i = 0; i < 3; i++) for (const writer of writers) writer.write(null, Buffer.from(`${i}`), 1)
    await Promise.all(writers.map((writer) => writer.flush()))
    for (const partition of [0, 1, 2])
      expect(recordsOf(root, partition).map(({ value }) => value)).toEqual(['30', '31', '32'])
  })

  it('goes on in the partition that its owner has left without giving it back', async () => {
    const root = temporaryRoot()
    writerOf(root, 'a')
    const left = writerOf(root, 'b')
    left.write(null, Buffer.from('x'), 1)
    await left.flush()
    const again = writerOf(root, 'b')
    again.write(null, Buffer.from('y'), 1)
    await again.flush()
    expect(recordsOf(root, 1).map(({ value, offset }) => [offset, value])).toEqual([
      [0, '78'],
      [1, '79'],
    ])
  })
})
