import { expect, it } from 'vitest'
import { commandOf } from '../../src/cli/process-terminal.ts'

it('names what to type: the installed command, the checkout’s own, or Node and file', () => {
  const command = (script: string, folder: string, wrapped: boolean) =>
    commandOf('/x/tools/node', script, folder, () => wrapped)
  expect(command('/usr/bin/millrace', '/home/me', true)).toBe('millrace')
  expect(command('/x/src/main.ts', '/x', true)).toBe('bin/millrace')
  expect(command('/x/src/main.ts', '/y', true)).toBe('/x/bin/millrace')
  expect(command('/x/src/main.ts', '/x', false)).toBe('tools/node src/main.ts')
})
