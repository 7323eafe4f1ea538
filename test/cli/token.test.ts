import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAccess } from '../../src/security/access.ts'
import { digestOf } from '../../src/security/digest.ts'
import { CliHarness } from '../support/cli.ts'
import { folderForTest } from '../support/engine.ts'

describe('millrace token', () => {
  it('writes a token that its own line lets in, and shows it nowhere else', async () => {
    const file = join(folderForTest('token'), 'alice.token')
    const { code, stdout, stderr } = await new CliHarness().run('token', 'alice', '--role', 'operator', '--out', file)
    expect(code).toBe(0)
    const token = readFileSync(file, 'utf8').trim()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(stdout).toMatch(/^alice operator sha256:[0-9a-f]{64}\n$/)
    expect(stdout + stderr).not.toContain(token)
    const identity = parseAccess(stdout, 'access').identify({ digest: digestOf(token), certificateNames: [] })
    expect(identity).toEqual({ name: 'alice', role: 'operator', knownBy: 'token' })
  })

  it('overwrites nothing', async () => {
    const file = join(folderForTest('token'), 'a.token')
    const harness = new CliHarness()
    expect((await harness.run('token', 'a', '--role', 'viewer', '--out', file)).code).toBe(0)
    const before = readFileSync(file, 'utf8')
    const again = await harness.run('token', 'a', '--role', 'viewer', '--out', file)
    expect(again).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('is there already') })
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  it.each([
    [['token', 'a b', '--role', 'viewer', '--out', '/nowhere/x'], /the name may have/],
    [['token', 'a', '--role', 'root', '--out', '/nowhere/x'], /viewer, operator, ingest/],
    [['token', 'a', '--role', 'viewer'], /--out/],
    [['token', 'a', '--out', '/nowhere/x'], /--role/],
  ])('%j is a mistake of use', async (args, message) => {
    expect(await new CliHarness().run(...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) })
  })
})
