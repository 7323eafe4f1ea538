/** What the parts of the job manager share: the jobs, their records, and how jobs are planned. */
import type { JobDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobPorts, JobSettings } from './job-ports.ts'
import type { JobRecords } from './job-records.ts'
import type { JobSource } from './job-source.ts'
import type { ManagedJobs } from './managed-jobs.ts'
import { runDefinition, type StoredJob, storedSchema } from './stored-job.ts'

/** What a manager is made of. */
export interface JobManagerOptions {
  readonly ports: JobPorts
  /** Plans a checked definition for this process. Throws JOB_INVALID when it no longer fits. */
  readonly planJob: (definition: JobDefinition, schema: Uint8Array | null) => JobPlan
  /** Throws SCHEMA_INCOMPATIBLE when a job cannot go on from its state with another definition and schema. */
  readonly checkEvolution?: (before: JobSource, after: JobSource, plan: JobPlan) => void
  readonly settings?: Partial<JobSettings>
}

/** The jobs of a process, for the parts of their manager. */
export interface JobsContext {
  readonly options: JobManagerOptions
  readonly records: JobRecords
  readonly jobs: ManagedJobs
}

/** The plan of a stored job. Throws as `planJob`. */
export function planStored(options: JobManagerOptions, stored: StoredJob): JobPlan {
  return options.planJob(runDefinition(stored), storedSchema(stored))
}
