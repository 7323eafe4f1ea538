import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { diffState } from '../../src/job/state-diff.ts'
import { describeState } from '../../src/job/state-identity.ts'
import { alignPlan } from '../../src/job/state-match.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const sink = 'sinks: [{ id: out, log: { path: none, topic: out } }]'

function jobOf(metrics: readonly string[], top = '') {
  const text = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ratios }
sources: [{ id: events, log: { path: none, topic: events } }]
${top}
metrics:
${metrics.map((metric) => `  - { ${metric} }`).join('\n')}
`
  return parseJob(text, descriptors).definition
}

function planOf(metrics: readonly string[], top = '') {
  return planJob(jobOf(metrics, top), { threads: 2, descriptors })
}

function refusal(metrics: readonly string[], top = ''): string {
  try {
    jobOf(metrics, top)
  } catch (thrown) {
    return MillraceError.from(thrown)
      .violations.map(({ field, message }) => `${field}: ${message}`)
      .join('\n')
  }
  return ''
}

const day = 'window: { calendar: day, timezone: Europe/Berlin }'
const dau = `id: dau, activeUsers: {}, ${day}`
const mau = 'id: mau, activeUsers: {}, window: { sliding: 30d, slide: 1d, timezone: Europe/Berlin }'
const views = `id: views, count: {}, where: name == 'page_view', ${day}`
const revenue = `id: revenue, sum: { field: revenue_minor }, ${day}`

describe('a ratio', () => {
  it('has the windows, dimensions and times of the metric above the line', () => {
    const above = `id: a, count: {}, by: [platform], early: 5s, allowedLateness: 1h, retain: 100d, ${day}`
    const [a, , ratio] = jobOf([above, dau, 'id: r, ratio: { of: a, to: dau, scale: 100 }']).metrics
    const { by, window, earlyMs, allowedLatenessMs, retainMs } = a!
    expect(ratio).toMatchObject({ by, window, earlyMs, allowedLatenessMs, retainMs, where: null })
    expect(ratio!.kind).toEqual({ kind: 'ratio', of: 'a', to: 'dau', scale: 100, queriesOnly: false })
  })

  it('of one table is read out of it, and goes to sinks', () => {
    const plan = planOf(['id: r, ratio: { of: views, to: dau, scale: 10 }', views, dau, revenue], sink)
    expect(plan.ratios).toBeUndefined()
    expect(plan.tables).toHaveLength(1)
    const [ratio, above, below] = plan.metrics
    // The count of what is below the line says whether there is a value.
    expect(ratio).toMatchObject({ id: 'r', table: 0, events: below!.events, integer: false })
    expect(ratio!.read).toEqual({ kind: 'ratio', of: above!.read.of, by: below!.read.of, scale: 10 })
  })

  it('of several tables is put together when it is asked for', () => {
    const plan = planOf([dau, 'id: r, ratio: { of: dau, to: mau, queriesOnly: true }', mau], sink)
    expect(plan.metrics.map(({ id }) => id)).toEqual(['dau', 'mau'])
    expect(plan.ratios).toEqual([{ id: 'r', of: 'dau', to: 'mau', scale: 1 }])
  })

  it('with rolling active users on one side is put together, though the windows are the same', () => {
    const rolling = 'window: { sliding: 7d, slide: 1d }'
    const sides = [`id: events, count: {}, ${rolling}`, `id: wau, activeUsers: {}, ${rolling}`]
    const plan = planOf([...sides, 'id: r, ratio: { of: events, to: wau, queriesOnly: true }'], sink)
    expect(plan.tables).toHaveLength(2)
    expect(plan.ratios).toEqual([{ id: 'r', of: 'events', to: 'wau', scale: 1 }])
    expect(() => planOf([...sides, 'id: r, ratio: { of: events, to: wau }'], sink)).toThrow('different tables')
  })

  it('of one table is not given to sinks where it says so', () => {
    const plan = planOf([dau, views, 'id: r, ratio: { of: views, to: dau, queriesOnly: true }'], sink)
    expect(plan.ratios).toHaveLength(1)
  })

  it('goes on from a checkpoint that had its metrics, and costs no state', () => {
    const before = planOf([views, dau])
    const after = planOf([views, dau, 'id: r, ratio: { of: views, to: dau }'])
    const diff = diffState(describeState(before), describeState(after))
    expect(diff.entries.map(({ change }) => change)).not.toContain('new')
    expect(alignPlan(after, diff.tables)).toBe(after)
    expect(after.tables[0]!.accumulators).toHaveLength(before.tables[0]!.accumulators.length)
  })

  it.each([
    ['nothing', ['id: r, ratio: { of: dau, to: nope }', dau], 'there is no metric "nope"'],
    [
      'a ratio',
      [dau, views, 'id: r, ratio: { of: dau, to: views }', 'id: s, ratio: { of: r, to: dau }'],
      'is a ratio itself',
    ],
    ['itself', [dau, 'id: r, ratio: { of: dau, to: dau }'], 'always 1'],
    ['lists', [dau, `id: t, topK: { field: screen, k: 3 }, ${day}`, 'id: r, ratio: { of: t, to: dau }'], 'is a list'],
    [
      'sessions',
      [dau, 'id: s, count: {}, by: [person], window: { session: 30m }', 'id: r, ratio: { of: s, to: dau }'],
      'sessions',
    ],
    [
      'more dimensions below',
      [dau, `id: b, count: {}, by: [screen], ${day}`, 'id: r, ratio: { of: dau, to: b }'],
      'is by screen',
    ],
    ['own dimensions below', [dau, `id: l, lifecycle: {}, ${day}`, 'id: r, ratio: { of: dau, to: l }'], 'is by status'],
    [
      'longer memory below',
      [dau, `id: b, count: {}, retain: 1000d, ${day}`, 'id: r, ratio: { of: dau, to: b }'],
      'Give both the same retain',
    ],
    [
      'another zone',
      [dau, 'id: b, count: {}, window: { calendar: day }', 'id: r, ratio: { of: dau, to: b }'],
      'different time zones',
    ],
    [
      'another clock',
      [
        dau,
        'id: b, count: {}, window: { tumbling: 1d, timezone: Europe/Berlin, time: processing }',
        'id: r, ratio: { of: dau, to: b }',
      ],
      'different clocks',
    ],
  ])('of %s is refused', (_, metrics, why) => {
    expect(refusal(metrics)).toContain(why)
  })

  it('that sinks cannot be given is refused with sinks, unless it says so', () => {
    expect(refusal([dau, mau, 'id: r, ratio: { of: dau, to: mau }'])).toBe('')
    expect(refusal([dau, mau, 'id: r, ratio: { of: dau, to: mau }'], sink)).toContain('queriesOnly: true')
  })

  const windows = {
    hours: '{ tumbling: 1h }',
    days: '{ calendar: day }',
    weeks: '{ calendar: week }',
    months: '{ calendar: month }',
    rolling: '{ sliding: 30d, slide: 1d }',
    live: '{ sliding: 30m, slide: 1m }',
    soFar: '{ cumulate: 1d, step: 1h }',
    shifted: '{ tumbling: 1d, offset: 1h }',
    all: '{ global: {} }',
  }

  it.each<[keyof typeof windows, keyof typeof windows, boolean]>([
    ['days', 'rolling', true],
    ['rolling', 'days', true],
    ['weeks', 'days', true],
    ['weeks', 'rolling', true],
    ['months', 'rolling', true],
    ['months', 'hours', true],
    ['days', 'live', true],
    ['soFar', 'hours', true],
    ['all', 'all', true],
    ['days', 'months', false],
    ['days', 'weeks', false],
    ['months', 'weeks', false],
    ['hours', 'days', false],
    ['days', 'shifted', false],
    ['days', 'all', false],
  ])('of %s by %s ends together: %s', (above, below, fits) => {
    const metrics = [
      `id: a, count: {}, window: ${windows[above]}`,
      `id: b, count: {}, where: name == "b", window: ${windows[below]}`,
      'id: r, ratio: { of: a, to: b }',
    ]
    expect(refusal(metrics)).toMatch(fits ? /^$/ : /do not end together/)
  })
})
