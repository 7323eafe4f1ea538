/** What the coordinator has to say, and to whom: a function, so that nothing here knows a logging library. */

/** Writes one structured line. */
export type CoordinatorLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void

/** Says nothing. */
export const silentLog: CoordinatorLog = () => {}
