import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { RedisConnection } from '../../src/checkpoint/redis-connection.ts'
import { MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import { RedisOutbox, type RedisOutboxOptions, type RedisScripts } from '../../src/sink/redis-outbox.ts'
import { outboxContract } from '../sink/outbox-contract.ts'
import { blocksOf, type Crash, ownerOf, recordsOf, resultRecord, type TestRecord } from '../sink/outbox-records.ts'
import { testRedis } from '../support/infra.ts'

let client: Redis
let prefixes = 0

beforeAll(() => {
  client = new Redis(testRedis())
})
afterAll(() => {
  client.disconnect()
})

function newPrefix(): string {
  return `out-${inject('runId')}-${prefixes++}`
}

function facing(scripts: RedisScripts, crash: Crash | undefined): RedisScripts {
  if (crash === undefined) return scripts
  return {
    script: (...args) => crash.step(() => scripts.script(...args)),
    close: () => scripts.close(),
  }
}

function outboxOf(prefix: string, options: Partial<RedisOutboxOptions> = {}, crash?: Crash): RedisOutbox {
  const connect = async () => facing(await RedisConnection.open({ url: testRedis() }), crash)
  return new RedisOutbox({ owner: ownerOf('a'), prefix, stream: null, ttlMs: 0, connect, ...options })
}

/** The hashes of a prefix, by key without prefix and job. */
async function hashes(prefix: string): Promise<Map<string, Record<string, string>>> {
  const tag = `{${prefix}:job}:`
  const keys = (await client.keys(`${tag.replaceAll('{', '\\{')}*`)).filter((key) => !key.startsWith(`${tag}outbox:`))
  const found = new Map<string, Record<string, string>>()
  for (const key of keys.sort()) found.set(key.slice(tag.length), await client.hgetall(key))
  return found
}

function newest(records: readonly TestRecord[]): string[] {
  const byKey = new Map(records.map(({ key, value }) => [Buffer.from(key!).toString(), MetricValue.decode(value)]))
  return [...byKey.values()].map((value) => `m:60000:${value.dimensions[0]!.value}=${value.value!.value}`).sort()
}

outboxContract({
  name: 'Redis, hashes',
  wholeEpochs: false,
  anyKeys: false,
  runs: 20,
  async target() {
    const prefix = newPrefix()
    return {
      sink: (owner, crash) => outboxOf(prefix, { owner }, crash),
      read: async () => [...(await hashes(prefix))].map(([key, { value }]) => `${key}=${value}`).sort(),
      expected: newest,
    }
  },
})

outboxContract({
  name: 'Redis, a stream',
  wholeEpochs: false,
  anyKeys: true,
  runs: 20,
  async target() {
    const prefix = newPrefix()
    const hex = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString('hex')
    return {
      sink: (owner, crash) => outboxOf(prefix, { owner, stream: 'letters' }, crash),
      read: async () => {
        const entries = await client.xrangeBuffer(`{${prefix}:job}:letters`, '-', '+')
        return entries.map(([, fields]) => {
          expect(fields.filter((_, i) => i % 2 === 0).map(String)).toEqual(['key', 'timestamp', 'value'])
          return [hex(fields[1]!), String(fields[3]), hex(fields[5]!)].join(' ')
        })
      },
      expected: (records) =>
        records.map(({ key, value, timestampMs }) => [hex(key), String(timestampMs), hex(value)].join(' ')),
    }
  },
})

describe('RedisOutbox', () => {
  const apply = async (sink: RedisOutbox, records: readonly TestRecord[], epoch = 1) => {
    await sink.open()
    await sink.apply(epoch, blocksOf(records))
    await sink.close()
  }

  it('has a field for everything that a value says', async () => {
    const prefix = newPrefix()
    const value = MetricValue.encode(
      MetricValue.fromPartial({
        job: 'job',
        metric: 'top',
        dimensions: [
          { name: 'country', value: 'D:E%' },
          { name: 'os', value: '' },
        ],
        windowStart: new Date(60_000),
        windowEnd: new Date(120_000),
        value: { $case: 'doubleValue', value: 1.5 },
        status: ValueStatus.VALUE_STATUS_CORRECTED,
        revision: 3,
        watermark: new Date(130_000),
        lateCount: 4,
        eventCount: 5,
        attempt: 6,
        items: [{ label: 'x', value: 2, error: 1 }],
        text: 'the text',
      }),
    ).finish()
    const key = Buffer.from(JSON.stringify(['top', 60_000, 120_000, 'D:E%', '']))
    await apply(outboxOf(prefix), [{ key, value, timestampMs: 1 }])
    expect(Object.fromEntries(await hashes(prefix))).toEqual({
      'top:60000/120000:D%3AE%25:': {
        value: '1.5',
        text: 'the text',
        items: '[{"label":"x","value":2,"error":1}]',
        dimensions: '{"country":"D:E%","os":""}',
        window_start: '1970-01-01T00:01:00.000Z',
        window_end: '1970-01-01T00:02:00.000Z',
        status: 'corrected',
        revision: '3',
        watermark: '1970-01-01T00:02:10.000Z',
        events: '5',
        late: '4',
        attempt: '6',
      },
    })
  })

  it('keeps groups apart by all of their texts, and deletes what is withdrawn', async () => {
    const prefix = newPrefix()
    const groups = ['', ':', '%3A', '%', 'a:b', 'ä', '\0']
    const records = groups.map((group, i) => resultRecord(group, i + 1))
    await apply(outboxOf(prefix), [...records, resultRecord('a:b', 0, 60_000, 0)])
    expect([...(await hashes(prefix)).values()].map(({ value }) => value).sort()).toEqual([
      '1',
      '2',
      '3',
      '4',
      '6',
      '7',
    ])
  })

  it('keeps rows for as long as it is told to', async () => {
    const prefix = newPrefix()
    await apply(outboxOf(prefix, { ttlMs: 3_600_000 }), [resultRecord('g', 1)])
    const left = await client.pttl(`{${prefix}:job}:m:60000:g`)
    expect(left).toBeGreaterThan(3_000_000)
    expect(left).toBeLessThanOrEqual(3_600_000)
    await apply(outboxOf(prefix), [resultRecord('h', 1)], 2)
    expect(await client.pttl(`{${prefix}:job}:m:60000:h`)).toBe(-1)
  })

  it('refuses to end an epoch with other records than it was begun with', async () => {
    const prefix = newPrefix()
    const large = recordsOf(1, 2500)
    const sink = outboxOf(prefix, { stream: 's' })
    await sink.open()
    const torn = async function* () {
      yield* blocksOf(large.slice(0, 2200), 2200)
      throw new Error('torn')
    }
    await expect(sink.apply(1, torn())).rejects.toThrow(/torn/)
    const lost = { code: 'STORE_LOST', message: expect.stringContaining('the checkpoint store has lost') as string }
    for (const other of [[...large.slice(1), large[0]!], large.slice(0, 1500)]) {
      await sink.open()
      await expect(sink.apply(1, blocksOf(other))).rejects.toMatchObject(lost)
    }
    // The lost epoch may have had nothing to say when it was made anew: the one after it would come on top of its part.
    await sink.open()
    await expect(sink.apply(2, blocksOf(recordsOf(2)))).rejects.toMatchObject({
      ...lost,
      message: expect.stringMatching(/epoch 1 of job job is in Redis in part/) as string,
    })
    // In other blocks, the same records.
    await sink.open()
    await sink.apply(1, blocksOf(large, 17))
    await sink.close()
    expect(await client.xlen(`{${prefix}:job}:s`)).toBe(2500)
  })

  it('has all keys of a job in one slot of a cluster', async () => {
    const prefix = newPrefix()
    await apply(outboxOf(prefix), recordsOf(1))
    const keys = await client.keys(`\\{${prefix}:job}*`)
    expect(keys).toHaveLength(6)
    // By the tag alone, as the specification of clusters says.
    expect(new Set(keys.map((key) => /\{([^}]*)\}/.exec(key)![1]))).toEqual(new Set([`${prefix}:job`]))
  })

  it('says that the server is away, or refuses', async () => {
    const away = outboxOf(newPrefix(), { connect: () => RedisConnection.open({ url: 'redis://127.0.0.1:1' }) })
    await expect(away.open()).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    const refused = outboxOf(newPrefix(), {
      connect: () => RedisConnection.open({ url: testRedis(), username: 'nobody', password: 'not-the-password' }),
    })
    const opened = refused.open()
    await expect(opened).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    await expect(opened).rejects.not.toThrow(/not-the-password/)
  })
})
