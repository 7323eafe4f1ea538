import { describe, expect, it } from 'vitest'
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import type { RecordOutput } from '../../src/job/definition.ts'
import { openOutboxSink } from '../../src/runtime/worker-outbox.ts'
import type { SinkAccess } from '../../src/sink/access.ts'
import { ownerOf } from '../sink/outbox-records.ts'

const open = (output: RecordOutput, access: SinkAccess = {}) =>
  openOutboxSink(output, ownerOf('a'), access, { clock: systemClock, scheduler: systemScheduler, random: systemRandom })
const http = (url: string): RecordOutput => ({ kind: 'http', url, encoding: 'json', timeoutMs: 1, retryMs: 0 })

describe('openOutboxSink', () => {
  it('says which setting a server lacks', () => {
    const never = { code: 'SINK_FAILED', retry: 'never', domain: 'user' }
    const redis = { kind: 'redis', prefix: 'p', stream: '', ttlMs: 0 } as const
    expect(() => open(redis)).toThrow(expect.objectContaining(never))
    expect(() => open(redis)).toThrow(/set MILLRACE_SINK_REDIS$/)
    expect(() => open({ kind: 'postgres', table: 't' })).toThrow(/set MILLRACE_SINK_POSTGRES$/)
  })

  it('sends a token over TLS, to loopback, or where that is allowed by name; the others need none', () => {
    const httpTokens = { 'a.example': 'abc', 'a.example:8080': 'def', localhost: 'ghi' }
    const clear = /would send the token of .* in the clear/
    expect(() => open(http('https://a.example/'), { httpTokens })).not.toThrow()
    expect(() => open(http('http://localhost/'), { httpTokens })).not.toThrow()
    expect(() => open(http('http://other/'), { httpTokens })).not.toThrow()
    expect(() => open(http('http://a.example:9/'), { httpTokens })).not.toThrow()
    expect(() => open(http('http://a.example/'), { httpTokens })).toThrow(clear)
    expect(() => open(http('http://a.example:8080/'), { httpTokens })).toThrow(clear)
    expect(() => open(http('http://a.example/'), { httpTokens })).not.toThrow(/abc/)
    expect(() => open(http('http://a.example/'), { httpTokens, allowPlaintext: true })).not.toThrow()
  })
})
