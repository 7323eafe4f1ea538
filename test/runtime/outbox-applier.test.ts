import { expect, it } from 'vitest'
import { MemoryChunkStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { crc32c } from '../../src/event/crc32c.ts'
import type { DeployMessage, FromWorker } from '../../src/runtime/messages.ts'
import { OutboxApplier } from '../../src/runtime/outbox-applier.ts'
import type { WorkerPorts } from '../../src/runtime/ports.ts'
import type { OutboxSink } from '../../src/sink/outbox.ts'
import { OutboxBlockWriter } from '../../src/sink/outbox-block.ts'
import type { EndedTransaction } from '../../src/source/kafka/ended-transaction.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { MemoryOutboxData, MemoryOutboxSink } from '../../src/testing/memory-outbox-sink.ts'
import { definition } from '../testing/outbox-shop.ts'

const owner = { job: 'shop', jobId: 'id', sink: 'out', generation: 1, nonce: 'n' }
const key = 'shop/1-1-n.window.0.1'

async function setUp(wrap: (sink: OutboxSink) => OutboxSink = (sink) => sink) {
  const scheduler = new ManualScheduler(new ManualClock())
  const store = new MemoryStoreData()
  const sinks = new MemoryOutboxData()
  const said: FromWorker[] = []
  let tellEnded: (ended: EndedTransaction) => void = () => {}
  const deploy = {
    job: 1,
    attempt: 2,
    plan: { jobName: 'shop', definition },
    chunkStore: {},
  } as unknown as DeployMessage
  const ports = {
    scheduler,
    openChunkStore: () => new MemoryChunkStore(store),
    openOutboxSink: (_output: unknown, _owner: unknown, onEnded: (ended: EndedTransaction) => void) => {
      tellEnded = onEnded
      return wrap(new MemoryOutboxSink(sinks, owner))
    },
  } as unknown as WorkerPorts
  const applier = new OutboxApplier(deploy, ports, (message) => said.push(message))
  await applier.open('out', owner)
  const writer = new OutboxBlockWriter()
  writer.write(null, new Uint8Array([1, 2, 3]), 5)
  const bytes = writer.take()
  await new MemoryChunkStore(store).putChunk(key, bytes)
  const block = { chunk: { key, sizeBytes: bytes.length }, epoch: 7, records: 1, crc32c: crc32c(bytes) }
  return { applier, said, store, sinks, scheduler, block, tellEnded: (ended: EndedTransaction) => tellEnded(ended) }
}

it('waits for a store that is away, and then applies', async () => {
  const { applier, said, store, sinks, scheduler, block } = await setUp()
  let reads = 0
  store.fault = (operation) => {
    if (operation === 'readChunk' && ++reads <= 5) throw new MillraceError('STORE_UNREACHABLE', 'away')
  }
  void applier.apply('out', 7, [block])
  await scheduler.runUntil(() => said.length === 2, 'an answer')
  expect(said).toMatchObject([
    { type: 'outboxOpened', sink: 'out', marker: null },
    { type: 'outboxApplied', sink: 'out', epoch: 7, job: 1, attempt: 2 },
  ])
  expect(reads).toBeGreaterThan(5)
  expect(sinks.records('shop', 'out').map(({ value, epoch }) => [...value, epoch])).toEqual([[1, 2, 3, 7]])
})

it('tells of a block that is damaged as such, whatever the sink makes of it', async () => {
  const { applier, said, block } = await setUp((sink) => ({
    guarantee: sink.guarantee,
    open: () => sink.open(),
    apply: (epoch, blocks) =>
      sink.apply(epoch, blocks).catch((cause: unknown) => {
        throw new MillraceError('SINK_FAILED', 'the sink failed', { cause, retry: 'restart' })
      }),
    close: () => sink.close(),
  }))
  await applier.apply('out', 7, [{ ...block, crc32c: block.crc32c ^ 1 }])
  expect(said.at(-1)).toMatchObject({
    type: 'outboxFailed',
    error: { code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining(block.chunk.key) as string },
  })
})

it('tells what a sink fails with, once, and nothing after it is closed', async () => {
  const { applier, said, sinks, block } = await setUp()
  sinks.fault = () => {
    throw new MillraceError('SINK_FAILED', 'no route to host')
  }
  await applier.apply('out', 7, [block])
  expect(said.at(-1)).toMatchObject({ type: 'outboxFailed', epoch: 7, error: { code: 'SINK_FAILED' } })
  await applier.close()
  await applier.apply('out', 7, [block])
  expect(said).toHaveLength(2)
})

it('says with the next answer which transactions a sink has ended, once', async () => {
  const { applier, said, block, tellEnded } = await setUp()
  const ended = { topic: 'results', partition: 1, offset: 40, producerId: 7n, end: 'commit' } as const
  tellEnded(ended)
  await applier.apply('out', 7, [block])
  await applier.apply('out', 8, [block])
  expect(said.map((each) => ('ended' in each ? each.ended : undefined))).toEqual([undefined, [ended], undefined])
})
