/** The chart of deploy/kubernetes, rendered by helm itself. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { goTool, helm } from './go-tools.ts'
import { projectRoot } from './infra-process.ts'

const run = promisify(execFile)

/** Folder of the chart. */
export const chart = join(projectRoot, 'deploy/kubernetes/chart')

/** Folder of what is rendered from it for those without helm. */
export const manifests = join(projectRoot, 'deploy/kubernetes/manifests')

/** The Kubernetes that it is rendered for: that of `kubernetesSources`. */
const kubeVersion = '1.37.2'

/** The plain manifests, by file: the server, and the controller for those who declare jobs. */
export const rendered: Readonly<Record<string, () => Promise<string>>> = {
  'millrace.yaml': () => renderChart(),
  'controller.yaml': () => renderChart([], ['controller.enabled=true'], ['--show-only', 'templates/controller.yaml']),
}

/** Runs helm; its standard output. Rejects with what helm says. */
export async function runHelm(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(await goTool(helm), [...args], { maxBuffer: 16 * 1024 * 1024 })
  return stdout
}

/** The manifests of the chart, as one text with its definitions, by files of values and single ones (`threads=4`). */
export function renderChart(
  files: readonly string[] = [],
  values: readonly string[] = [],
  only: readonly string[] = [],
): Promise<string> {
  const given = [...files.flatMap((file) => ['--values', file]), ...values.flatMap((value) => ['--set', value])]
  return runHelm(
    'template',
    'millrace',
    chart,
    '--include-crds',
    '--namespace',
    'millrace',
    '--kube-version',
    kubeVersion,
    ...given,
    ...only,
  )
}
