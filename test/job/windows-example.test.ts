import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { describeWindow } from '../../src/job/window-text.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

it('jobs/windows.yaml is a job with every kind of window that its comment tells of', () => {
  const descriptors = builtInDescriptors()
  const text = readFileSync(join(import.meta.dirname, '../../jobs/windows.yaml'), 'utf8')
  const { definition } = parseJob(text, descriptors)
  expect(planJob(definition, { threads: 2, descriptors }).tables.map(({ window }) => describeWindow(window))).toEqual([
    '5m every 10s',
    '7d every 1d Europe/Berlin',
    'up to 1d by 1h Europe/Berlin',
    '10s processing time',
    'global',
    '1d',
  ])
})
