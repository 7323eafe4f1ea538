/** The adapter against an API server over HTTP that ends watches, forgets, and fails. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemScheduler } from '../../src/core/system.ts'
import { type ApiServer, openApiServer } from '../../src/kubernetes/api-server.ts'
import { FakeKubernetes } from '../support/fake-kubernetes.ts'
import { projectRoot, waitUntil } from '../support/infra-process.ts'

const spec = (text: string) => ({ definition: { metrics: [text] } })

let kubernetes: FakeKubernetes
let folder: string
let resources: ApiServer
let heard: string[]

beforeEach(async () => {
  kubernetes = await FakeKubernetes.start()
  folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'))
  writeFileSync(join(folder, 'config'), kubernetes.kubeconfig('shop'))
  vi.stubEnv('KUBECONFIG', join(folder, 'config'))
  resources = openApiServer({ namespace: '', scheduler: systemScheduler, log: () => {}, retryMs: 10 })
  heard = []
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await kubernetes.close()
  rmSync(folder, { recursive: true })
})

function follow(): void {
  onTestFinished(resources.follow((name) => void heard.push(name)))
}

async function untilHeard(names: readonly string[]): Promise<void> {
  await waitUntil(async () => heard.length >= names.length, {
    deadlineMs: 15_000,
    alive: () => true,
    failure: () => `heard of ${heard.join()}`,
  })
  expect(heard).toEqual(names)
}

describe('resources at an API server', () => {
  it('are those of the namespace of the context, unless another is named', () => {
    expect(resources.namespace).toBe('shop')
    const other = openApiServer({ namespace: 'other', scheduler: systemScheduler, log: () => {} })
    expect(other.namespace).toBe('other')
  })

  it('are heard of when they are there, change and go; what the controller writes of the status is no news', async () => {
    kubernetes.apply('a', spec('1'))
    kubernetes.apply('elsewhere', spec('1'), 'other')
    follow()
    await untilHeard(['a'])
    expect(resources.following).toBe(true)
    const job = (await resources.read('a'))!
    await resources.replaceStatus({ ...job, status: { phase: 'Running' } })
    expect(kubernetes.get('a')?.status?.phase).toBe('Running')
    kubernetes.apply('a', spec('2'))
    await untilHeard(['a', 'a'])
    kubernetes.delete('a')
    await untilHeard(['a', 'a', 'a'])
    expect(await resources.read('a')).toBeUndefined()
    await expect(resources.replaceStatus(job)).resolves.toBeUndefined()
  })

  it.each([
    ['ends every watch', () => kubernetes.dropWatches()],
    ['ends every watch and forgets what happened', () => kubernetes.forget()],
    [
      'fails some requests',
      () => {
        let left = 3
        kubernetes.fault = () => (left-- > 0 ? 500 : 0)
        kubernetes.dropWatches()
      },
    ],
  ])('are heard of by a server that %s', async (_what, happen) => {
    kubernetes.apply('a', spec('1'))
    follow()
    await untilHeard(['a'])
    await waitUntil(async () => kubernetes.watches === 1, {
      deadlineMs: 5000,
      alive: () => true,
      failure: () => 'there is no watch',
    })
    happen()
    kubernetes.apply('b', spec('1'))
    await untilHeard(['a', 'b'])
  })

  it('are not written over what somebody else wrote', async () => {
    kubernetes.apply('a', spec('1'))
    const stale = (await resources.read('a'))!
    kubernetes.apply('a', spec('2'))
    const lost = { code: 'UNAVAILABLE', message: expect.stringContaining('409') }
    await expect(
      resources.replace({ ...stale, metadata: { ...stale.metadata, finalizers: ['x'] } }),
    ).rejects.toMatchObject(lost)
    await expect(resources.replaceStatus({ ...stale, status: {} })).rejects.toMatchObject(lost)
    expect(kubernetes.get('a')).toMatchObject({ spec: spec('2') })
    expect(kubernetes.get('a')?.metadata.finalizers).toBeUndefined()
  })

  it.each([
    [403, 'PERMISSION_DENIED'],
    [410, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [422, 'INTERNAL'],
  ])('that answers %d is said to be %s', async (status, code) => {
    kubernetes.fault = () => status
    await expect(resources.read('a')).rejects.toMatchObject({ code, message: expect.stringContaining(`${status}`) })
  })
})

describe('the client library', () => {
  it('is out of the way of every other command', () => {
    const command = readFileSync(join(projectRoot, 'src/cli/controller-command.ts'), 'utf8')
    expect(command).toContain("await import('../kubernetes/run-controller.ts')")
    expect(command).not.toMatch(/^import .*kubernetes/m)
  })
})
