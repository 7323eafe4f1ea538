import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quantile } from '../../bench/measures/measure.ts'
import { readRequest } from '../../bench/request.ts'

const ids = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id)

describe('what the bench is asked for', () => {
  it('is everything by default, sized for the full span', () => {
    const request = readRequest({ CASE: '', DURATION: '' })
    expect(ids(request.cases)).toEqual([
      'tumbling',
      'distinct',
      'session',
      'sliding',
      'product-actives',
      'product-sessions',
      'product-pages',
    ])
    expect(ids(request.measures)).toEqual([
      'checkpoints',
      'pre-aggregation',
      'typescript',
      'product',
      'cel',
      'latency',
      'memory',
      'cold-start',
      'recovery',
      'state-memory',
    ])
    expect(request).toMatchObject({ durationSeconds: 20, warmupSeconds: 10, rounds: 1, rate: 100_000 })
    expect(request).toMatchObject({ millrace: true, flink: true })
    expect(request.eventsOf()).toBe(150_000_000)
    expect(request.cases.map(request.eventsOf)).toEqual([
      150_000_000, 150_000_000, 45_000_000, 60_000_000, 18_000_000, 45_000_000, 150_000_000,
    ])
  })

  it('is some cases and measures by name', () => {
    const one = readRequest({ CASE: 'distinct', DURATION: '4s', ROUNDS: '3', EVENTS: '5000' })
    expect([ids(one.cases), ids(one.measures)]).toEqual([['distinct'], []])
    expect(one).toMatchObject({ durationSeconds: 4, warmupSeconds: 2, rounds: 3, flink: true })
    expect([one.eventsOf(), one.eventsOf(one.cases[0])]).toEqual([5_000, 5_000])
    expect(readRequest({ CASE: 'distinct, latency, tumbling' })).toMatchObject({
      cases: [{ id: 'tumbling' }, { id: 'distinct' }],
      measures: [{ id: 'latency' }],
    })
    const measure = readRequest({ CASE: 'latency', RATE: '50000' })
    expect([ids(measure.cases), ids(measure.measures)]).toEqual([[], ['latency']])
    // Nothing compares with Flink: it need not be built.
    expect(measure).toMatchObject({ rate: 50_000, flink: false })
  })

  it('is no measure of Millrace when only Flink runs', () => {
    const request = readRequest({ SIDES: 'flink' })
    expect(request).toMatchObject({ millrace: false, flink: true, measures: [] })
  })

  it.each([
    [
      { CASE: 'tumblin' },
      'tumbling, distinct, session, sliding, product-actives, product-sessions, product-pages, checkpoints, pre-aggregation, typescript, product, cel, latency, memory, cold-start, recovery, state-memory',
    ],
    [{ DURATION: 'long' }, 'expected a number with ms, s or m'],
    [{ ROUNDS: '0' }, 'ROUNDS=0: expected a whole number from 1'],
    [{ RATE: '1e-3' }, 'RATE=1e-3'],
    [{ SIDES: 'spark' }, 'no side "spark"'],
  ])('is refused as %j with words', (env, words) => {
    expect(() => readRequest(env)).toThrow(words)
  })
})

describe('quantiles', () => {
  it('are of the values themselves', () => {
    expect([0, 0.5, 0.99, 1].map((p) => quantile([40, 10, 30, 20], p))).toEqual([10, 20, 40, 40])
    expect(quantile([], 0.5)).toBeNaN()
  })

  it('leave no more than their share above', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.double({ min: 0, max: 1, noNaN: true }), (values, p) => {
        const found = quantile(values, p)
        expect(values).toContain(found)
        expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(Math.floor(p * values.length))
        expect(values.filter((value) => value < found).length).toBeLessThanOrEqual(Math.ceil(p * values.length))
      }),
    )
  })
})
