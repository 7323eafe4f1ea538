/** The lock file holds an entry for the binary of every platform, whatever the registry offered when it was written. */
import { describe, expect, it } from 'vitest'
import { completeLock, platformEntry } from '../../tools/complete-lock.ts'

describe('platformEntry', () => {
  it.each([
    ['@biomejs/cli-darwin-arm64', ['darwin'], ['arm64'], undefined],
    ['@biomejs/cli-linux-x64-musl', ['linux'], ['x64'], ['musl']],
    ['@oxlint/binding-linux-x64-gnu', ['linux'], ['x64'], ['glibc']],
    ['@oxlint/binding-linux-arm-musleabihf', ['linux'], ['arm'], ['musl']],
    ['@oxlint/binding-win32-ia32-msvc', ['win32'], ['ia32'], undefined],
    ['@bufbuild/buf-linux-armv7', ['linux'], ['arm'], undefined],
    ['@oxlint-tsgolint/win32-x64', ['win32'], ['x64'], undefined],
  ])('%s', (name, os, cpu, libc) => {
    const entry = platformEntry(name, '1.2.3', true)
    expect(entry).toMatchObject({ version: '1.2.3', dev: true, optional: true, os, cpu })
    expect(entry?.libc).toEqual(libc)
  })

  it('knows no platform where the name tells none', () => {
    expect(platformEntry('nice', '1.0.0', false)).toBeUndefined()
  })
})

describe('completeLock', () => {
  const parent = {
    version: '2.0.0',
    integrity: 'x',
    optionalDependencies: { 'tool-darwin-x64': '2.0.0', 'tool-linux-x64': '2.0.0' },
  }
  const present = { version: '2.0.0', integrity: 'y', optional: true, os: ['linux'], cpu: ['x64'] }

  it('adds what is missing, keeps what is there, and then finds nothing to do', () => {
    const lock = { packages: { '': {}, 'node_modules/tool': parent, 'node_modules/tool-linux-x64': present } }
    expect(completeLock(lock)).toEqual(['tool-darwin-x64'])
    expect(lock.packages).toMatchObject({
      'node_modules/tool-darwin-x64': { version: '2.0.0', os: ['darwin'], cpu: ['x64'], optional: true },
      'node_modules/tool-linux-x64': present,
    })
    expect(completeLock(lock)).toEqual([])
  })

  it('leaves optional packages without an exact version alone', () => {
    const lock = { packages: { 'node_modules/tool': { optionalDependencies: { 'tool-darwin-x64': '^2.0.0' } } } }
    expect(completeLock(lock)).toEqual([])
  })
})
