/**
 * The chart as helm and Kubernetes take it: every set of values is linted, rendered, held against the schemas of the API
 * server and the operator, and gives the process settings that it takes. The plain manifests are what the chart renders.
 *
 * Part of `make test-full` only: helm is built from source, which takes minutes and the Go tool chain.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { crd } from '../support/fake-kubernetes.ts'
import { chart, manifests, renderChart, rendered, runHelm } from '../support/helm.ts'
import { type ManifestJudge, manifestJudge } from '../support/kubernetes-schemas.ts'
import { environmentOf, manifestProblems, podOf, readManifests } from '../support/manifests.ts'

const full = process.env.MILLRACE_FULL === '1'
if (!full)
  process.stderr.write('NOT TESTED: the chart under helm; make test-full (MILLRACE_FULL=1) builds and runs it\n')

const BUILD_TIMEOUT_MS = 900_000
const sets = [[], ...globSync(join(chart, 'ci/*.yaml')).map((file) => [file])]

// skip: building helm from source takes minutes and the Go tool chain; make test-full does it
describe.runIf(full)('the chart', () => {
  let judge: ManifestJudge

  beforeAll(async () => {
    judge = await manifestJudge([crd])
    await runHelm('version')
  }, BUILD_TIMEOUT_MS)

  it.each(sets.map((files) => [files.map((file) => basename(file)).join(), files] as const))(
    'is right with the values %s',
    async (_name, files) => {
      const given = files.flatMap((file) => ['--values', file])
      expect(await runHelm('lint', '--strict', chart, ...given)).toContain('0 chart(s) failed')
      const objects = readManifests(await renderChart(files))
      expect(objects.length).toBeGreaterThan(3)
      expect(manifestProblems(objects)).toEqual([])
      expect(objects.flatMap(judge)).toEqual([])
      for (const container of objects.flatMap((object) => podOf(object)?.containers ?? []))
        expect(() => parseConfig(environmentOf(container))).not.toThrow()
    },
  )

  it.each(Object.entries(rendered))('gives the plain manifests: %s', async (file, render) => {
    expect(readFileSync(join(manifests, file), 'utf8'), 'run node tools/kubernetes.ts').toBe(await render())
  })

  it.each([
    [['threads=0'], /threads.*minimum/],
    [['nonsense=1'], /nonsense/],
    [['image.tag=latest'], /image/],
    [['persistence.enabled=false'], /would be gone with the pod/],
    [['controller.enabled=true', 'tls.clientCertificates=true'], /clientCertificateSecret/],
  ])('refuses %j and says why', async (values, why) => {
    await expect(renderChart([], values)).rejects.toMatchObject({ stderr: expect.stringMatching(why) })
  })

  it('is judged by schemas that find mistakes', () => {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } }
    expect(judge({ ...service, spec: { ports: [{ port: 1 }] } })).toEqual([])
    expect(judge({ ...service, spec: { ports: [{ prot: 1 }] } }).join()).toMatch(/port.*prot/)
    expect(judge({ ...service, apiVersion: 'v9' })).toEqual(['there is no v9 Service'])
  })
})
