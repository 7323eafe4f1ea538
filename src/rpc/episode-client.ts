/** The EpisodeApi of a client. */
import type { EpisodeApi } from '../detection/api.ts'
import type * as wire from '../gen/millrace/v1/query.ts'
import { type Caller, follow } from './calls.ts'
import { fromEpisode, fromEpisodes } from './episode-messages.ts'

/** Episodes over gRPC. */
export function remoteEpisodes(client: wire.QueryServiceClient, call: Caller, address: string): EpisodeApi {
  return {
    list: async ({ job, detector }) => {
      const response = await call<wire.ListEpisodesRequest, wire.ListEpisodesResponse>(
        client.listEpisodes.bind(client),
        { job, detector, open: false },
      )
      return fromEpisodes(response)
    },
    watch: ({ job, detector }, watcher, options) => {
      const stream = client.watchEpisodes({ job, detector, changesOnly: options?.changesOnly ?? false })
      const onResponse = ({ episodes }: wire.WatchEpisodesResponse) => watcher.onEpisodes(episodes.map(fromEpisode))
      return follow(stream, address, onResponse, watcher.onEnd)
    },
  }
}
