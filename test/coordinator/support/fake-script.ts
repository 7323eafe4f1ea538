import type { ErrorCode } from '../../../src/core/errors.ts'

/** What a test may make a thread do. */
export interface Script {
  /** Nothing is taken any more. */
  silent: boolean
  /** `dispose` is not answered. */
  neverDisposes: boolean
  /** `deploy` is not answered. */
  neverDeploys: boolean
  /** Barriers are taken but not answered. */
  dropAcks: boolean
  /** Barriers are declined with this code. */
  decline: ErrorCode | undefined
  /** Deployments fail with this code. */
  failDeploy: ErrorCode | undefined
}
