/**
 * The calls of QueryService that are about episodes, over an EpisodeApi.
 *
 * Owns: how calls become questions, and the life of a watch: it ends with the call, whoever ends that.
 */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { MillraceError } from '../core/errors.ts'
import { type EpisodeApi, type EpisodeInfo, isOpen } from '../detection/api.ts'
import type { QueryServiceServer, WatchEpisodesRequest, WatchEpisodesResponse } from '../gen/millrace/v1/query.ts'
import { toEpisode, toEpisodes } from './episode-messages.ts'
import { toCallError } from './errors.ts'
import { LatestWriter } from './latest-writer.ts'
import { unary } from './unary.ts'

/** Episodes in one message of a watch. */
const batchMax = 500
/** Changed episodes that may wait for a slow reader. */
const keysMax = 100_000

/** The handlers. `open` is called when a watch begins, and what it returns when it has ended; it may refuse by throwing. */
export function createEpisodeHandlers(
  episodes: EpisodeApi,
  open: () => () => void,
): Pick<QueryServiceServer, 'listEpisodes' | 'watchEpisodes'> {
  return {
    listEpisodes: unary(async (request) => {
      named(request.job)
      const result = await episodes.list({ job: request.job, detector: request.detector })
      return toEpisodes(request.open ? { ...result, episodes: result.episodes.filter(isOpen) } : result)
    }),
    watchEpisodes: (call) => {
      try {
        named(call.request.job)
        serveWatch(episodes, call, open())
      } catch (thrown) {
        call.emit('error', toCallError(thrown))
      }
    },
  }
}

function named(job: string): void {
  if (job === '') throw new MillraceError('QUERY_INVALID', 'job is missing: name the job')
}

function serveWatch(
  episodes: EpisodeApi,
  call: ServerWritableStream<WatchEpisodesRequest, WatchEpisodesResponse>,
  released: () => void,
): void {
  let stop = (): void => {}
  let isFirst = true
  let isServing = true
  const writer = new LatestWriter<EpisodeInfo, WatchEpisodesResponse>(call, {
    keyOf: ({ id }) => id,
    messageOf: (changed) => ({ episodes: changed.map(toEpisode) }),
    batchMax,
    keysMax,
  })
  const release = () => {
    if (!isServing) return
    isServing = false
    stop()
    writer.close()
    released()
  }
  const fail = (thrown: unknown) => {
    if (!isServing) return
    release()
    call.emit('error', toCallError(thrown))
  }
  call.on('cancelled', release)
  call.on('close', release)
  call.on('error', release)
  const { job, detector, changesOnly } = call.request
  const end = episodes.watch(
    { job, detector },
    {
      onEpisodes: (changed) => {
        if (!isServing) return
        // The first message says that the watch has begun, whether or not there is anything.
        if (isFirst && changed.length === 0) writer.send({ episodes: [] })
        isFirst = false
        try {
          writer.offer(changed)
        } catch (thrown) {
          fail(thrown)
        }
      },
      onEnd: (error) => {
        if (error !== null) fail(error)
        else writer.finish(() => call.end())
      },
    },
    { changesOnly },
  )
  stop = end
  if (!isServing) end()
}
