/**
 * What of deploy/kubernetes is made of something else: the rules in the chart are those of deploy/prometheus, the plain
 * manifests are the chart's with its own values.
 *
 *   node tools/kubernetes.ts             writes them; helm is built from source the first time
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { chart, manifests, rendered } from '../test/support/helm.ts'
import { projectRoot } from '../test/support/infra-process.ts'

function write(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  console.log(`wrote ${path}`)
}

const rules = join(projectRoot, 'deploy/prometheus/rules.yaml')
if (existsSync(rules)) write(join(chart, 'files/rules.yaml'), readFileSync(rules, 'utf8'))
for (const [file, render] of Object.entries(rendered)) write(join(manifests, file), await render())
