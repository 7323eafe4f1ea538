/** What a watch over the wire says while its job does not run. */
import { readFileSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import { createClient } from '../../src/rpc/client.ts'
import { startRpcServer } from '../../src/rpc/server.ts'
import { FakeControl } from '../support/fakes/control.ts'
import { FakeEpisodes } from '../support/fakes/episodes.ts'
import { FakeQuery, someValue } from '../support/fakes/query.ts'

const everything: MetricQuery = {
  job: 'engagement',
  metric: 'page_views',
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
  filters: new Map(),
  groupBy: null,
  limit: 1000,
  latest: false,
}

it('tells a watcher what it waits for, and when that is over', async () => {
  const query = new FakeQuery()
  const server = await startRpcServer({
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    control: new FakeControl(),
    query,
    episodes: new FakeEpisodes(),
    descriptors: readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)),
    scheduler: systemScheduler,
    clock: systemClock,
  })
  const client = createClient({ address: server.address, clock: systemClock, timeoutMs: 10_000 })
  const told: unknown[] = []
  const cancel = client.query.watch(everything, {
    onValues: (result) => told.push(result.values.length),
    onWaiting: (why) => told.push(why),
    onEnd: () => {},
  })
  await vi.waitFor(() => expect(told).toEqual([0, 2]))
  query.wait('the job restarts')
  query.wait('it takes long')
  query.wait(null)
  query.change([someValue({ value: 43 })])
  query.wait('the job restarts')
  query.change([someValue({ value: 44 })])
  await vi.waitFor(() => expect(told).toHaveLength(9))
  expect(told).toEqual([0, 2, 'the job restarts', 'it takes long', null, 1, 'the job restarts', null, 1])
  cancel()
  client.close()
  await server.close(0)
})
