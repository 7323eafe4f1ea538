/**
 * What the tests of a job's author may import: `millrace/testing`. Everything else is not for them, and may change.
 *
 * See docs/guide/typescript-jobs.md.
 */
export type { Fault, FaultPlan } from './fault-plan.ts'
export type { OutputRecord } from './harness-outputs.ts'
export { type JobRunOptions, type JobRunResult, runWithFaults } from './job-faults.ts'
export { type HarnessOptions, JobHarness, openHarness, type RestoreOptions } from './job-harness.ts'
