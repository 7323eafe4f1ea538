/** Every shipped job has its page, which names all of its metrics; and no page is about a job that is not there. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { projectRoot } from '../support/infra-process.ts'

/** Shown by the pages of specs, not by one of their own. */
const ofSpecs = new Map([
  ['behaviour', 'docs/specs/aggregates.md'],
  ['windows', 'docs/specs/windows.md'],
])

const jobs = globSync('jobs/*.{yaml,ts}', { cwd: projectRoot }).map((path) => ({
  path,
  name: basename(path).replace(/\.\w+$/, ''),
}))
const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8')

describe('shipped jobs', () => {
  it.each(jobs.filter(({ name }) => !ofSpecs.has(name)))(
    '$path has a page that names its metrics',
    ({ path, name }) => {
      const page = read(`docs/jobs/${name}.md`)
      expect(page).toContain(path)
      expect(read('docs/README.md')).toContain(`jobs/${name}.md`)
      if (path.endsWith('.ts')) return
      const { metrics } = parse(read(path)) as { metrics: { id: string }[] }
      const named = new Set([...page.matchAll(/`(\w+)`/g)].map(([, word]) => word))
      expect(metrics.map(({ id }) => id).filter((id) => !named.has(id))).toEqual([])
    },
  )

  it('are all that pages are about', () => {
    const pages = globSync('docs/jobs/*.md', { cwd: projectRoot }).map((path) => basename(path, '.md'))
    expect(pages.filter((name) => !jobs.some((job) => job.name === name))).toEqual([])
  })

  it('that have no page are in a spec', () => {
    for (const [name, page] of ofSpecs) {
      expect(existsSync(join(projectRoot, `jobs/${name}.yaml`)), name).toBe(true)
      expect(read(page), page).toContain(`jobs/${name}.yaml`)
    }
  })
})
