import { describe, expect, it } from 'vitest'
import { describeKind, formatValue, valueCells } from '../../src/cli/metric-view.ts'
import { GLOBAL_END_MS, GLOBAL_START_MS } from '../../src/window/global.ts'
import { pageViews, someValue } from '../support/fakes/query.ts'

describe('values for people', () => {
  it('are a number, a list with what it may be off, or a text that a terminal can be given', () => {
    expect(formatValue({ value: 1234.5 })).toBe('1,234.5')
    expect(formatValue({ value: Number.NaN })).toBe('-')
    expect(formatValue({ value: Number.NaN, detail: { items: [], text: 'home\u001b[31m' } })).toBe('home\\x1b[31m')
    const items = [
      { label: 'a', value: 1200, error: 0 },
      { label: 'b\u0007', value: 7, error: 2 },
    ]
    expect(formatValue({ value: 1200, detail: { items, text: null } })).toBe('a: 1,200, b\\x07: 7 (-2)')
  })

  it('that are estimates say how far off they may be', () => {
    expect(formatValue({ value: 12_345, detail: { items: [], text: null, error: 0.01625 } })).toBe('12,345 ± 201')
    expect(formatValue({ value: 345 })).toBe('345')
  })

  it('of the global window are of all time', () => {
    const value = someValue({ dimensions: ['ios'], windowStartMs: GLOBAL_START_MS, windowEndMs: GLOBAL_END_MS })
    const window = { kind: 'global', timezone: 'UTC', time: 'event' } as const
    expect(valueCells({ ...pageViews, window }, value).slice(0, 2)).toEqual(['all time', 'ios'])
    // What the protocol cannot say is not there.
    expect(valueCells(pageViews, { ...value, windowStartMs: Number.NaN })[0]).toBe('-')
  })

  it('are named by kind, with what matters of it', () => {
    expect(describeKind({ kind: 'count' })).toBe('count')
    expect(describeKind({ kind: 'approxDistinct', field: '', error: 0.02 })).toBe('approxDistinct')
    expect(describeKind({ kind: 'activeUsers', exactUpTo: 1000, error: 0.02 })).toBe('activeUsers exact up to 1000')
    expect(describeKind({ kind: 'quantile', field: 'price', q: 0.95, error: 0.01 })).toBe('quantile 0.95 (price)')
    expect(describeKind({ kind: 'topK', field: 'screen', k: 3 })).toBe('topK 3 (screen)')
  })
})
