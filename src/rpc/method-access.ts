/**
 * Who may call what: one table of every method that is served.
 *
 * Owns: the table and nothing else. A method that is not in it is refused to everybody; test/rpc/method-access.test.ts
 * compares it with the services, so that a new method cannot be forgotten.
 */
import type { Role } from '../security/access.ts'

/** What a method asks of its caller. */
export interface MethodAccess {
  /** `anyone`: also a caller that nobody knows. */
  readonly roles: readonly Role[] | 'anyone'
  /** Whether each call leaves a line in the audit log, and not only those that are refused. */
  readonly audited: boolean
}

/** For probes that have no token. */
const anyone: MethodAccess = { roles: 'anyone', audited: false }
/** For whoever is known. */
const known: MethodAccess = { roles: ['viewer', 'operator', 'ingest'], audited: false }
/** Looking. */
const look: MethodAccess = { roles: ['viewer', 'operator'], audited: false }
/** Changing what runs. */
const operate: MethodAccess = { roles: ['operator'], audited: true }

/** Every method by its path. */
export const methodAccess: Readonly<Record<string, MethodAccess>> = {
  '/millrace.v1.ControlService/ValidateJob': look,
  '/millrace.v1.ControlService/SubmitJob': operate,
  '/millrace.v1.ControlService/ListJobs': look,
  '/millrace.v1.ControlService/DescribeJob': look,
  '/millrace.v1.ControlService/WatchJob': look,
  '/millrace.v1.ControlService/CancelJob': operate,
  '/millrace.v1.ControlService/StopJob': operate,
  '/millrace.v1.ControlService/RescaleJob': operate,
  '/millrace.v1.ControlService/UpgradeJob': operate,
  '/millrace.v1.ControlService/TriggerCheckpoint': operate,
  '/millrace.v1.ControlService/ListCheckpoints': look,
  '/millrace.v1.ControlService/ListTransactions': look,
  '/millrace.v1.ControlService/EndTransaction': operate,
  '/millrace.v1.ControlService/TriggerSavepoint': operate,
  '/millrace.v1.ControlService/ListSavepoints': look,
  '/millrace.v1.ControlService/DeleteSavepoint': operate,
  '/millrace.v1.QueryService/ListMetrics': look,
  '/millrace.v1.QueryService/QueryMetric': look,
  '/millrace.v1.QueryService/WatchMetric': look,
  '/millrace.v1.QueryService/LookupKey': look,
  '/millrace.v1.QueryService/GetFunnel': look,
  '/millrace.v1.QueryService/GetRetention': look,
  '/millrace.v1.QueryService/PredictLifetimeValue': look,
  '/millrace.v1.QueryService/ListEpisodes': look,
  '/millrace.v1.QueryService/WatchEpisodes': look,
  '/grpc.health.v1.Health/Check': anyone,
  // A stream held open costs more than an answer: for callers that are known.
  '/grpc.health.v1.Health/Watch': known,
  '/grpc.health.v1.Health/List': known,
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': known,
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': known,
}
