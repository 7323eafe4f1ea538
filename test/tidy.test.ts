/**
 * The rules of the house, on the real tree; and for each rule a planted violation that shows it does find something.
 */
import { describe, expect, it } from 'vitest'
import { checkAdapters, checkDocs, checkLength, checkSkips } from './support/tidy/code-rules.ts'
import { checkCycles, checkDirections, checkLibraries, checkPurity } from './support/tidy/import-rules.ts'
import { blank, type Finding, importsOf, type Tree } from './support/tidy/source.ts'
import { maxLines } from './support/tidy/tables.ts'
import { readTree } from './support/tidy/tree.ts'

const rules: Readonly<Record<string, (tree: Tree) => Finding[]>> = {
  'imports go one way': checkDirections,
  'pure code imports nothing impure': checkPurity,
  'each library has its named files': checkLibraries,
  'no import cycles': checkCycles,
  'only adapters touch the outside': checkAdapters,
  'files are short': checkLength,
  'exports are documented': checkDocs,
  'no test is skipped without a reason': checkSkips,
}

describe('the tree', () => {
  const tree = readTree()

  it('is read', () => {
    expect([...tree.keys()]).toContain('src/core/errors.ts')
    expect([...tree.keys()]).toContain('test/tidy.test.ts')
  })

  for (const [name, check] of Object.entries(rules)) {
    it(name, () => {
      expect(check(tree).map((f) => `${f.path}:${f.line} ${f.message}`)).toEqual([])
    })
  }
})

/** What a rule finds in planted files, as `path:line message`. */
function found(check: (tree: Tree) => Finding[], files: Readonly<Record<string, string>>): string[] {
  return check(new Map(Object.entries(files))).map((f) => `${f.path}:${f.line} ${f.message}`)
}

describe('imports go one way, planted', () => {
  it.each([
    ['src/core/a.ts', '../event/b.ts', 'core may not import event'],
    ['src/window/a.ts', '../operator/b.ts', 'window may not import operator'],
    ['src/operator/a.ts', '../runtime/b.ts', 'operator may not import runtime'],
    ['src/runtime/a.ts', '../coordinator/b.ts', 'runtime may not import coordinator'],
    ['src/metrics/a.ts', '../query/b.ts', 'metrics may not import query'],
    ['src/rpc/a.ts', '../main.ts', 'rpc may not import main'],
    ['src/coordinator/a.ts', '../runtime/loop.ts', 'coordinator may import of runtime only'],
    ['src/core/a.ts', '../../test/b.ts', 'src/ may not import test/b.ts'],
    ['src/core/a.ts', '../../jobs/b.ts', 'src/ may not import jobs/b.ts'],
    ['src/elsewhere/a.ts', '../core/b.ts', 'src/elsewhere has no line in the table'],
    ['jobs/a.ts', '../src/job/b.ts', 'jobs/ may import src/api.ts only'],
  ])('%s importing %s', (path, specifier, message) => {
    for (const form of [`import { b } from '${specifier}'`, `import type { b } from '${specifier}'`]) {
      const [first] = found(checkDirections, { [path]: `${form}\n` })
      expect(first).toContain(`${path}:1 `)
      expect(first).toContain(message)
    }
  })

  it('lets pass what the table allows', () => {
    const files = {
      'src/window/a.ts': `import { b } from '../core/b.ts'\n`,
      'src/window/b.ts': `import { a } from './a.ts'\n`,
      'src/coordinator/a.ts': `import type { B } from '../runtime/messages.ts'\n`,
      'src/main.ts': `import { b } from './rpc/b.ts'\n`,
      'jobs/a.ts': `import { b } from '../src/api.ts'\n`,
      'test/a.test.ts': `import { b } from '../src/core/b.ts'\n`,
    }
    expect(found(checkDirections, files)).toEqual([])
  })
})

describe('pure code imports nothing impure, planted', () => {
  it.each([
    ['src/job/a.ts', `import { readFileSync } from 'node:fs'`],
    ['src/window/a.ts', `import { randomUUID } from 'node:crypto'`],
    ['src/state/a.ts', `import type { Kafka } from 'kafkajs'`],
    ['src/operator/a.ts', `const redis = await import('ioredis')`],
    ['src/checkpoint/protocol.ts', `import { Worker } from 'node:worker_threads'`],
    ['src/coordinator/job-state.ts', `export { Piscina } from 'piscina'`],
  ])('%s: %s', (path, text) => {
    expect(found(checkPurity, { [path]: text })).toEqual([expect.stringContaining('pure code may not import')])
  })

  it('lets pass assert, computing libraries and impure code elsewhere', () => {
    const files = {
      'src/job/a.ts': `import assert from 'node:assert'\nimport { parse } from 'yaml'\n`,
      'src/checkpoint/redis-store.ts': `import { Redis } from 'ioredis'\n`,
    }
    expect(found(checkPurity, files)).toEqual([])
  })
})

describe('each library has its named files, planted', () => {
  it.each([
    ['src/coordinator/a.ts', 'kafkajs'],
    ['src/runtime/a.ts', 'piscina'],
    ['src/runtime/a.ts', '@platformatic/kafka/dist/index.js'],
    ['src/query/a.ts', '@grpc/grpc-js'],
    ['src/core/a.ts', 'left-pad'],
  ])('%s importing %s', (path, specifier) => {
    expect(found(checkLibraries, { [path]: `import { a } from '${specifier}'` })).toHaveLength(1)
  })

  it('lets pass a library in its file, and any in tests', () => {
    const files = {
      'src/coordinator/worker-pool.ts': `import { Piscina } from 'piscina'`,
      'test/a.test.ts': `import fc from 'fast-check'`,
    }
    expect(found(checkLibraries, files)).toEqual([])
  })
})

describe('no import cycles, planted', () => {
  it('finds a circle of three, once', () => {
    const files = {
      'src/job/a.ts': `import { b } from './b.ts'\n`,
      'src/job/b.ts': `import { c } from './c.ts'\n`,
      'src/job/c.ts': `import { a } from './a.ts'\n`,
    }
    expect(found(checkCycles, files)).toEqual([
      'src/job/c.ts:1 cycle: src/job/a.ts -> src/job/b.ts -> src/job/c.ts -> src/job/a.ts',
    ])
  })

  it('finds a circle of types', () => {
    const files = {
      'src/job/a.ts': `import type { B } from './b.ts'\n`,
      'src/job/b.ts': `import type { A } from './a.ts'\n`,
    }
    expect(found(checkCycles, files)).toHaveLength(1)
  })

  it('lets pass a diamond', () => {
    const files = {
      'src/job/a.ts': `import { b } from './b.ts'\nimport { c } from './c.ts'\n`,
      'src/job/b.ts': `import { d } from './d.ts'\n`,
      'src/job/c.ts': `import { d } from './d.ts'\n`,
      'src/job/d.ts': '',
    }
    expect(found(checkCycles, files)).toEqual([])
  })
})

describe('only adapters touch the outside, planted', () => {
  it.each([
    'const now = Date.now()',
    'const now = new Date()',
    'const now = new Date ( )',
    'const now = Date()',
    'const now = performance.now()',
    'const now = globalThis.performance.now()',
    'const now = process.hrtime.bigint()',
    'setTimeout(run, 10)',
    'globalThis.setTimeout(run, 10)',
    'setInterval(run, 10)',
    'setImmediate(run)',
    'process.nextTick(run)',
    'Atomics.wait(cell, 0, 0)',
    'const r = Math.random()',
    'const id = crypto.randomUUID()',
    'const { port1 } = new MessageChannel()',
    'const worker = new Worker(url)',
    'const home = process.env.HOME',
    'const page = await fetch(url)',
    `const text = \`at \${Date.now()}\``,
    `import { createConnection } from 'node:net'`,
    `import { connect } from 'node:tls'`,
    `import { createServer } from 'node:http'`,
    `import { readFile } from 'node:fs/promises'`,
    `import { openSync } from 'node:fs'`,
    `import { MessageChannel } from 'node:worker_threads'`,
    `import { setTimeout } from 'node:timers/promises'`,
    `import { randomBytes } from 'node:crypto'`,
  ])('%s', (line) => {
    const findings = found(checkAdapters, { 'src/runtime/loop.ts': `const before = 1\n${line}\n` })
    expect(findings).not.toEqual([])
    for (const f of findings) expect(f).toMatch(/^src\/runtime\/loop\.ts:2 .*only .* may touch/)
  })

  it('lets pass adapters, computing with dates, methods of the same name, types, comments and strings', () => {
    const files = {
      'src/core/system.ts': 'const now = Date.now()\n',
      'src/window/a.ts': [
        'const noon = Date.UTC(2026, 0, 1, 12)',
        'const date = new Date(noon)',
        'scheduler.setTimeout(1)',
        'interface Leader {\n  fetch(offset: number): void\n}',
        'const stats = { performance: 1 }',
        "const text = 'Date.now()' // Date.now()",
        '/* Math.random() */ const pattern = /Math.random()/',
        `import type { MessagePort } from 'node:worker_threads'`,
      ].join('\n'),
    }
    expect(found(checkAdapters, files)).toEqual([])
  })
})

describe('files are short, planted', () => {
  const long = 'const a = 1\n'.repeat(maxLines + 1)

  it('finds one line too many, in tests too', () => {
    expect(found(checkLength, { 'src/core/a.ts': long, 'test/a.test.ts': long })).toHaveLength(2)
  })

  it('lets pass the longest allowed, generated code, and a reason near the top', () => {
    const files = {
      'src/core/a.ts': 'const a = 1\n'.repeat(maxLines),
      'src/gen/a.ts': long,
      'src/core/b.ts': `// tidy: long because it is one table\n${long}`,
    }
    expect(found(checkLength, files)).toEqual([])
  })

  it('wants the reason spelt out, and near the top', () => {
    expect(found(checkLength, { 'src/core/a.ts': `// tidy: long because \n${long}` })).toHaveLength(1)
    expect(found(checkLength, { 'src/core/a.ts': `${long}// tidy: long because it is one table\n` })).toHaveLength(1)
  })
})

describe('exports are documented, planted', () => {
  it.each([
    'export function f(): void {}',
    'export async function f(): Promise<void> {}',
    'export class A {}',
    'export abstract class A {}',
    'export const a = 1',
    'export interface A {}',
    'export type A = number',
    '// not a doc comment\nexport const a = 1',
    '/* nor this */\nexport const a = 1',
    '/** This one is of the file. */\n\nexport const a = 1',
  ])('%s', (text) => {
    expect(found(checkDocs, { 'src/core/a.ts': text })).toEqual([expect.stringContaining('has no doc comment')])
  })

  it('lets pass documented exports, overloads, re-exports, generated code and tests', () => {
    const files = {
      'src/core/a.ts':
        '/** One. */\nexport function f(a: 1): 1\nexport function f(a: 2): 2\n/** Two. */\nexport type A = 1\n',
      'src/api.ts': `export { a } from './core/a.ts'\nexport type { A } from './core/a.ts'\n`,
      'src/gen/a.ts': 'export const a = 1',
      'test/support/a.ts': 'export const a = 1',
    }
    expect(found(checkDocs, files)).toEqual([])
  })
})

describe('no test is skipped without a reason, planted', () => {
  const head = `import { it } from 'vitest'\n`

  it.each(['it.only(1)', 'it.skip(1)', 'it.todo(1)', 'describe.skipIf(x)(1)', 'describe.runIf(x)(1)'])('%s', (line) => {
    expect(found(checkSkips, { 'test/a.test.ts': `${head}${line}` })).toHaveLength(1)
  })

  it('lets pass a reason beside or above, but never .only', () => {
    const reasons = `it.skip(1) // skip: needs a cluster\n// skip: takes minutes\nit.runIf(x)(1)\n`
    expect(found(checkSkips, { 'test/a.test.ts': head + reasons })).toEqual([])
    expect(found(checkSkips, { 'test/a.test.ts': `${head}// skip: in haste\nit.only(1)` })).toHaveLength(1)
  })
})

describe('the scanner', () => {
  it('blanks comments, strings, templates and patterns, and keeps code within templates', () => {
    const text = [
      `a('x') // y`,
      `b(\`t \${c({ d: \`u \${e}\` })} v\`) /* w`,
      ` */ / f / g`,
      `h = /[/'"]i\\/j/.test(k)`,
    ].join('\n')
    const code = blank(text)
    expect(code).toHaveLength(text.length)
    expect(code.split('\n')).toHaveLength(text.split('\n').length)
    expect(code.match(/[a-z]/g)?.join('')).toBe('abcdefghtestk')
  })

  it('reads every form of import, with its line', () => {
    const text = [
      `import a, { b } from './a.ts'`,
      'import {',
      '  c, // from "./no.ts"',
      `} from './c.ts'`,
      `import * as d from "./d.ts"`,
      `import type { E } from './e.ts'`,
      `export { f } from './f.ts'`,
      `export type { G } from './g.ts'`,
      `export * from './h.ts'`,
      `import './i.ts'`,
      `const j = await import('./j.ts')`,
      `const no = "import { k } from './k.ts'"`,
      `import type from './l.ts'`,
    ].join('\n')
    expect(importsOf(text).map((i) => `${i.line} ${i.specifier}${i.typeOnly ? ' type' : ''}`)).toEqual([
      '1 ./a.ts',
      '2 ./c.ts',
      '5 ./d.ts',
      '6 ./e.ts type',
      '7 ./f.ts',
      '8 ./g.ts type',
      '9 ./h.ts',
      '10 ./i.ts',
      '11 ./j.ts',
      '13 ./l.ts',
    ])
  })
})
