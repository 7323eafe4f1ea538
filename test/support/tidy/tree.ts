/** The real tree, as the tidy rules take it. */
import { globSync, readFileSync } from 'node:fs'
import { projectRoot } from '../infra-process.ts'
import type { Tree } from './source.ts'

/** Every TypeScript file of the project that people wrote, and the generated ones, which imports may name. */
export function readTree(): Tree {
  const paths = ['src', 'test', 'bench', 'tools', 'jobs'].flatMap((folder) =>
    globSync(`${folder}/**/*.ts`, { cwd: projectRoot, exclude: ['**/node_modules/**', '**/target/**'] }),
  )
  return new Map(paths.sort().map((path) => [path, readFileSync(`${projectRoot}/${path}`, 'utf8')]))
}
