import { MillraceError } from '../../src/core/errors.ts'
import type { OutboxSink } from '../../src/sink/outbox.ts'
import { MemoryOutboxData, MemoryOutboxSink } from '../../src/testing/memory-outbox-sink.ts'
import { outboxContract } from '../sink/outbox-contract.ts'
import type { Crash, TestRecord } from '../sink/outbox-records.ts'

/** The sink, around each of whose calls the crash may strike. */
function facing(data: MemoryOutboxData, sink: OutboxSink, crash: Crash): OutboxSink {
  const within = async <T>(run: () => Promise<T>): Promise<T> => {
    data.fault = () => {
      try {
        crash.stepNow(() => undefined)
      } catch (cause) {
        throw new MillraceError('SINK_FAILED', 'crashed', { cause })
      }
    }
    try {
      return await run()
    } finally {
      data.fault = undefined
    }
  }
  return {
    guarantee: sink.guarantee,
    open: () => within(() => sink.open()),
    apply: (epoch, blocks) => within(() => sink.apply(epoch, blocks)),
    close: () => sink.close(),
  }
}

const textOf = ({ key, value }: Pick<TestRecord, 'key' | 'value'>) =>
  `${key === null ? null : Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`

outboxContract({
  name: 'in memory',
  wholeEpochs: true,
  anyKeys: true,
  async target() {
    const data = new MemoryOutboxData()
    return {
      sink: (owner, crash) => {
        const sink = new MemoryOutboxSink(data, owner)
        return crash === undefined ? sink : facing(data, sink, crash)
      },
      read: async () => data.records('job', 'out').map(textOf),
      expected: (records) => records.map(textOf),
    }
  },
})
