import { describe, expect, it } from 'vitest'
import { mapSampleRow, type SampleDefinition, sampleTimeMs } from '../../src/job/sample.ts'

const sample: SampleDefinition = {
  file: 'x.csv',
  format: 'csv',
  timezone: 'Europe/Berlin',
  columns: {
    event_id: { row: true },
    person: { column: 'user' },
    name: { column: 'event' },
    occurred_at: { column: 'time' },
    revenue_minor: { column: 'cents' },
    'properties.channel': { column: 'channel' },
    'context.country': { column: 'land' },
  },
  names: { home: { name: 'page_view', kind: 'page', screen: 'home', properties: { weight: 2, deep: 0.5, own: true } } },
}
const row = { user: 'u1', event: 'home', time: '2024-03-31 03:30:00', cents: '1999', channel: 'ads', land: 'DE' }

describe('a row of sample data', () => {
  it('becomes an event', () => {
    expect(mapSampleRow(sample, row, 42)).toEqual({
      event: expect.objectContaining({
        eventId: 'row-00000042',
        person: 'u1',
        name: 'page_view',
        kind: 2,
        screen: 'home',
        occurredAt: new Date('2024-03-31T01:30:00Z'),
        revenueMinor: 1999,
        properties: {
          channel: { value: { $case: 'stringValue', value: 'ads' } },
          weight: { value: { $case: 'intValue', value: 2 } },
          deep: { value: { $case: 'doubleValue', value: 0.5 } },
          own: { value: { $case: 'boolValue', value: true } },
        },
      }) as unknown,
    })
  })

  it('keeps names that are not mapped, and leaves empty cells out', () => {
    const mapped = mapSampleRow(sample, { ...row, event: 'toString', channel: '', land: '' }, 1)
    expect(mapped).toMatchObject({ event: { name: 'toString', kind: 1, screen: '', context: undefined } })
    expect('event' in mapped && Object.keys(mapped.event.properties)).toEqual([])
  })

  it('leaves out what a JSON document does not have, but not its person or time', () => {
    const json = { ...sample, format: 'json' } as const
    const { channel: _a, land: _b, cents: _c, ...sparse } = row
    expect(mapSampleRow(json, sparse, 1)).toMatchObject({ event: { revenueMinor: 0, context: undefined } })
    expect(mapSampleRow(sample, sparse, 1)).toMatchObject({
      problem: expect.stringContaining('has no column') as string,
    })
    const { user: _d, ...nobody } = row
    expect(mapSampleRow(json, nobody, 3)).toEqual({ problem: 'row 3 has no column "user"' })
  })

  it.each([
    [{ ...row, time: 'noon' }, '"noon" in occurred_at is no time'],
    [{ ...row, cents: '1.5' }, 'is no amount in minor units'],
    [{ user: 'u1' }, 'has no column "event"'],
  ])('says what is wrong', (bad, expected) => {
    expect(mapSampleRow(sample, bad, 7)).toEqual({ problem: expect.stringContaining(`row 7`) as string })
    expect(mapSampleRow(sample, bad, 7)).toEqual({ problem: expect.stringContaining(expected) as string })
  })

  it.each([
    ['2024-01-15 12:00:00', 'Europe/Berlin', '2024-01-15T11:00:00Z'],
    ['2024-07-15 12:00:00', 'Europe/Berlin', '2024-07-15T10:00:00Z'],
    ['2024-03-31 01:59:59', 'Europe/Berlin', '2024-03-31T00:59:59Z'],
    ['2024-03-31 03:00:00', 'Europe/Berlin', '2024-03-31T01:00:00Z'],
    ['2024-07-15T12:00:00Z', 'Europe/Berlin', '2024-07-15T12:00:00Z'],
    ['2024-07-15T12:00:00.250', 'Asia/Kathmandu', '2024-07-15T06:15:00.250Z'],
    ['2024-07-15', 'UTC', '2024-07-15T00:00:00Z'],
  ])('%s in %s', (text, zone, expected) => {
    expect(sampleTimeMs(text, zone)).toBe(Date.parse(expected))
  })
})

it('days without dashes are days', () => {
  expect(sampleTimeMs('19970131', 'UTC')).toBe(Date.UTC(1997, 0, 31))
  expect(sampleTimeMs('19970131', 'Europe/Berlin')).toBe(Date.UTC(1997, 0, 30, 23))
  expect(sampleTimeMs('19970230', 'UTC')).toBeNaN()
})
