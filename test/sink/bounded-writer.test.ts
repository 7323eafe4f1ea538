import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { BoundedWriter } from '../../src/sink/bounded-writer.ts'
import { RecordingWriter } from './support.ts'

const KB = 1024
const settled = () => new Promise<void>((resolve) => void setImmediate(resolve))

function bounded() {
  const writer = new RecordingWriter()
  const woken: number[] = []
  const wrapped = new BoundedWriter(writer, () => woken.push(writer.bufferedBytes))
  const write = (kilobytes: number) => wrapped.write(null, new Uint8Array(kilobytes * KB), 0)
  return { writer, wrapped, woken, write }
}

describe('BoundedWriter', () => {
  it('starts one flush in the background when much is buffered, and wakes whoever waits when it is through', async () => {
    const { writer, wrapped, woken, write } = bounded()
    write(255)
    expect(writer.flushes.length).toBe(0)
    write(1)
    write(300)
    expect(writer.flushes.length).toBe(1)
    writer.flushes[0]!.resolve()
    await settled()
    expect(woken).toEqual([300 * KB])
    write(1)
    expect(writer.flushes.length).toBe(2)
    expect(wrapped.full).toBe(false)
  })

  it('is full from 4 MB on, until a flush is through', async () => {
    const { writer, wrapped, write } = bounded()
    for (let i = 0; i < 4; i++) write(1024 - (i === 3 ? 1 : 0))
    expect(wrapped.full).toBe(false)
    write(1)
    expect(wrapped.full).toBe(true)
    writer.flushes[0]!.resolve()
    await settled()
    expect(wrapped.full).toBe(false)
  })

  it('is not full for ever when more than it holds was written during a flush: the next one starts by itself', async () => {
    const { writer, wrapped, write } = bounded()
    write(256)
    for (let i = 0; i < 5; i++) write(1024)
    writer.flushes[0]!.resolve()
    await settled()
    expect([wrapped.full, writer.flushes.length]).toEqual([true, 2])
    writer.flushes[1]!.resolve()
    await settled()
    expect(wrapped.full).toBe(false)
  })

  it('flushes what was written while another flush was under way', async () => {
    const { writer, wrapped, write } = bounded()
    write(256)
    write(10)
    let done = false
    const flushed = wrapped.flush().then(() => {
      done = true
    })
    await settled()
    expect([writer.flushes.length, done]).toEqual([1, false])
    writer.flushes[0]!.resolve()
    await settled()
    expect([writer.flushes.length, done]).toEqual([2, false])
    writer.flushes[1]!.resolve()
    await flushed
    expect(wrapped.bufferedBytes).toBe(0)
  })

  it('tells a failure in the background to whoever asks next, and for good', async () => {
    const { writer, wrapped, woken, write } = bounded()
    write(300)
    writer.flushes[0]!.reject(new MillraceError('SINK_FAILED', 'disk full'))
    await settled()
    expect(woken.length).toBe(1)
    expect(() => wrapped.full).toThrow('disk full')
    await expect(wrapped.flush()).rejects.toThrow('disk full')
    expect(() => wrapped.full).toThrow('disk full')
  })
})
