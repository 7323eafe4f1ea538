/** Jobs and messages of users on the command line: descriptor sets that travel, checks here, produced messages. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { LogSourceEnumerator } from '../../src/source/log-enumerator.ts'
import { LogSourceReader } from '../../src/source/log-source.ts'
import { ReadLoop } from '../source/contract.ts'
import { CliHarness } from '../support/cli.ts'
import { RegistryStub } from '../support/registry-stub.ts'

const body = `message Order { string customer = 1; google.protobuf.Timestamp at = 2; int64 amount = 3; Color color = 4; }
enum Color { NONE = 0; RED = 1; }
message Envelope { oneof event { Order order = 1; string note = 2; } }`
const text = `syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto"; ${body}`
const set = compileTexts([{ name: 'shop.proto', text }])
/** For reading back, without what only imports have. */
const Order = protobuf
  .parse(`syntax = "proto3"; message Order { string customer = 1; bytes at = 2; int64 amount = 3; int32 color = 4; }`)
  .root.lookupType('Order')

let cli: CliHarness
let folder: string
beforeEach(() => {
  cli = new CliHarness()
  folder = mkdtempSync(join(tmpdir(), 'millrace-schema-'))
  cli.env.MILLRACE_SCHEMA_DIR = join(folder, 'server')
  mkdirSync(join(folder, 'server'))
})
afterEach(async () => {
  await cli.close()
  rmSync(folder, { recursive: true, force: true })
})

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function job(event: string, by = 'color'): string {
  return file(
    'job.yaml',
    `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: orders }
sources: [{ log: { path: ${join(folder, 'log')}, topic: orders } }]
event: ${event}
metrics: [{ id: amounts, sum: { field: amount }, by: [${by}], window: { tumbling: 1m } }]
`,
  )
}
const plainEvent = '{ message: shop.Order, time: at, key: customer, schema: { descriptorSet: shop.binpb } }'

async function readBack(): Promise<{ key: string; timestampMs: number; value: Buffer }[]> {
  const root = join(folder, 'log')
  const enumerator = new LogSourceEnumerator(root, 'orders')
  const reader = new LogSourceReader({ root, topic: 'orders', clock: systemClock, scheduler: systemScheduler })
  const loop = new ReadLoop(reader)
  const partitions = await enumerator.partitions()
  for (const partition of partitions) loop.assign(partition, partition.earliest)
  await loop.toEnd()
  await reader.close()
  await enumerator.close()
  const records = partitions.flatMap(({ partition }) => loop.of(partition))
  return records
    .map(({ key, value, timestampMs }) => ({
      key: Buffer.from(key ?? '', 'hex').toString(),
      timestampMs,
      value: Buffer.from(value ?? '', 'hex'),
    }))
    .sort((a, b) => a.timestampMs - b.timestampMs)
}

describe('validate', () => {
  it('reads the descriptor set beside the job, of an option, or of the folder of schemas', async () => {
    const path = job(plainEvent)
    const missing = await cli.run('validate', path)
    expect(missing.code).not.toBe(0)
    expect(missing.stderr).toContain('descriptor set "shop.binpb" cannot be read')
    const elsewhere = file('elsewhere.binpb', set)
    expect((await cli.run('validate', path, '--descriptor-set', elsewhere)).stdout).toContain('valid, job orders')
    const inFolder = file('server/shop.binpb', set)
    expect((await cli.run('validate', path)).stdout).toContain('valid, job orders')
    rmSync(inFolder)
    file('shop.binpb', set)
    expect((await cli.run('validate', path)).stdout).toContain('valid, job orders')
    const wrong = await cli.run('validate', job(plainEvent, 'colour'))
    expect(wrong.stdout).toContain('shop.Order has no field "colour"; did you mean "color"?')
    expect((await cli.run('validate', path, '--descriptor-set', file('bad.binpb', 'no set'))).stderr).toContain(
      'not a FileDescriptorSet',
    )
  })

  it('asks the schema registry', async () => {
    const stub = new RegistryStub()
    await stub.start()
    stub.register('orders-value', text)
    const path = job('{ message: shop.Order, time: at, key: customer, schema: { registry: {} } }')
    expect((await cli.run('validate', path)).stderr).toContain('set MILLRACE_SCHEMA_REGISTRY')
    cli.env.MILLRACE_SCHEMA_REGISTRY = stub.url
    expect((await cli.run('validate', path)).stdout).toContain('valid, job orders')
    await stub.stop()
    expect((await cli.run('validate', path)).stderr).toContain('cannot be asked')
  })
})

describe('submit', () => {
  it('carries the descriptor set to the server', async () => {
    await cli.serveDefault()
    file('shop.binpb', set)
    const path = job(plainEvent)
    expect((await cli.run('submit', path)).code).toBe(0)
    expect(Buffer.from(cli.control.submitted[0]!.descriptorSet!)).toEqual(Buffer.from(set))
    await cli.run('validate', path, '--server', cli.env.MILLRACE_SERVER!)
    rmSync(join(folder, 'shop.binpb'))
    cli.control.jobs.clear()
    // Then it is the server that has it.
    await cli.run('submit', path)
    expect(cli.control.submitted[1]!.descriptorSet).toBeUndefined()
  })
})

describe('produce', () => {
  const rows = [
    { customer: 'c1', at: '2025-01-01T00:00:01Z', amount: '9007199254740991', color: 'RED' },
    { customer: 'c2', at: '2025-01-01T00:00:02.5Z', amount: 7 },
  ]
  const lines = rows.map((row) => JSON.stringify(row)).join('\n')

  it('writes JSON documents as the messages that a job reads', async () => {
    file('shop.binpb', set)
    const data = file('orders.jsonl', lines)
    const run = await cli.run('produce', data, '--job', job(plainEvent), '--sort-by-time')
    expect([run.stderr, run.code]).toEqual(['', 0])
    const records = await readBack()
    expect(records.map(({ key, timestampMs }) => [key, new Date(timestampMs).toISOString()])).toEqual([
      ['c1', '2025-01-01T00:00:01.000Z'],
      ['c2', '2025-01-01T00:00:02.500Z'],
    ])
    expect(records.map(({ value }) => Order.toObject(Order.decode(value), { longs: String }))).toMatchObject([
      { customer: 'c1', amount: '9007199254740991', color: 1 },
      { customer: 'c2', amount: '7' },
    ])
  })

  it('writes any message of a set, and envelopes', async () => {
    const options = ['--descriptor-set', file('s.binpb', set), '--log', join(folder, 'log'), '--topic', 'orders']
    const data = file('orders.jsonl', lines)
    const plain = await cli.run(
      'produce',
      data,
      ...options,
      '--message',
      'shop.Order',
      '--time',
      'at',
      '--key',
      'customer',
    )
    expect([plain.stderr, plain.code]).toEqual(['', 0])
    file('shop.binpb', set)
    const event =
      '{ message: shop.Envelope, time: at, key: customer, oneOf: [{ when: { field: order } }], schema: { descriptorSet: shop.binpb } }'
    const envelopes = file('envelopes.jsonl', JSON.stringify({ order: rows[0] }))
    const wrapped = await cli.run('produce', envelopes, '--job', job(event))
    expect([wrapped.stderr, wrapped.code]).toEqual(['', 0])
    expect((await readBack()).map(({ key }) => key)).toEqual(['c1', 'c1', 'c2'])
  })

  it('says what is wrong with a document, by its line', async () => {
    file('shop.binpb', set)
    const path = job(plainEvent)
    const bad = async (document: object) => {
      const { code, stderr } = await cli.run(
        'produce',
        file('bad.jsonl', `${lines}\n${JSON.stringify(document)}`),
        '--job',
        path,
      )
      expect(code).not.toBe(0)
      return stderr
    }
    expect(await bad({ customer: 'c', at: '2025-01-01T00:00:01Z', amuont: 1 })).toMatch(/bad.jsonl:3: .*amuont/)
    expect(await bad({ customer: 'c', at: 'today' })).toMatch(/bad.jsonl:3: .*Timestamp/)
    expect(await bad({ at: '2025-01-01T00:00:01Z' })).toContain('bad.jsonl:3: no job could read it: missing_key')
    expect(await bad({ customer: 'c' })).toContain('no job could read it: missing_time')
    expect(await bad({ customer: 'c', at: '2025-01-01T00:00:01Z', color: 'GREEN' })).toMatch(/bad.jsonl:3: .*GREEN/)
  })

  it.each([
    [['--message', 'shop.Order'], '--message needs --descriptor-set'],
    [['--descriptor-set', 's.binpb'], '--descriptor-set needs --message'],
    [['--descriptor-set', 's.binpb', '--message', 'shop.Nope'], '--time occurred_at: there is no message'],
    [
      ['--descriptor-set', 's.binpb', '--message', 'shop.Order', '--time', 'at', '--key', 'who'],
      '--key who: shop.Order has no field "who"',
    ],
    [
      ['--descriptor-set', 's.binpb', '--message', 'shop.Order', '--time', 'at', '--key', 'customer', '-m', 'a=b'],
      '--map maps rows',
    ],
  ])('refuses %j', async (options, expected) => {
    file('s.binpb', set)
    const args = options.map((option) => (option === 's.binpb' ? join(folder, option) : option))
    const run = await cli.run(
      'produce',
      file('a.jsonl', lines),
      '--log',
      join(folder, 'log'),
      '--topic',
      'orders',
      ...args,
    )
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining(expected)])
  })
})
