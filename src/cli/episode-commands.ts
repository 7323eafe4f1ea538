/** The command on episodes: those that are known, or following them. */
import type { Command } from 'commander'
import { type EpisodeInfo, type EpisodeQuery, isOpen } from '../detection/api.ts'
import { outputOf, type ServerOptions, untilEnded, untilSignal, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { episodeJson, episodeLine, writeDetectors, writeEpisodes } from './episode-view.ts'
import type { Output } from './output.ts'
import { withServer } from './shared-options.ts'

interface EpisodeOptions extends ServerOptions {
  readonly detector?: string
  readonly open: boolean
  readonly detectors: boolean
  readonly watch: boolean
}

/** Adds the command to the program. */
export function addEpisodeCommands(program: Command, deps: CliDeps): void {
  withServer(program.command('episodes'))
    .summary('show what the detectors of a job have found')
    .description(
      'Shows the episodes that the detectors of a job have found in the history of its metrics: what was unusual, since ' +
        'when, and by how much. With --watch each change is a line, until Ctrl-C or the end of the job.',
    )
    .argument('<job>', 'name of the job')
    .option('--detector <id>', 'only of this detector')
    .option('--open', 'only those that are not over', false)
    .option('--detectors', 'the detectors and their series instead: state, threshold, and how it was set', false)
    .option('--watch', 'follow them', false)
    .action(async (job: string, options: EpisodeOptions) => {
      const output = outputOf(deps, options)
      const query = { job, detector: options.detector ?? '' }
      if (options.watch) return untilSignal(deps, (signal) => watch(deps, options, query, output, signal))
      const result = await withClient(deps, options, (client) => client.episodes.list(query))
      if (options.detectors) writeDetectors(output, result.detectors)
      else writeEpisodes(output, options.open ? result.episodes.filter(isOpen) : result.episodes, result.detectors)
    })
}

function watch(
  deps: CliDeps,
  options: EpisodeOptions,
  query: EpisodeQuery,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const show = (episode: EpisodeInfo): void => {
    if (options.open && !isOpen(episode)) return
    if (output.format === 'json') output.jsonLine(episodeJson(episode))
    else output.line(episodeLine(episode))
  }
  return withClient(deps, options, ({ episodes }) =>
    untilEnded(signal, (onEnd) =>
      episodes.watch(query, {
        onEpisodes: (changed) => {
          for (const episode of changed) show(episode)
        },
        onEnd,
      }),
    ),
  )
}
