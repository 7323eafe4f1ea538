import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { DeadLetter, LateEvent, MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import { openPostgres, type PostgresAccess, type PostgresConnection } from '../../src/sink/postgres-connection.ts'
import { PostgresOutbox } from '../../src/sink/postgres-outbox.ts'
import { MetricTable, type PostgresRows, SideTable } from '../../src/sink/postgres-tables.ts'
import { outboxContract } from '../sink/outbox-contract.ts'
import { blocksOf, type Crash, ownerOf, resultRecord, type TestRecord } from '../sink/outbox-records.ts'
import { testPostgres } from '../support/infra.ts'

let client: Client
let access: PostgresAccess
let tables = 0

beforeAll(async () => {
  const { username, password, host, pathname } = new URL(testPostgres())
  access = { url: `postgres://${host}${pathname}`, username, password: decodeURIComponent(password) }
  client = new Client({ connectionString: testPostgres() })
  await client.connect()
})
afterAll(async () => {
  await client.end()
})

/** A connection of which every statement faces the crash. */
function facing(connection: PostgresConnection, crash: Crash | undefined): PostgresConnection {
  if (crash === undefined) return connection
  return { ...connection, query: (text, parameters) => crash.step(() => connection.query(text, parameters)) }
}

function newTable(): string {
  return `r_${inject('runId')}_${tables++}`
}

/** A target of its own: the job's name is the table's, so that its marker is its own too. */
function outboxOf(table: string, owner = ownerOf('a'), rows: PostgresRows = new MetricTable(table), crash?: Crash) {
  return new PostgresOutbox({
    owner: { ...owner, job: `${table}-job` },
    rows,
    connect: async () => facing(await openPostgres(access), crash),
  })
}

async function rowsOf(table: string, order: string): Promise<Record<string, unknown>[]> {
  const { rows: found } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table])
  if (found[0]?.there !== true) return []
  return (await client.query<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY ${order}`)).rows
}

/** The newest value of each group, as a text each, in the order of groups. */
function newest(records: readonly TestRecord[]): string[] {
  const byKey = new Map(records.map(({ key, value }) => [Buffer.from(key!).toString(), MetricValue.decode(value)]))
  return [...byKey.values()].map((value) => `${value.dimensions[0]!.value}=${value.value!.value}`).sort()
}

outboxContract({
  name: 'PostgreSQL',
  wholeEpochs: true,
  anyKeys: false,
  openWaits: true,
  runs: 8,
  async target() {
    const table = newTable()
    return {
      sink: (owner, crash) => outboxOf(table, owner, undefined, crash),
      read: async () =>
        (await rowsOf(table, '1'))
          .map(({ dimensions, value }) => `${(dimensions as { group: string }).group}=${value as number}`)
          .sort(),
      expected: newest,
    }
  },
})

describe('PostgresOutbox', () => {
  const apply = async (table: string, records: readonly TestRecord[], rows?: PostgresRows) => {
    const sink = outboxOf(table, ownerOf('a'), rows)
    await sink.open()
    await sink.apply(1, blocksOf(records))
    await sink.close()
  }

  it('has a column for everything that a value says', async () => {
    const table = newTable()
    const value = MetricValue.encode(
      MetricValue.fromPartial({
        job: 'job',
        metric: 'top',
        dimensions: [
          { name: 'country', value: 'DE' },
          { name: 'odd "name"', value: 'a\0b' },
        ],
        windowStart: new Date(60_000),
        windowEnd: new Date(120_000),
        value: { $case: 'doubleValue', value: 1.5 },
        status: ValueStatus.VALUE_STATUS_CORRECTED,
        revision: 3,
        watermark: new Date('9999-12-31T23:59:59.999Z'),
        lateCount: 4,
        eventCount: 5,
        attempt: 6,
        items: [{ label: 'x', value: 2, error: 1 }],
        text: 'the text',
      }),
    ).finish()
    const key = Buffer.from(JSON.stringify(['top', 60_000, 120_000, 'DE', 'a\0b']))
    await apply(table, [{ key, value, timestampMs: 1 }])
    const [row, ...more] = await rowsOf(table, '1')
    expect(more).toEqual([])
    expect(row).toEqual({
      job: 'job',
      metric: 'top',
      window_key: '60000/120000',
      dimensions_key: expect.any(Buffer) as Buffer,
      dimensions: { country: 'DE', 'odd "name"': 'a\ufffdb' },
      window_start: new Date(60_000),
      window_end: new Date(120_000),
      value: 1.5,
      text: 'the text',
      items: [{ label: 'x', value: 2, error: 1 }],
      status: 'corrected',
      revision: '3',
      watermark: new Date('9999-12-31T23:59:59.999Z'),
      event_count: '5',
      late_count: '4',
      attempt: '6',
    })
  })

  it('keeps groups apart by all of their texts, however long, and deletes what is withdrawn', async () => {
    const table = newTable()
    const long = 'x'.repeat(10_000)
    const groups = ['', ' ', 'a\0', 'a\ufffd', `${long}1`, `${long}2`, 'ä', '"', '{}']
    const records = groups.map((group, i) => resultRecord(group, i))
    await apply(table, records)
    expect(await rowsOf(table, '1')).toHaveLength(groups.length)
    const sink = outboxOf(table, ownerOf('b'))
    await sink.open()
    await sink.apply(
      2,
      blocksOf([resultRecord(`${long}1`, 0, 60_000, 0), resultRecord('ä', 0, 60_000, 0), resultRecord('new', 1)]),
    )
    await sink.close()
    const left = (await rowsOf(table, '1')).map(({ value }) => value as number).sort()
    expect(left).toEqual([0, 1, 1, 2, 3, 5, 7, 8])
  })

  it('takes the last of several values of a row in one epoch, and a row that comes again after it went', async () => {
    const table = newTable()
    const one = (value: number, eventCount = 1) => resultRecord('g', value, 60_000, eventCount)
    await apply(table, [one(1), one(2), one(0, 0), one(3)])
    expect((await rowsOf(table, '1')).map(({ value }) => value)).toEqual([3])
  })

  it('adds dead letters and late events as rows', async () => {
    const [letters, late] = [newTable(), newTable()]
    const origin = { job: 'job', topic: 't', partition: 3, offset: 12_345_678_901 }
    const letter = DeadLetter.encode(
      DeadLetter.fromPartial({
        ...origin,
        reason: 'undecodable',
        key: Buffer.from([0, 255]),
        value: Buffer.from('v'),
        recordTime: new Date(5000),
      }),
    ).finish()
    const event = LateEvent.encode(
      LateEvent.fromPartial({
        ...origin,
        eventTime: new Date(6000),
        watermark: new Date(7000),
        key: Buffer.from('k'),
        metrics: ['a', 'b'],
      }),
    ).finish()
    const record = (value: Uint8Array): TestRecord => ({ key: null, value, timestampMs: 1 })
    await apply(letters, [record(letter), record(letter)], new SideTable(letters, 'deadLetters'))
    await apply(late, [record(event)], new SideTable(late, 'late'))
    const shared = { job: 'job', topic: 't', partition: 3, offset: '12345678901' }
    const row = {
      ...shared,
      time: new Date(5000),
      key: Buffer.from([0, 255]),
      value: Buffer.from('v'),
      reason: 'undecodable',
    }
    expect(await rowsOf(letters, '1')).toEqual([row, row])
    expect(await rowsOf(late, '1')).toEqual([
      {
        ...shared,
        time: new Date(6000),
        key: Buffer.from('k'),
        value: Buffer.alloc(0),
        watermark: new Date(7000),
        metrics: ['a', 'b'],
      },
    ])
  })

  it('needs no right to create tables where they are', async () => {
    const table = newTable()
    await apply(table, [resultRecord('g', 1)])
    const role = `w_${inject('runId')}`
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`)
    await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table}, millrace_outbox TO ${role}`)
    await client.query(`REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
    const connect = () => openPostgres({ ...access, username: role, password: 'x' })
    const owner = { ...ownerOf('b'), job: `${table}-job` }
    const sink = new PostgresOutbox({ owner, rows: new MetricTable(table), connect })
    expect(await sink.open()).toMatchObject({ epoch: 1 })
    await sink.apply(2, blocksOf([resultRecord('h', 2)]))
    await sink.close()
    const without = new PostgresOutbox({ owner, rows: new MetricTable(newTable()), connect })
    await expect(without.open()).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    await client.query(`DROP OWNED BY ${role}`)
    await client.query(`DROP ROLE ${role}`)
    expect((await rowsOf(table, '1')).length).toBe(2)
  })

  it('says what is wrong with the server, the password or the table, and never the password', async () => {
    const of = (change: Partial<PostgresAccess>, table = newTable()) =>
      new PostgresOutbox({
        owner: ownerOf('a'),
        rows: new MetricTable(table),
        connect: () => openPostgres({ ...access, ...change }),
      })
    const wrong = of({ password: 'not-the-password' }).open()
    await expect(wrong).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    await expect(wrong).rejects.toThrow(/PostgreSQL at .* refuses connect: .*Check user, password/)
    await expect(wrong).rejects.not.toThrow(/not-the-password/)
    const away = of({ url: 'postgres://127.0.0.1:1/x' }).open()
    await expect(away).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    const table = newTable()
    await client.query(`CREATE TABLE ${table} (job text)`)
    const sink = of({}, table)
    await sink.open()
    await expect(sink.apply(1, blocksOf([resultRecord('g', 1)]))).rejects.toMatchObject({ retry: 'never' })
    await sink.close()
  })

  it('needs TLS where that is set', async () => {
    const sink = new PostgresOutbox({
      owner: ownerOf('a'),
      rows: new MetricTable(newTable()),
      connect: () => openPostgres({ ...access, tls: {} }),
    })
    // The server of tests has none.
    await expect(sink.open()).rejects.toThrow(/does not support SSL/)
  })
})
