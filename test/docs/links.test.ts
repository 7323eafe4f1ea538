import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { brokenLinks, missingTests } from './links.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

function read(path: string): string | undefined {
  const stats = statSync(join(root, path), { throwIfNoEntry: false })
  if (stats === undefined || path.startsWith('..')) return undefined
  return stats.isDirectory() ? '' : readFileSync(join(root, path), 'utf8')
}

const pages = globSync(['*.md', '{docs,bench,jobs,deploy,proto}/**/*.md'], { cwd: root }).sort()

/** Pages whose tables name tests by file and title. */
const named = [
  'detectors',
  'exchange',
  'kafka-transactions',
  'lifetime-value',
  'properties',
  'savepoints',
  'schemas',
  'sinks',
  'source',
  'windows',
]
const specs = ['docs/metrics.md', ...named.map((name) => `docs/specs/${name}.md`)]

describe('the documentation', () => {
  it('links only to what is there', () => {
    expect(pages).toContain('docs/ARCHITECTURE.md')
    expect(pages.flatMap((page) => brokenLinks(page, read(page)!, read))).toEqual([])
  })

  it('names only tests that are there', () => {
    expect(specs.flatMap((page) => missingTests(page, read(page)!, read))).toEqual([])
  })

  it('lists every decision', () => {
    const index = read('docs/decisions/README.md')!
    const decisions = globSync('docs/decisions/0*.md', { cwd: root }).map((path) => path.split('/').at(-1)!)
    expect(decisions.filter((name) => !index.includes(`](${name})`))).toEqual([])
  })

  it('gives every decision a number of its own, in its name, its title and the index', () => {
    const index = read('docs/decisions/README.md')!
    const names = globSync('docs/decisions/0*.md', { cwd: root }).map((path) => path.split('/').at(-1)!)
    const numbers = names.map((name) => name.slice(0, 4))
    expect(new Set(numbers).size).toBe(numbers.length)
    for (const name of names) expect(read(`docs/decisions/${name}`)).toMatch(new RegExp(`^# ${name.slice(0, 4)}: `))
    const listed = [...index.matchAll(/^\| \[(\d{4})\]\((\d{4})-/gm)].map(([, number, file]) => [number, file])
    expect(listed).toEqual(numbers.toSorted().map((number) => [number, number]))
  })

  it('lists every page in docs/README.md', () => {
    const index = read('docs/README.md')!
    const listed = globSync(['docs/*.md', 'docs/{specs,guide,reference}/**/*.md'], { cwd: root })
      .map((path) => path.slice('docs/'.length))
      .filter((path) => path !== 'README.md')
    expect(listed.length).toBeGreaterThan(15)
    expect(listed.filter((path) => !index.includes(`](${path})`))).toEqual([])
  })
})

describe('the checks of the documentation', () => {
  const tree: Readonly<Record<string, string>> = {
    'docs/a.md': '# One `two` three\n\n## Twice\n## Twice\n',
    'src/x.ts': 'code',
    src: '',
    'test/window/days.test.ts': "it('has 23 hours', …)",
  }
  const readTree = (path: string) => tree[path]

  it.each([
    ['[a](a.md) [b](../src/x.ts) [c](../src/) [d](#here)\n# Here', []],
    ['[a](a.md#one-two-three) [b](a.md#twice-1)', []],
    ['[a](https://example.org/none) `[b](none.md)`\n```\n[c](none.md)\n```', []],
    ['[a](none.md)', ['docs/b.md:1 there is no docs/none.md']],
    ['\n[a](../../out.md)', ['docs/b.md:2 there is no ../out.md']],
    ['[a](a.md#two)', ['docs/b.md:1 docs/a.md has no #two']],
    ['[a](#there)', ['docs/b.md:1 docs/b.md has no #there']],
  ])('find links that lead nowhere: %j', (text, expected) => {
    expect(brokenLinks('docs/b.md', text, readTree)).toEqual(expected)
  })

  it.each([
    ['| `window/days` "has 23", "hours" |', []],
    ['`window/days`; `src/x.ts`, `word` "and words"', []],
    ['`window/days` "has 25"', ['b.md:1 test/window/days has no "has 25"']],
    ['`src/y.ts` `src/x.ts`', ['b.md:1 there is no src/y.ts']],
    ['`window/weeks` "has 7"', ['b.md:1 there is no test/window/weeks.test.ts']],
  ])('find tests that are not there: %j', (text, expected) => {
    expect(missingTests('b.md', text, readTree)).toEqual(expected)
  })
})
