/**
 * A MillraceJob as the API server keeps it, and what it asks for.
 *
 * Owns: the shape of the resource (deploy/kubernetes/chart/crds says it to the API server), names, and how a resource becomes
 * the text of a job. Pure. Does not own: what is done about it (reconcile.ts), what is said of it (status.ts).
 */
import { MillraceError } from '../core/errors.ts'

/** Where MillraceJobs are in the API. */
export const resourceType = { group: 'millrace.dev', version: 'v1alpha1', plural: 'millracejobs' } as const

/** Keeps a resource that is deleted until its job has stopped. */
export const finalizer = 'millrace.dev/stop'

/** Metadata of a resource, as far as it is read. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  /** Rises with every change of the spec. */
  readonly generation?: number
  readonly deletionTimestamp?: string
  readonly finalizers?: readonly string[]
}

/** What becomes of a job whose resource is deleted. */
export type DeletionPolicy = 'savepoint' | 'cancel' | 'orphan'

/** What a resource asks for. */
export interface MillraceJobSpec {
  /** A job definition without `apiVersion`, `kind` and `metadata.name`, which are the resource's. */
  readonly definition: Readonly<Record<string, unknown>>
  /** The job is to stop, with its state kept, until this is false again. */
  readonly suspend?: boolean
  /** State that a change may let go, by name. */
  readonly dropState?: readonly string[]
  /** `savepoint` unless given. */
  readonly onDelete?: DeletionPolicy
}

/** A condition, as Kubernetes has them. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  /** One word, for machines. */
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
  readonly lastTransitionTime: string
}

/** What is said of the job. */
export interface MillraceJobStatus {
  /** Generation that the server was last given, or that it refused. */
  readonly observedGeneration?: number
  readonly phase?: string
  readonly message?: string
  readonly attempt?: number
  readonly restarts?: number
  /** Records behind the end of the input; absent while unknown. */
  readonly lagRecords?: number
  readonly checkpoint?: { readonly id: number; readonly completedAt: string; readonly failed: number }
  /** The last one that was made for this resource. */
  readonly savepoint?: string
  readonly conditions?: readonly Condition[]
}

/** A MillraceJob. */
export interface MillraceJob {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: MillraceJobSpec
  readonly status?: MillraceJobStatus
}

/**
 * The text that the job of a resource is submitted as. The same for the same spec, whatever the order of its keys.
 * JOB_INVALID when the definition names a job of its own.
 */
export function definitionText({ metadata, spec }: MillraceJob): string {
  const { apiVersion = 'millrace.dev/v1', kind = 'Job', metadata: own = {}, ...rest } = spec.definition
  const meta = own as Readonly<Record<string, unknown>>
  if (meta.name !== undefined && meta.name !== metadata.name) {
    const field = 'spec.definition.metadata.name'
    const message = `it is ${JSON.stringify(meta.name)}, and a job has the name of its resource, ${metadata.name}: leave it out`
    throw new MillraceError('JOB_INVALID', `${field}: ${message}`, {
      violations: [{ field, message, line: 0, column: 0 }],
    })
  }
  return canonical({ apiVersion, kind, metadata: { ...meta, name: metadata.name }, ...rest })
}

/** Whether a server has a job by this very text, or by another one of the same meaning. */
export function isSameDefinition(text: string, deployed: string): boolean {
  if (text === deployed) return true
  try {
    return canonical(JSON.parse(deployed)) === text
  } catch {
    return false
  }
}

/** JSON with keys in order. */
function canonical(value: unknown): string {
  const sorted = (_key: string, one: unknown): unknown =>
    one !== null && typeof one === 'object' && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one
  return JSON.stringify(value, sorted, 2)
}

/** What begins the names of savepoints that are made for this resource, and for no other that has had its name. */
export function savepointMark({ metadata }: MillraceJob): string {
  return `k8s-${(metadata.uid ?? '').slice(0, 8)}`
}

/** The savepoint that is made before the change to this generation. */
export function savepointBeforeChange(job: MillraceJob): string {
  return `${savepointMark(job)}-before-${job.metadata.generation ?? 0}`
}

/** The savepoint that a job ends with whose resource is deleted. */
export function lastSavepoint(job: MillraceJob): string {
  return `${savepointMark(job)}-deleted`
}
