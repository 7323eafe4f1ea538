import type { ErrorCode } from '../../../src/core/errors.ts'

/** What a test may make a thread do. */
export interface Script {
  /** No mail is read, as by a blocked thread; all of it is once this ends. */
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
