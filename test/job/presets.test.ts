import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { MetricDefinition } from '../../src/job/definition.ts'
import { hashDefinition } from '../../src/job/definition-hash.ts'
import { parseJob } from '../../src/job/parse.ts'
import { presetNames } from '../../src/job/preset-names.ts'
import { presets } from '../../src/job/presets.ts'
import { describeWindow } from '../../src/job/window-text.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()

function jobOf(metrics: string, top = '') {
  const text = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: presets }
sources: [{ id: events, log: { path: none, topic: events } }]
${top}
metrics:
${metrics}
`
  return parseJob(text, descriptors).definition
}

function metricOf(metric: string, top = ''): MetricDefinition {
  return jobOf(`  - { id: m, ${metric} }`, top).metrics[0]!
}

function refusal(metric: string, top = ''): string {
  try {
    metricOf(metric, top)
  } catch (thrown) {
    return MillraceError.from(thrown)
      .violations.map(({ field, message }) => `${field}: ${message}`)
      .join('\n')
  }
  return ''
}

describe('presets', () => {
  it.each([
    ['ga4', 'now', '30m every 1m'],
    ['ga4', 'week', '7d every 1d'],
    ['ga4', 'month', '28d every 1d'],
    ['posthog', 'day', '1d'],
    ['posthog', 'week', '7d every 1d'],
    ['posthog', 'month', '30d every 1d'],
    ['amplitude', 'month', 'month'],
    ['plausible', 'now', '5m every 1m'],
  ])('of %s fill in the windows of active users over %s', (preset, over, window) => {
    const own = metricOf(`activeUsers: { over: ${over} }, preset: ${preset}`)
    expect(describeWindow(own.window)).toBe(window)
    expect(own.preset).toBe(preset)
    // The job's does the same, in the job's zone.
    const wide = metricOf(`activeUsers: { over: ${over} }`, `preset: ${preset}\ntimezone: Asia/Kolkata`)
    expect(wide).toEqual({ ...own, window: { ...own.window, timezone: 'Asia/Kolkata' } })
  })

  it('fill in what is left out; what is written wins', () => {
    const two = 'steps: [{ where: "true" }, { where: "true" }]'
    const day = 'window: { calendar: day }'
    expect(metricOf(`funnel: { ${two} }, preset: posthog, ${day}`).kind).toMatchObject({ withinMs: 14 * 86_400_000 })
    const within = `funnel: { ${two}, within: 1h }, preset: posthog, ${day}`
    expect(metricOf(within).kind).toMatchObject({ withinMs: 3_600_000 })
    const window = metricOf(`activeUsers: { over: month }, preset: posthog, ${day}`).window
    expect(describeWindow(window)).toBe('1d')
    // A metric's own wins over the job's.
    const own = metricOf('activeUsers: { over: month }, preset: ga4', 'preset: posthog')
    expect(describeWindow(own.window)).toBe('28d every 1d')
  })

  it('of a job are passed over where they say nothing; those of a metric are refused', () => {
    const counts = 'count: {}, window: { tumbling: 1h }'
    expect(metricOf(counts, 'preset: ga4')).not.toHaveProperty('preset')
    expect(refusal(`${counts}, preset: ga4`)).toContain('ga4 has no definition of count here')
    expect(refusal('activeUsers: { over: now }, preset: amplitude')).toContain('over "now"')
    expect(refusal('activeUsers: { over: week }, preset: matomo')).toContain('ga4, posthog, amplitude, plausible have')
  })

  it.each([
    ['activeUsers: {}', 'needs windows'],
    ['activeUsers: { over: month }', 'a preset that says'],
    ['activeUsers: { over: year }, preset: ga4', 'now, day, week or month'],
    ['activeUsers: { over: month }, preset: mixpanel', 'ga4, posthog, amplitude, plausible or matomo'],
  ])('are refused in %s', (metric, why) => {
    expect(refusal(metric)).toContain(why)
  })

  it('leave state alone: what they fill in is what counts', () => {
    const named = jobOf('  - { id: m, activeUsers: { over: week }, preset: ga4 }')
    const written = jobOf('  - { id: m, activeUsers: {}, window: { sliding: 7d, slide: 1d } }')
    expect(hashDefinition(named)).toBe(hashDefinition(written))
  })

  it('have only windows that make sense in any zone', () => {
    for (const name of presetNames)
      for (const over of Object.keys(presets[name].activeUsers ?? {}))
        expect(() =>
          metricOf(`activeUsers: { over: ${over} }, preset: ${name}`, 'timezone: Asia/Kathmandu'),
        ).not.toThrow()
  })
})

describe('the time zone of a job', () => {
  const zone = 'timezone: Europe/Berlin'

  it.each([
    ['count: {}, window: { calendar: day }', 'Europe/Berlin'],
    ['count: {}, window: { tumbling: 1h }', 'Europe/Berlin'],
    ['activeUsers: {}, window: { sliding: 7d, slide: 1d }', 'Europe/Berlin'],
    ['count: {}, window: { cumulate: 1d, step: 1h }', 'Europe/Berlin'],
    ['count: {}, by: [person], window: { session: 30m }', 'Europe/Berlin'],
    ['lifecycle: {}, window: { calendar: week }', 'Europe/Berlin'],
    ['retention: {}, window: { calendar: day }', 'Europe/Berlin'],
    ['count: {}, window: { calendar: day, timezone: UTC }', 'UTC'],
    // It has no boundaries.
    ['count: {}, window: { global: {} }', 'UTC'],
  ])('is that of %s', (metric, expected) => {
    expect(metricOf(metric, zone).window.timezone).toBe(expected)
  })

  it('is told once where there is none such', () => {
    expect(refusal('count: {}, window: { calendar: day }', 'timezone: Mars/Olympus')).toBe(
      'timezone: there is no time zone "Mars/Olympus"; use an IANA name, as Europe/Berlin',
    )
  })
})
