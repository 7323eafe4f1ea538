/**
 * Sample data: how the rows of a file become events, as the `sample` section of a job says.
 *
 * Owns: the shape of the section and the mapping of one row. Does not own: reading CSV or JSON files, sorting, producing
 * (cli/). Pure: the same row number and row give the same event, ids included, so that a replay can be compared.
 */
import { dateOf, parseInstant } from '../core/instant.ts'
import { type Event, EventKind, type PropertyValue } from '../gen/millrace/v1/event.ts'

/** The `sample` section of a job. */
export interface SampleDefinition {
  /** Path of the file, relative to the job's own; `.gz` is unpacked. */
  readonly file: string
  /** CSV with a header line, columns between blanks under one, or one JSON document a line. */
  readonly format: 'csv' | 'text' | 'json'
  /** IANA zone of times that name none. */
  readonly timezone: string
  /** What each event field is read from; fields as in millrace.v1.Event, `properties.x` and `context.x` included. */
  readonly columns: Readonly<Record<string, SampleColumn>>
  /** What each event name of the file becomes; a name that is not here stays as it is. */
  readonly names: Readonly<Record<string, SampleName>>
}

/** A column of the file by name, or the number of the row. */
export type SampleColumn = { readonly column: string } | { readonly row: true }

/** What an event name of the file becomes. */
export interface SampleName {
  readonly name: string
  /** `track`, `page`, `screen`, `identify`, `group` or `alias`. */
  readonly kind: SampleKind
  /** Screen of the event; '' leaves what its column gave. */
  readonly screen: string
  readonly properties: Readonly<Record<string, string | number | boolean>>
}

/** The kinds of event by name. */
export const sampleKinds = ['track', 'page', 'screen', 'identify', 'group', 'alias'] as const

/** A kind of event by name. */
export type SampleKind = (typeof sampleKinds)[number]

const kindNumbers: Readonly<Record<SampleKind, EventKind>> = {
  track: EventKind.EVENT_KIND_TRACK,
  page: EventKind.EVENT_KIND_PAGE,
  screen: EventKind.EVENT_KIND_SCREEN,
  identify: EventKind.EVENT_KIND_IDENTIFY,
  group: EventKind.EVENT_KIND_GROUP,
  alias: EventKind.EVENT_KIND_ALIAS,
}

/** Event fields that a sample may fill, besides `properties.…` and `context.…`. */
export const sampleTextFields = [
  'event_id',
  'person',
  'device',
  'session',
  'name',
  'platform',
  'screen',
  'currency',
] as const
/** Event fields of a sample that are times. */
export const sampleTimeFields = ['occurred_at', 'sent_at', 'received_at'] as const
/** Fields of `context` that a sample may fill. */
export const sampleContextFields = [
  'app_name',
  'app_version',
  'os_name',
  'os_version',
  'device_model',
  'locale',
  'timezone',
  'country',
  'ip',
  'user_agent',
  'referrer',
  'campaign_source',
  'campaign_medium',
  'campaign_name',
  'library_name',
  'library_version',
] as const

/** True when `path` names a field that a sample can fill. */
export function isSampleField(path: string): boolean {
  if (path === 'revenue_minor' || /^properties\../.test(path)) return true
  if (path.startsWith('context.'))
    return (sampleContextFields as readonly string[]).includes(path.slice('context.'.length))
  return ([...sampleTextFields, ...sampleTimeFields] as readonly string[]).includes(path)
}

/** An event, or what is wrong with the row. */
export type SampleResult = { readonly event: Event } | { readonly problem: string }

/**
 * The event of one row. `row` holds the cells by column name (texts from CSV, any scalar from JSON); `number` counts rows
 * from 1 in the order of the file. Ids from row numbers are padded, `row-00000042`.
 */
export function mapSampleRow(
  sample: SampleDefinition,
  row: Readonly<Record<string, unknown>>,
  number: number,
): SampleResult {
  const texts: Record<string, string> = {}
  const context: Record<string, string> = {}
  const times: Record<string, Date> = {}
  const properties: Record<string, PropertyValue> = {}
  let revenueMinor = 0
  for (const [field, from] of Object.entries(sample.columns)) {
    let cell: unknown
    if ('row' in from) {
      cell = `row-${String(number).padStart(8, '0')}`
    } else {
      cell = Object.hasOwn(row, from.column) ? row[from.column] : undefined
      // A JSON document leaves out what it does not have; what no event can be without is still said.
      if (cell === undefined && (sample.format !== 'json' || field === 'person' || field === 'occurred_at'))
        return { problem: `row ${number} has no column "${from.column}"` }
    }
    if (cell === '' || cell === null || cell === undefined) continue
    if (field.startsWith('properties.')) {
      properties[field.slice('properties.'.length)] = propertyOf(cell)
    } else if (field.startsWith('context.')) {
      context[camel(field.slice('context.'.length))] = String(cell)
    } else if ((sampleTimeFields as readonly string[]).includes(field)) {
      const ms = typeof cell === 'number' ? cell : sampleTimeMs(String(cell), sample.timezone)
      if (Number.isNaN(ms)) return { problem: `row ${number}: "${String(cell)}" in ${field} is no time` }
      times[camel(field)] = dateOf(ms)
    } else if (field === 'revenue_minor') {
      revenueMinor = Number(cell)
      if (!Number.isSafeInteger(revenueMinor))
        return { problem: `row ${number}: "${String(cell)}" is no amount in minor units` }
    } else {
      texts[camel(field)] = String(cell)
    }
  }
  const rawName = texts.name ?? ''
  const mapped = Object.hasOwn(sample.names, rawName) ? sample.names[rawName] : undefined
  for (const [key, value] of Object.entries(mapped?.properties ?? {})) properties[key] = propertyOf(value)
  return {
    event: {
      eventId: texts.eventId ?? '',
      person: texts.person ?? '',
      device: texts.device ?? '',
      session: texts.session ?? '',
      name: mapped?.name ?? rawName,
      kind: kindNumbers[mapped?.kind ?? 'track'],
      occurredAt: times.occurredAt,
      sentAt: times.sentAt,
      receivedAt: times.receivedAt,
      platform: texts.platform ?? '',
      screen: mapped !== undefined && mapped.screen !== '' ? mapped.screen : (texts.screen ?? ''),
      revenueMinor,
      currency: texts.currency ?? '',
      properties,
      context: Object.keys(context).length === 0 ? undefined : { ...emptyContext, ...context },
      consent: undefined,
    },
  }
}

/** Epoch ms of a time text, or of a day such as `19970131`; one that names no zone is local to `timezone`. NaN for no time. */
export function sampleTimeMs(text: string, timezone: string): number {
  const utc = parseInstant(text.replace(/^(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3'))
  if (timezone === 'UTC' || Number.isNaN(utc) || /(Z|z|[+-]\d{2}:?\d{2})$/.test(text.trim().slice(10))) return utc
  // The zone's offset at about that time, then once more at the time found: right everywhere but inside a skipped hour.
  const first = utc - zoneOffsetMs(utc, timezone)
  return utc - zoneOffsetMs(first, timezone)
}

const formatters = new Map<string, Intl.DateTimeFormat>()

function zoneOffsetMs(ms: number, timezone: string): number {
  let formatter = formatters.get(timezone)
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formatters.set(timezone, formatter)
  }
  const parts: Record<string, number> = {}
  for (const part of formatter.formatToParts(ms)) parts[part.type] = Number(part.value)
  const local = Date.UTC(parts.year!, parts.month! - 1, parts.day, parts.hour, parts.minute, parts.second)
  return local - Math.floor(ms / 1000) * 1000
}

function propertyOf(value: unknown): PropertyValue {
  if (typeof value === 'boolean') return { value: { $case: 'boolValue', value } }
  if (typeof value === 'number') {
    return Number.isSafeInteger(value)
      ? { value: { $case: 'intValue', value } }
      : { value: { $case: 'doubleValue', value } }
  }
  return { value: { $case: 'stringValue', value: String(value) } }
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

const emptyContext = Object.fromEntries(sampleContextFields.map((f) => [camel(f), ''])) as unknown as NonNullable<
  Event['context']
>
