/** `make demo` as a stranger sees it: the shipped jobs on the shipped data, in a process of its own. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { folderForTest } from '../support/engine.ts'
import { projectRoot } from '../support/infra-process.ts'

it('counts every event, and shows live numbers, a funnel, and the incidents that are in the sample', async () => {
  const env = { ...process.env, MILLRACE_DATA_DIR: folderForTest('demo'), NO_COLOR: '1' }
  for (const name of ['MILLRACE_BROKERS', 'MILLRACE_REDIS']) delete env[name as keyof typeof env]
  const main = join(projectRoot, 'src/main.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'demo'], { env, cwd: projectRoot })
  expect(stdout).toContain('engagement: 31,106 events in')
  expect(stdout).toMatch(/ 2024-06-28 +28 +final/)
  // People of May from the cart to a purchase, as the golden test of the job has them from SQL.
  expect(stdout).toMatch(/1 +screen == 'cart' +\d+ +100 %/)
  expect(stdout).toMatch(/3 +name == 'purchase' +\d+ +\d+/)
  const found = [...stdout.matchAll(/^(2024-\d\d-\d\d) 00:00:00 .* (payment|purchase) /gm)]
  expect(found.map(([, day, detector]) => [day, detector])).toEqual([
    ['2024-04-09', 'payment'],
    ['2024-05-19', 'purchase'],
  ])
  expect(stdout).toContain('funnel conversion/checkout')
})
