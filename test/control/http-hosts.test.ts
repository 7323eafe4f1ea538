import { describe, expect, it } from 'vitest'
import { checkHttpHosts } from '../../src/control/http-hosts.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { engineForTest } from '../support/engine.ts'

const http = (url: string) => ({ kind: 'http', url, encoding: 'json', timeoutMs: 1, retryMs: 1 }) as const
const job = (url: string, dead?: string) =>
  ({
    name: 'posting',
    sinks: [
      { id: 'a', output: { kind: 'discard' } },
      { id: 'b', output: http(url) },
    ],
    deadLetters: dead === undefined ? null : { output: http(dead) },
    late: null,
  }) as unknown as JobDefinition

describe('the hosts that are posted to', () => {
  it.each([
    ['https://a.example/in', 'a.example', true],
    ['https://A.Example/in', 'a.example', true],
    ['https://a.example:443/in', 'a.example', true],
    ['https://a.example/in', 'a.example:443', true],
    ['http://a.example/in', 'a.example:80', true],
    ['http://a.example/in', 'x,a.example', true],
    ['http://[::1]:8080/in', '[::1]:8080', true],
    ['http://a.example:8080/in', 'a.example:8080', true],
    ['http://a.example:8080/in', 'a.example', false],
    ['https://a.example/in', 'a.example:80', false],
    ['https://b.a.example/in', 'a.example', false],
    ['https://a.example.evil/in', 'a.example', false],
    ['https://a.example/in', '', false],
    ['http://169.254.169.254/latest', 'a.example', false],
    // Another way to write 127.0.0.1.
    ['http://2130706433/', '127.0.0.1', true],
    ['http://0x7f.1/', 'localhost', false],
  ])('%s with %s: %s', (url, hosts, allowed) => {
    const check = () => checkHttpHosts(job(url), hosts)
    if (allowed) expect(check).not.toThrow()
    else expect(check).toThrow(/sinks\[1\].http.url: .* is not among the hosts .*MILLRACE_SINK_HTTP_HOSTS/)
  })

  it('are all looked at, and what comes after the host is not told', () => {
    expect(() => checkHttpHosts(job('https://a/', 'https://b/?key=secret'), 'a')).toThrow(/deadLetters.http.url: b is/)
    expect(() => checkHttpHosts(job('https://a/', 'https://b/?key=secret'), 'a')).not.toThrow(/secret/)
  })

  it('and servers of sinks are asked for when a job is submitted', async () => {
    const { client } = await engineForTest({ env: { MILLRACE_SINK_HTTP_HOSTS: 'localhost:9' }, threads: 1 })
    const document = (sink: object) =>
      JSON.stringify({
        apiVersion: 'millrace.dev/v1',
        kind: 'Job',
        metadata: { name: 'posting' },
        sources: [{ id: 'events', log: { path: 'log', topic: 'events' } }],
        metrics: [{ id: 'views', count: {}, window: { tumbling: '1m' } }],
        sinks: [{ id: 'out', ...sink }],
      })
    const told = async (sink: object) => {
      const { violations } = await client.control.validate({ kind: 'text', text: document(sink) })
      return violations.map(({ message }) => message)
    }
    expect(await told({ http: { url: 'http://localhost:9/in' } })).toEqual([])
    expect(await told({ http: { url: 'http://localhost:10/in' } })).toEqual([
      expect.stringContaining('MILLRACE_SINK_HTTP_HOSTS'),
    ])
    expect(await told({ redis: {} })).toEqual([expect.stringContaining('set MILLRACE_SINK_REDIS for it')])
    expect(await told({ postgres: { table: 't' } })).toEqual([
      expect.stringContaining('set MILLRACE_SINK_POSTGRES for it'),
    ])
  })
})
