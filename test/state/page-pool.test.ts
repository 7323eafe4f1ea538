import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PagePool } from '../../src/state/page-pool.ts'
import { Pages } from '../../src/state/pages.ts'

describe('PagePool', () => {
  it('counts what is out, and hands a buffer to one owner at a time', () => {
    const steps = fc.array(fc.oneof(fc.record({ take: fc.constantFrom(8, 64, 1024) }), fc.record({ give: fc.nat() })))
    fc.assert(
      fc.property(steps, (all) => {
        const pool = new PagePool()
        const out: ArrayBuffer[] = []
        for (const step of all) {
          if ('take' in step) {
            const buffer = pool.take(step.take)
            expect(buffer.byteLength).toBe(step.take)
            expect(out.includes(buffer)).toBe(false)
            out.push(buffer)
          } else if (out.length > 0) {
            pool.give(out.splice(step.give % out.length, 1)[0]!)
          }
          expect(pool.bytesInUse).toBe(out.reduce((sum, buffer) => sum + buffer.byteLength, 0))
        }
      }),
    )
  })

  it('uses given buffers again', () => {
    const pool = new PagePool()
    const buffer = pool.take(64)
    pool.give(buffer)
    expect(pool.take(128)).not.toBe(buffer)
    expect(pool.take(64)).toBe(buffer)
  })
})

describe('Pages', () => {
  it('keep the content of a page that grows, mark it dirty, and account for every byte', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const pool = new PagePool()
        const pages = new Pages(pool, 8, 64, 4)
        let most = 0
        for (const units of sizes) {
          const page = pages.ensure(0, units)
          expect(page.u8.length).toBeGreaterThanOrEqual(units * 8)
          for (let i = 0; i < most; i++) expect(page.f64[i]).toBe(i)
          most = Math.max(most, units)
          for (let i = 0; i < most; i++) page.f64[i] = i
          expect(page.u32.buffer).toBe(page.f64.buffer)
          expect(page.dirty).toBe(1)
          expect(pool.bytesInUse).toBe(page.u8.length)
        }
        pages.release()
        expect(pool.bytesInUse).toBe(0)
      }),
    )
  })

  it('grow a page beyond its ordinary size in steps, not a copy an addition', () => {
    const pool = new PagePool()
    const pages = new Pages(pool, 1, 1024, 16)
    const sizes = new Set<number>()
    for (let bytes = 1; bytes <= 20_000; bytes++) sizes.add(pages.ensure(0, bytes).u8.length)
    expect([...sizes]).toEqual([16, 64, 256, 1024, 4096, 16_384, 65_536])
    pages.release()
    expect(pool.bytesInUse).toBe(0)
  })

  it('adopt the bytes of a snapshot: clean where they have a place in the store, else to be written', () => {
    const pages = new Pages(new PagePool(), 8, 64, 4)
    const bytes = Uint8Array.from({ length: 40 }, (_, i) => i)
    const location = { chunk: 'c', offset: 0, length: 40, crc: 1 }
    const kept = pages.adopt(bytes, location)
    const fresh = pages.adopt(bytes, null)
    expect([kept.dirty, kept.location, fresh.dirty, fresh.location]).toEqual([0, location, 1, null])
    expect(kept.u8.subarray(0, 40)).toEqual(bytes)
    expect(pages.ensure(1, 6).u8.subarray(0, 40)).toEqual(bytes)
  })

  it('go from the front one at a time', () => {
    const pool = new PagePool()
    const pages = new Pages(pool, 8, 2, 2)
    const [first, second] = [pages.ensure(0, 2), pages.ensure(1, 2)]
    pages.dropFirst()
    expect(pages.pages).toEqual([second])
    expect(pool.bytesInUse).toBe(first.u8.length)
    pages.dropFirst()
    pages.dropFirst()
    expect(pool.bytesInUse).toBe(0)
  })
})
