/**
 * Jobs that are declared: `millrace controller` as its users have it, a process of its own, between an API server that fails
 * in all the ways that API servers do and a real Millrace server, which is killed on the way.
 */
import { execFile, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MillraceJob } from '../../src/kubernetes/resource.ts'
import { untilRead, untilState } from '../support/engine.ts'
import { fillPartitions, makeEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { FakeKubernetes, isHeld } from '../support/fake-kubernetes.ts'
import { freePort, projectRoot, ServerProcess, waitUntil } from '../support/infra-process.ts'
import { MillraceServer } from '../support/server-process.ts'

const EVENTS = 1000
const run = promisify(execFile)
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0
if (!hasKubectl) process.stderr.write('NOT TESTED: kubectl against the controller; there is none on PATH\n')

let kubernetes: FakeKubernetes
let server: MillraceServer
let controller: ServerProcess | undefined
let starts = 0

beforeEach(async () => {
  kubernetes = await FakeKubernetes.start()
  // Where the controller finds it again after it was killed.
  server = await MillraceServer.start({ grpcPort: await freePort() })
  const topic = createLogTopic(server.logRoot, 'events', 2)
  const events = Array.from({ length: EVENTS }, (_, i) => makeEvent({ person: `p${i % 50}`, timeMs: 1000 + i }))
  await topic.append(fillPartitions(events, 2, 'hash'))
  await topic.close()
})

afterEach(async () => {
  await controller?.terminate(10_000)
  controller = undefined
  await kubernetes.close()
  await server.stop()
})

function startController(): ServerProcess {
  const kubeconfig = join(server.dataDir, 'kubeconfig')
  writeFileSync(kubeconfig, kubernetes.kubeconfig('shop'))
  const { PATH = '' } = process.env
  const env = { PATH, KUBECONFIG: kubeconfig, MILLRACE_SERVER: server.client.address, MILLRACE_HTTP_PORT: '0' }
  const args = [join(projectRoot, 'src/main.ts'), 'controller']
  controller = ServerProcess.start(
    'controller',
    process.execPath,
    args,
    join(server.dataDir, `controller-${++starts}.log`),
    env,
  )
  return controller
}

const definition = (metrics: readonly string[] = ['events'], window = '1h') => ({
  sources: [{ id: 'events', log: { path: server.logRoot, topic: 'events' } }],
  event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person' },
  checkpoint: { every: '200ms' },
  metrics: metrics.map((id) => ({ id, count: {}, window: { tumbling: window } })),
})

/** Waits until the resource is as it should be. */
async function until(what: string, holds: (job: MillraceJob | undefined) => boolean): Promise<MillraceJob | undefined> {
  await waitUntil(async () => holds(kubernetes.get('shop')), {
    deadlineMs: 30_000,
    alive: () => controller?.running === true,
    failure: () =>
      `not ${what}: ${JSON.stringify(kubernetes.get('shop'), null, 1)}\n${controller?.logTail()}\n${server.logTail()}`,
  })
  return kubernetes.get('shop')
}

const isRunning = (job: MillraceJob | undefined) =>
  job?.status?.phase === 'Running' && job.status.observedGeneration === job.metadata.generation

const condition = (job: MillraceJob | undefined, type: string) =>
  job?.status?.conditions?.find((one) => one.type === type)

describe('a MillraceJob', { timeout: 180_000 }, () => {
  it('is submitted, upgraded with a savepoint, suspended, resumed, and stops with a savepoint when it is deleted', async () => {
    startController()
    kubernetes.apply('shop', { definition: definition() })
    await until(
      'running',
      (job) => isRunning(job) && job?.status?.lagRecords === 0 && job.status.checkpoint !== undefined,
    )
    expect(isHeld(kubernetes.get('shop'))).toBe(true)
    expect(await untilRead(server.client, 'shop', EVENTS)).toMatchObject({ events: { applied: EVENTS } })

    kubernetes.apply('shop', { definition: definition(['events', 'more']) })
    await until('upgraded', (job) => isRunning(job) && job?.status?.savepoint !== undefined)
    expect((await server.client.control.describe('shop')).job?.metrics).toEqual(['events', 'more'])
    expect(condition(kubernetes.get('shop'), 'Accepted')).toMatchObject({ status: 'True', observedGeneration: 2 })

    kubernetes.apply('shop', { definition: definition(['events', 'more']), suspend: true })
    await until('suspended', (job) => job?.status?.phase === 'Suspended')
    kubernetes.apply('shop', { definition: definition(['events', 'more']), suspend: false })
    await until('resumed', isRunning)

    kubernetes.delete('shop')
    await until('gone', (job) => job === undefined)
    const left = (await server.client.control.list()).find(({ name }) => name === 'shop')
    expect(left?.state).toBe('SUSPENDED')
    const savepoints = await server.client.control.listSavepoints('shop')
    expect(savepoints.map(({ name, reason }) => [name, reason])).toEqual([
      ['k8s-00000001-deleted', 'stop'],
      ['k8s-00000001-before-2', 'savepoint'],
    ])
  })

  it('says what is wrong with it, and goes on once it is right', async () => {
    startController()
    kubernetes.apply('shop', {
      definition: {
        ...definition(),
        metrics: [{ id: 'x', count: {}, where: 'nonsense ==', window: { tumbling: '1h' } }],
      },
    })
    const wrong = await until('refused', (job) => condition(job, 'Accepted')?.status === 'False')
    expect(condition(wrong, 'Accepted')).toMatchObject({
      reason: 'JobInvalid',
      message: expect.stringContaining('where'),
    })
    kubernetes.apply('shop', { definition: definition() })
    await until('running', isRunning)
    // What would lose state is refused until it is named; the job runs on.
    kubernetes.apply('shop', { definition: definition(['other'], '2h') })
    const refused = await until('refused', (job) => condition(job, 'Accepted')?.reason === 'StateIncompatible')
    expect(refused?.status?.phase).toBe('Running')
    kubernetes.apply('shop', { definition: definition(['other'], '2h'), dropState: ['events'] })
    await until('upgraded', (job) => isRunning(job) && condition(job, 'Accepted')?.status === 'True')
    kubernetes.apply('shop', { definition: definition(['other'], '2h'), onDelete: 'cancel' })
    kubernetes.delete('shop')
    await until('gone', (job) => job === undefined)
    await untilState(server.client, 'shop', 'CANCELLED')
  })

  it('comes to what is declared while watches end, versions are forgotten, and requests fail', async () => {
    const counts = { watch: 0, put: 0, other: 0 }
    kubernetes.fault = ({ method, what }) => {
      if (what === 'watch') return [410, 500, 0][counts.watch++ % 3]!
      if (method === 'PUT') return [409, 0, 500, 0][counts.put++ % 4]!
      return counts.other++ % 5 === 2 ? 500 : 0
    }
    startController()
    kubernetes.apply('shop', { definition: definition() })
    await until('running', isRunning)
    kubernetes.dropWatches()
    kubernetes.forget()
    kubernetes.apply('shop', { definition: definition(['events', 'more']) })
    await until('upgraded', (job) => isRunning(job) && job?.status?.savepoint !== undefined)
    kubernetes.dropWatches()
    await server.kill()
    await until('unreachable', (job) => condition(job, 'Reachable')?.status === 'False')
    await server.restart()
    await until('reachable', (job) => condition(job, 'Reachable')?.status === 'True' && isRunning(job))
    // Nobody is there when it is deleted, and what is there then is another process.
    await controller?.kill()
    kubernetes.delete('shop')
    expect(kubernetes.get('shop')?.metadata.deletionTimestamp).toBeDefined()
    startController()
    await until('gone', (job) => job === undefined)
    expect((await server.client.control.listSavepoints('shop')).map(({ name }) => name)).toContain(
      'k8s-00000001-deleted',
    )
  })

  // skip: kubectl comes from no registry that the project uses; a machine that has it runs this
  it.runIf(hasKubectl)('is applied, seen, waited for and deleted by kubectl', async () => {
    startController()
    const file = join(server.dataDir, 'shop.json')
    const kubectl = async (...args: readonly string[]): Promise<string> => {
      const env = { ...process.env, KUBECONFIG: join(server.dataDir, 'kubeconfig'), HOME: server.dataDir }
      return (await run('kubectl', [...args], { env })).stdout
    }
    const apply = async (spec: object) => {
      const metadata = { name: 'shop' }
      writeFileSync(file, JSON.stringify({ apiVersion: 'millrace.dev/v1alpha1', kind: 'MillraceJob', metadata, spec }))
      return kubectl('apply', '--validate=false', '-f', file)
    }
    expect(await apply({ definition: definition() })).toContain('created')
    await kubectl('wait', 'millracejob/shop', '--for=condition=Running', '--timeout=60s')
    expect(await apply({ definition: definition(['events', 'more']) })).toContain('configured')
    await kubectl('wait', 'mj/shop', '--for=jsonpath={.status.savepoint}', '--timeout=60s')
    await kubectl('delete', 'mj', 'shop', '--timeout=60s')
    expect(kubernetes.get('shop')).toBeUndefined()
    await untilState(server.client, 'shop', 'SUSPENDED')
  })
})
