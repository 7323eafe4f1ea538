/** The plain manifests as they lie there, and the chart's values: what needs neither helm nor a cluster. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/config.ts'
import { chart, manifests } from '../support/helm.ts'
import { projectRoot } from '../support/infra-process.ts'
import { environmentOf, type Manifest, manifestProblems, podOf, readManifests } from '../support/manifests.ts'

const read = (path: string): string => readFileSync(path, 'utf8')
const rendered = ['millrace.yaml', 'controller.yaml'].flatMap((file) => readManifests(read(join(manifests, file))))
const values = parse(read(join(chart, 'values.yaml'))) as Record<string, unknown>

function find(kind: string, name = 'millrace'): Manifest {
  const found = rendered.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found
}

describe('the plain manifests', () => {
  it('hold what must hold of every pod', () => {
    expect(manifestProblems(rendered)).toEqual([])
  })

  it('give the process settings that it takes', () => {
    const container = podOf(find('StatefulSet'))!.containers[0]!
    const config = parseConfig(environmentOf(container))
    expect(config.jobs.readyLagRecords).toBeGreaterThan(0)
    expect(container.env.find(({ name }) => name === 'MILLRACE_INSTANCE_ID')?.valueFrom).toEqual({
      fieldRef: { fieldPath: 'metadata.name' },
    })
    expect(container.ports?.map(({ containerPort }) => containerPort)).toEqual([config.grpc.port, config.http.port])
  })

  it('leave time for the last checkpoint before the pod is killed', () => {
    const pod = podOf(find('StatefulSet'))!
    const container = pod.containers[0]!
    const { jobs } = parseConfig(environmentOf(container))
    const sleepMs = (container.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1000
    expect(sleepMs).toBeGreaterThan(0)
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(sleepMs + jobs.shutdownGraceMs)
  })

  it('look at life and readiness where the process serves them', () => {
    const { startupProbe, livenessProbe, readinessProbe } = podOf(find('StatefulSet'))!.containers[0]!
    const of = (path: string) => ({ path, port: 'http', scheme: 'HTTPS' })
    expect([startupProbe?.httpGet, livenessProbe?.httpGet]).toEqual([of('/healthz'), of('/healthz')])
    expect(readinessProbe?.httpGet).toEqual(of('/readyz'))
  })

  it('give the server no rights in the cluster', () => {
    const account = find('ServiceAccount')
    expect(account.automountServiceAccountToken).toBe(false)
    expect(podOf(find('StatefulSet'))!.automountServiceAccountToken).toBe(false)
    const bound = rendered.filter(({ kind }) => kind.endsWith('RoleBinding')).map(({ subjects }) => subjects)
    expect(JSON.stringify(bound)).not.toContain(`"name":"${account.metadata.name}"`)
  })

  it('give the controller MillraceJobs of its namespace and nothing else', () => {
    expect(rendered.filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([])
    const rules = find('Role', 'millrace-controller').rules as {
      apiGroups: string[]
      resources: string[]
      verbs: string[]
    }[]
    expect(rules.flatMap(({ apiGroups }) => apiGroups)).toEqual(['millrace.dev', 'millrace.dev'])
    expect(rules.map(({ resources, verbs }) => [resources, verbs])).toEqual([
      [['millracejobs'], ['get', 'list', 'watch', 'update']],
      [['millracejobs/status'], ['update']],
    ])
    const { containers } = podOf(find('Deployment', 'millrace-controller'))!
    const { server, security } = parseConfig(environmentOf(containers[0]!))
    expect([server, security.client.tls]).toEqual(['millrace-headless.millrace.svc:7420', 'on'])
  })

  it('send clients to a ready server only, and those who manage to any', () => {
    expect(find('Service').spec?.publishNotReadyAddresses).toBeUndefined()
    expect(find('Service', 'millrace-headless').spec).toMatchObject({
      publishNotReadyAddresses: true,
      clusterIP: 'None',
    })
    expect(find('StatefulSet').spec?.serviceName).toBe('millrace-headless')
  })
})

describe('rules for manifests', () => {
  const broken = (change: (pod: Record<string, unknown>, container: Record<string, unknown>) => void) => {
    const copy = structuredClone(rendered) as unknown as Manifest[]
    const pod = podOf(copy.find(({ kind }) => kind === 'StatefulSet')!) as unknown as Record<string, unknown>
    change(pod, (pod.containers as Record<string, unknown>[])[0]!)
    return manifestProblems(copy)
  }

  it.each<[string, Parameters<typeof broken>[0], string]>([
    ['latest', (_pod, container) => (container.image = 'millrace:latest'), 'not one version'],
    ['no tag', (_pod, container) => (container.image = 'registry:5000/millrace'), 'not one version'],
    ['no limits', (_pod, container) => (container.resources = { requests: { cpu: 1, memory: 1 } }), 'no limits.memory'],
    ['root', (pod) => (pod.securityContext = {}), 'may run as root'],
    ['no probe', (_pod, container) => delete container.readinessProbe, 'no readinessProbe'],
    ['a volume that is not there', (pod) => (pod.volumes = []), 'is no volume'],
    ['an account that is not there', (pod) => (pod.serviceAccountName = 'other'), 'no ServiceAccount other'],
  ])('find %s', (_what, change, problem) => {
    expect(broken(change).join('\n')).toContain(problem)
  })
})

describe('the chart', () => {
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(
    JSON.parse(read(join(chart, 'values.schema.json'))) as object,
  )
  const problems = (given: unknown) => (validate(given) ? [] : validate.errors!.map((error) => error.instancePath))

  it('has values that its schema takes, and a schema for each of them', () => {
    expect(problems(values)).toEqual([])
    const schema = JSON.parse(read(join(chart, 'values.schema.json'))) as { properties: object }
    expect(Object.keys(values).sort()).toEqual(
      Object.keys(schema.properties)
        .filter((key) => key !== 'global')
        .sort(),
    )
    for (const file of globSync(join(chart, 'ci/*.yaml'))) expect(problems(parse(read(file))), file).toEqual([])
  })

  it.each([
    [{ image: { repository: 'millrace', tag: 'latest' } }, '/image/tag'],
    [{ replicas: 2 }, '/replicas'],
    [{ config: { PATH: '/' } }, '/config'],
    [{ redis: { url: 'redis://user:secret@redis' } }, '/redis/url'],
    [{ kafka: { sasl: 'PLAIN', brokers: 'b:9092', user: 'u', passwordSecret: '' } }, '/kafka/passwordSecret'],
    [{ resources: { requests: { cpu: 1, memory: '1Gi' } } }, '/resources'],
    [{ replica: 1 }, ''],
  ])('refuses %j', (given, place) => {
    expect(problems(given)).toContain(place)
  })

  it('has the version of the program', () => {
    const { version } = JSON.parse(read(join(projectRoot, 'package.json'))) as { version: string }
    expect(parse(read(join(chart, 'Chart.yaml')))).toMatchObject({ version, appVersion: version })
  })

  it('has the alert rules of deploy/prometheus, to the byte', () => {
    const [own, shared] = [join(chart, 'files/rules.yaml'), join(projectRoot, 'deploy/prometheus/rules.yaml')]
    if (existsSync(own)) expect(read(own), 'run node tools/kubernetes.ts').toBe(read(shared))
  })
})
