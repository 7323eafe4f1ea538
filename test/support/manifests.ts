/**
 * What must hold of every manifest that Millrace is deployed by, whatever the values of the chart.
 *
 * Owns: rules that need no cluster and no schema. Does not own: what Kubernetes accepts (kubernetes-schemas.ts).
 */
import { parseAllDocuments } from 'yaml'

/** Anything in a manifest. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** A container of a pod. */
export interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: Json }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
  readonly resources?: Readonly<Record<'requests' | 'limits', Readonly<Record<string, string | number>>>>
  readonly securityContext?: Readonly<Record<string, Json>>
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } }
}

/** A probe over HTTP. */
export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: string }
}

/** The spec of a pod. */
export interface PodSpec {
  readonly serviceAccountName: string
  readonly terminationGracePeriodSeconds: number
  readonly automountServiceAccountToken?: boolean
  readonly securityContext?: Readonly<Record<string, Json>>
  readonly containers: readonly Container[]
  readonly volumes?: readonly { readonly name: string }[]
}

/** One object. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly spec?: {
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } & Readonly<Record<string, Json>>
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> }
      readonly spec: PodSpec
    }
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[]
    readonly [key: string]: unknown
  }
  readonly [key: string]: unknown
}

/** The objects of a text; throws on what is no YAML. */
export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0]
    const value = document.toJS() as Manifest | null
    return value === null ? [] : [value]
  })
}

/** The pods that an object makes. */
export function podOf(manifest: Manifest): PodSpec | undefined {
  return manifest.spec?.template?.spec
}

/** What is wrong with manifests that belong together, a line each. */
export function manifestProblems(manifests: readonly Manifest[]): string[] {
  const problems: string[] = []
  const ids = new Set<string>()
  for (const manifest of manifests) {
    const id = `${manifest.kind} ${manifest.metadata?.name}`
    const say = (condition: boolean, problem: string) => void (condition || problems.push(`${id}: ${problem}`))
    say(!ids.has(id), 'is there twice')
    ids.add(id)
    say(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(manifest.metadata?.name ?? ''), 'has no usable name')
    const pod = podOf(manifest)
    if (pod === undefined) continue
    const labels = manifest.spec?.template?.metadata.labels ?? {}
    const selector = Object.entries(manifest.spec?.selector?.matchLabels ?? {})
    say(selector.length > 0 && selector.every(([key, value]) => labels[key] === value), 'does not select its own pods')
    say(typeof pod.automountServiceAccountToken === 'boolean', 'does not say whether pods get a token')
    say(pod.securityContext?.runAsNonRoot === true, 'may run as root')
    say(JSON.stringify(pod.securityContext?.seccompProfile) === '{"type":"RuntimeDefault"}', 'has no seccomp profile')
    const claims = manifest.spec?.volumeClaimTemplates?.map(({ metadata }) => metadata.name) ?? []
    const volumes = new Set([...(pod.volumes ?? []).map(({ name }) => name), ...claims])
    for (const container of pod.containers) {
      const of = (condition: boolean, problem: string) => say(condition, `container ${container.name} ${problem}`)
      of(isPinned(container.image), `has the image ${container.image}, which is not one version`)
      for (const kind of ['requests', 'limits'] as const) {
        for (const resource of ['cpu', 'memory'])
          of(container.resources?.[kind]?.[resource] !== undefined, `has no ${kind}.${resource}`)
      }
      of(container.securityContext?.allowPrivilegeEscalation === false, 'may gain rights')
      of(container.securityContext?.readOnlyRootFilesystem === true, 'may write its image')
      of(JSON.stringify(container.securityContext?.capabilities) === '{"drop":["ALL"]}', 'has capabilities')
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const)
        of(container[probe] !== undefined, `has no ${probe}`)
      const mounts = container.volumeMounts ?? []
      for (const { name } of mounts) of(volumes.has(name), `mounts ${name}, which is no volume`)
      for (const { name, value } of container.env) {
        if (value?.startsWith('/') === true)
          of(
            mounts.some(({ mountPath }) => value.startsWith(`${mountPath}/`) || value === mountPath),
            `has ${name} on no volume`,
          )
      }
    }
  }
  for (const manifest of manifests) {
    const account = podOf(manifest)?.serviceAccountName
    if (account !== undefined && !ids.has(`ServiceAccount ${account}`))
      problems.push(`${manifest.kind} ${manifest.metadata.name}: there is no ServiceAccount ${account}`)
  }
  return problems
}

/** A tag that is not `latest`, or a digest. */
function isPinned(image: string): boolean {
  const name = image.slice(image.lastIndexOf('/') + 1)
  return /@sha256:[0-9a-f]{64}$/.test(image) || /^[^:@]+:(?!latest$)[\w][\w.-]*$/.test(name)
}

/** The variables of a container whose values are given, as a process has them. */
export function environmentOf(container: Container): Record<string, string> {
  return Object.fromEntries(container.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])))
}
