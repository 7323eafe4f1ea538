/** `controller`: keeps jobs as MillraceJobs in Kubernetes declare them. */
import type { Command } from 'commander'
import { createLogger } from '../observe/log.ts'
import { aborted, configOf, type ServerOptions, untilSignal, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'

/** Longest one call to the server may take, s: an upgrade of large state waits for a savepoint. */
const CALL_TIMEOUT_S = 300

/** Adds the command to the program. */
export function addControllerCommand(program: Command, deps: CliDeps): void {
  program
    .command('controller')
    .summary('keep jobs as MillraceJobs in Kubernetes declare them')
    .description(
      'Follows the MillraceJobs of a namespace and keeps the jobs of a server (MILLRACE_SERVER) as they say: one that is ' +
        'applied is submitted, one that is changed is upgraded with a savepoint of before, one that is deleted stops with a ' +
        'savepoint. How each is, is in its status. Finds Kubernetes as kubectl does: in a pod by its service account, elsewhere ' +
        'by KUBECONFIG. Serves /healthz and /readyz (MILLRACE_HTTP_PORT). One for each namespace; ends on Ctrl-C or SIGTERM.',
    )
    .option('-s, --server <host:port>', 'server to talk to (MILLRACE_SERVER)')
    .option('-n, --namespace <name>', 'namespace, in place of that of the pod or of the current context', '')
    .action((options: ServerOptions & { readonly namespace: string }) =>
      untilSignal(deps, (signal) =>
        withClient(deps, { ...options, timeout: CALL_TIMEOUT_S }, async (client) => {
          // Loaded on demand: the client library of Kubernetes is large.
          const { runController } = await import('../kubernetes/run-controller.ts')
          const { log, http } = configOf(deps)
          const format = log.format === 'auto' ? (deps.stderr.isTTY ? 'text' : 'json') : log.format
          const { clock, scheduler } = deps
          const started = (namespace: string, port: number) => {
            const health = port < 0 ? '' : `, health on port ${port}`
            deps.stderr.write(`following MillraceJobs of ${namespace} for ${client.address}${health}\n`)
          }
          await runController(
            {
              ...{ server: client.control, namespace: options.namespace, http, clock, scheduler, started },
              logger: createLogger({ level: log.level, format, nowMs: () => clock.nowMs() }),
            },
            aborted(signal),
          )
        }),
      ),
    )
}
