/**
 * What `millrace demo` shows behind its first job: two more shipped jobs over the same events, as a funnel and as incidents
 * that were found.
 *
 * Owns: which, submitting them where the demo lives, waiting until they have read everything. Does not own: how funnels and
 * episodes look (report-view.ts, episode-view.ts).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { accountedFor, isTerminal } from '../control/api.ts'
import { readYaml } from '../job/parse-yaml.ts'
import type { MillraceClient } from '../rpc/client.ts'
import { pause, readDocument } from './context.ts'
import type { CliDeps } from './deps.ts'
import { writeEpisodes } from './episode-view.ts'
import { formatElapsed } from './format.ts'
import type { Output } from './output.ts'
import { writeFunnel } from './report-view.ts'

/** A month of the sample in which everybody has had their time. */
const MONTH = { fromMs: Date.UTC(2024, 4, 2), toMs: Date.UTC(2024, 4, 30) }

/** Longest wait for one of the jobs. */
const patienceMs = 60_000
const lookMs = 200

/** Jobs of the tour, in the folder of the first one. */
const jobs = ['conversion', 'incidents'] as const

/** Where the tour is. */
export interface Tour {
  readonly client: MillraceClient
  readonly output: Output
  /** Folder of the shipped jobs. */
  readonly folder: string
  /** Events that each job is to read. */
  readonly events: number
  /** A job's document, at the place where the demo lives. */
  readonly relocate: (document: unknown) => Record<string, unknown>
  readonly signal: AbortSignal
}

/** Shows the rest; nothing where the jobs are not beside the first one. */
export async function showTour(deps: CliDeps, tour: Tour): Promise<void> {
  const { client, output, folder, signal } = tour
  const paths = jobs.map((name) => join(folder, `${name}.yaml`))
  if (!paths.every((path) => existsSync(path))) return
  for (const path of paths) {
    const document = { ...tour.relocate(readYaml(await readDocument(deps, path)).value), sinks: [] }
    await client.control.submit({ kind: 'document', document })
  }
  const startMs = deps.clock.monotonicMs()
  for (const name of jobs) await untilRead(deps, tour, name)
  if (signal.aborted) return
  const elapsed = formatElapsed(deps.clock.monotonicMs() - startMs)
  output.line()
  output.line(
    `${output.style('bold', 'conversion')}: from the cart to a purchase without an error, in May (${elapsed})`,
  )
  const query = { job: 'conversion', metric: 'smooth_purchases', ...MONTH, filters: new Map(), groupBy: [], limit: 100 }
  writeFunnel(output, await client.query.funnel(query))
  output.line()
  output.line(`${output.style('bold', 'incidents')}: where people did not go on as they usually do`)
  const { episodes, detectors } = await untilJudged(deps, tour)
  writeEpisodes(output, episodes, detectors)
}

async function untilRead(deps: CliDeps, { client, events, signal }: Tour, name: string): Promise<void> {
  const startMs = deps.clock.monotonicMs()
  while (!signal.aborted && deps.clock.monotonicMs() - startMs < patienceMs) {
    const job = (await client.control.list()).find((candidate) => candidate.name === name)
    if (job === undefined || (isTerminal(job.state) && job.state !== 'FINISHED')) return
    if (job.events.read === events && accountedFor(job.events) === events) {
      // What was counted has come to the values once a checkpoint has gone through behind it.
      await client.control.triggerCheckpoint(name)
      return
    }
    await pause(deps, lookMs, signal)
  }
}

/** Episodes, once two looks find the same: detectors come behind the values. */
async function untilJudged(deps: CliDeps, { client, signal }: Tour) {
  const query = { job: 'incidents', detector: '' }
  const startMs = deps.clock.monotonicMs()
  let before = ''
  for (;;) {
    const found = await client.episodes.list(query)
    const judged = found.detectors.every(({ waiting, series }) => waiting === '' && series.length > 0)
    const now = JSON.stringify([found.episodes, found.detectors])
    if ((judged && now === before) || signal.aborted || deps.clock.monotonicMs() - startMs > patienceMs) return found
    before = now
    await pause(deps, 1000, signal)
  }
}
