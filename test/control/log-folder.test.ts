import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { checkLogFolder } from '../../src/control/log-folder.ts'
import { engineForTest, folderForTest } from '../support/engine.ts'

/** A definition with these paths of its source, its sinks and its dead letters. */
function job(source: string, sinks: readonly string[] = [], dead: string | null = null): string {
  const output = (path: string) => ({ log: { path, topic: 'out' } })
  return JSON.stringify({
    apiVersion: 'millrace.dev/v1',
    kind: 'Job',
    metadata: { name: 'held' },
    sources: [{ id: 'events', log: { path: source, topic: 'events' } }],
    metrics: [{ id: 'views', count: {}, window: { tumbling: '1m' } }],
    ...(sinks.length === 0 ? {} : { sinks: sinks.map((path, i) => ({ id: `s${i}`, ...output(path) })) }),
    ...(dead === null ? {} : { deadLetters: output(dead) }),
  })
}

describe('the folder of logs', () => {
  it('holds the logs of all that is submitted', async () => {
    const root = folderForTest('logs')
    const logs = join(root, 'logs')
    mkdirSync(logs)
    mkdirSync(join(root, 'other'))
    symlinkSync(join(root, 'other'), join(logs, 'away'))
    const { client } = await engineForTest({ env: { MILLRACE_LOG_DIR: logs }, threads: 1 })
    const fields = async (text: string): Promise<string[]> => {
      const { violations } = await client.control.validate({ kind: 'text', text })
      return violations.map(({ field }) => field)
    }
    expect(await fields(job(logs, [join(logs, 'new', 'folder')], join(logs, 'dead')))).toEqual([])
    expect(await fields(job(root))).toEqual(['sources[0].log.path'])
    expect(await fields(job(join(logs, '..', 'other'), [`${logs}-not`], '/'))).toEqual([
      'sources[0].log.path',
      'sinks[0].log.path',
      'deadLetters.log.path',
    ])
    expect(await fields(job(join(logs, 'away', 'new')))).toEqual(['sources[0].log.path'])
    await expect(client.control.submit({ kind: 'text', text: job(root) })).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining('MILLRACE_LOG_DIR'),
    })
  })

  it('is that of the server where there is a list of who may call', () => {
    const folderOf = (env: Record<string, string>): string => parseConfig(env).jobs.logFolder
    expect(folderOf({})).toBe('')
    expect(folderOf({ MILLRACE_ACCESS_FILE: 'access' })).toBe('.')
    expect(folderOf({ MILLRACE_ACCESS_FILE: 'access', MILLRACE_LOG_DIR: '/logs' })).toBe('/logs')
    const definition = {
      name: 'held',
      source: { input: { kind: 'log', path: 'log' } },
      sinks: [],
      deadLetters: null,
      late: null,
    }
    expect(() => checkLogFolder(definition as never, '.')).not.toThrow()
    expect(() => checkLogFolder(definition as never, '/')).not.toThrow()
  })
})
